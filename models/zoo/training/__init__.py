"""Scripts that train the zoo from CIFAR-10 parquet files; each resumes from its checkpoint."""
