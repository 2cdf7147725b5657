"""One unit's search: the optimizer, its record, and what measures its answer again."""
