"""Stimuli in, responses out."""
