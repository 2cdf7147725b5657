"""The benchmark of searches: every optimizer here against the field's packages, at equal budgets."""
