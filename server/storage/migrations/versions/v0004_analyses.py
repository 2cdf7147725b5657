"""Jobs that analyse other jobs, and the present edition of a job's artifacts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns, empty for existing jobs."""
    op.add_column("jobs", sa.Column("analysis_of", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_jobs_analysis_of", "jobs", ["analysis_of"])
    op.add_column("jobs", sa.Column("added_edition", sa.String(100), nullable=False, server_default=""))


def downgrade() -> None:
    """Raise NotImplementedError, as every version after the first."""
    raise NotImplementedError("go back to the copy of the database that was made before the upgrade")
