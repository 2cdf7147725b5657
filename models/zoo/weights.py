"""The folder of the shipped weights."""

from pathlib import Path

FOLDER = Path(__file__).parent / "weights"
"""The folder of the shipped weights: NAME.safetensors, with its card NAME.json and its sample sheet NAME.png."""
