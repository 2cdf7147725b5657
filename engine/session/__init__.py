"""Closed-loop sessions: a search that is driven by whoever shows its stimuli and tells the responses."""
