"""Transformations: random changes of stimuli, over which responses are averaged."""
