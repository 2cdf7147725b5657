"""Components by name, and whatever a user brings instead of one."""
