"""How much each input, latent or part of a stimulus counts for a unit's response."""
