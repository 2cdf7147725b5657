"""How the features of a layer share its units."""
