"""Where work runs: processes of their own, which end with their server."""
