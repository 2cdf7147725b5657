"""Ask/tell searchers over latent spaces."""
