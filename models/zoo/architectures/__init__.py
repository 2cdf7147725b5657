"""The networks of the zoo, without weights."""
