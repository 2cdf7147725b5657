"""Credentials and callers: TLS, tokens, permissions of a call, and rate limits."""
