"""The search of one unit: its optimizer, its record, and the final measurements of its answer."""
