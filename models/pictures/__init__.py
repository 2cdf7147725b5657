"""Reads pictures from outside, with NumPy and Pillow alone: what a file is by its content, its levels, and folders of them."""
