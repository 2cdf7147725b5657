"""What surrounds a job's search: progress, checkpoints, interruption, final measurements, and writing."""
