"""Generators, targets, objectives, and the zoo of trained models."""
