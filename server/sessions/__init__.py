"""Closed-loop sessions: kept on disk, served from memory."""
