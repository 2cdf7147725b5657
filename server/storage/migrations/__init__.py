"""Migrations of the schema, for Alembic; ``..database`` runs them."""
