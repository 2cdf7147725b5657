"""Models trained on CIFAR-10 that are shipped, their cards, and the scripts that train them."""
