"""Latents in, stimuli out."""
