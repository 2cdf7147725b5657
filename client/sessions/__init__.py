"""Closed-loop sessions as a client sees them: asking for stimuli, telling responses."""
