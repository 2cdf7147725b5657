"""The number of servers that died with a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, 0 for existing jobs."""
    op.add_column("jobs", sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """Raise NotImplementedError, as every version after the first."""
    raise NotImplementedError("go back to the copy of the database that was made before the upgrade")
