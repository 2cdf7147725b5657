"""The services of ``actmax.v1``: each servicer converts messages and calls the rules behind it."""
