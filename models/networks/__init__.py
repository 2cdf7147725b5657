"""Torch networks of any origin: calls that leave them unchanged, and their weights."""
