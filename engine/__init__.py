"""Composes generator, target, objective and optimizer into searches and jobs."""
