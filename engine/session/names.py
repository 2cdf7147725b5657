"""Names of a session's files."""

LOG = "log"
SNAPSHOT = "snapshot.safetensors"
PLUGIN = "plugin.safetensors"
BUILDING = ".new"
"""What the folder of a session that is being made or removed ends in."""
