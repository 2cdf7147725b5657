"""What is computed about a unit besides the search."""
