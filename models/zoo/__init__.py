"""The shipped models, trained on CIFAR-10 and other data, their cards, and the scripts that train them."""
