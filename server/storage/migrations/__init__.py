"""The schema's history, for Alembic; ``..database`` runs it."""
