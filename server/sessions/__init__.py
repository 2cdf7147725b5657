"""Closed-loop sessions: stored on disk, served from memory."""
