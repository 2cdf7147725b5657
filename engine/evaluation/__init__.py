"""Evaluates candidates to scores and gradients, in shared forward passes of generator, target and objective."""
