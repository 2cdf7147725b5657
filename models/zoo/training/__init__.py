"""Scripts that train the zoo; each resumes from its checkpoint."""
