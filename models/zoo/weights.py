"""Where the shipped weights lie."""

from pathlib import Path

FOLDER = Path(__file__).parent / "weights"
"""Where the shipped weights lie, each NAME.safetensors beside its card NAME.json and its sample sheet NAME.png."""
