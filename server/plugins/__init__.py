"""Plugins that have dialled in, and the relay by which workers reach them."""
