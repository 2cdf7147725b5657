"""What a job may do, and what clients read of it."""
