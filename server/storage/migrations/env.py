"""Alembic's entry point: runs migrations on the connection that ``Database`` passes."""

from __future__ import annotations

from alembic import context

from actmax.server.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
