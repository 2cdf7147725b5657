"""What surrounds a running job: progress, checkpoints, writing its results."""
