"""Responses in, scores out."""
