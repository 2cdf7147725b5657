"""The result of a job, as data."""
