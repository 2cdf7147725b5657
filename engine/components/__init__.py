"""Resolves components by name, and adapts the objects that a user passes instead."""
