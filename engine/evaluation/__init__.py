"""Candidates to scores and gradients: generator, target and objective in shared forward passes."""
