"""Plugins that have connected to this server, and the workers' way to them."""
