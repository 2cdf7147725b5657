"""Torch networks, whoever made them: asked without being changed, and their weights."""
