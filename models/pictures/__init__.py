"""Pictures from outside, read with NumPy and Pillow alone: formats by content, levels, and folders."""
