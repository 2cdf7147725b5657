"""Persistent state of the server: a database of jobs and events, and a folder of files."""
