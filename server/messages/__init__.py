"""Conversion between the server's records and messages of the wire."""
