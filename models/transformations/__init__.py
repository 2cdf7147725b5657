"""Random changes of stimuli, under which responses are averaged."""
