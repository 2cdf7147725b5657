"""Which places of a stimulus a unit responds to: one method of attribution a file, and what the methods share."""
