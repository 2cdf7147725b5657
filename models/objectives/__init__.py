"""Objectives: responses in, scores out."""
