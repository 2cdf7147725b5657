"""The commands of ``actmax``, a file for each group of them."""
