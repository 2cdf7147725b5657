"""The composition of generator, target, objective and optimizer into searches and jobs."""
