"""How a unit's response changes around each of its optima."""
