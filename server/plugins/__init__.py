"""Plugins that have dialled in, and the door by which workers reach them."""
