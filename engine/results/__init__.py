"""What a job found, as data."""
