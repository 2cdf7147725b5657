"""Owners, priorities, labels, access tokens, and several servers on one database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_RUNNING = 2
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns and tables. Existing jobs have no owner; their sizes are summed; running ones are held by a dead server."""
    op.add_column("jobs", sa.Column("owner", sa.String(200), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("version", sa.BigInteger, nullable=False, server_default="1"))
    op.add_column("jobs", sa.Column("holder", sa.String(64), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("suspending", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("evaluations", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("size", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("ix_jobs_owner", "jobs", ["owner"])
    op.create_index("ix_jobs_holder", "jobs", ["holder"])
    jobs = sa.table("jobs", *(sa.column(name) for name in ("number", "size", "state", "holder")))
    artifacts = sa.table("artifacts", sa.column("job"), sa.column("size"))
    op.execute(sa.update(jobs).where(jobs.c.state == _RUNNING).values(holder="the server before 0002"))
    used = sa.select(sa.func.coalesce(sa.func.sum(artifacts.c.size), 0)).where(artifacts.c.job == jobs.c.number).scalar_subquery()
    op.execute(sa.update(jobs).values(size=used))
    op.create_table(
        "labels",
        sa.Column("job", _Number, autoincrement=False, nullable=False),
        sa.Column("key", sa.String(63), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.number"], name="fk_labels_job_jobs"),
        sa.PrimaryKeyConstraint("job", "key", name="pk_labels"),
    )
    op.create_index("ix_labels_key_value", "labels", ["key", "value"])
    op.create_table(
        "requests_of_owners",
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(36), nullable=False),
        sa.Column("job", _Number, nullable=True),
        sa.ForeignKeyConstraint(["job"], ["jobs.number"], name="fk_requests_of_owners_job_jobs"),
        sa.PrimaryKeyConstraint("owner", "request_id", name="pk_requests_of_owners"),
    )
    op.execute("INSERT INTO requests_of_owners (owner, request_id, job) SELECT '', request_id, job FROM requests")
    op.drop_table("requests")
    op.rename_table("requests_of_owners", "requests")
    op.create_table("garbage", sa.Column("id", sa.String(64), nullable=False), sa.PrimaryKeyConstraint("id", name="pk_garbage"))
    op.create_table(
        "servers",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("address", sa.String(300), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_servers"),
    )
    op.create_table("locks", sa.Column("name", sa.String(30), nullable=False), sa.PrimaryKeyConstraint("name", name="pk_locks"))
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("scopes", sa.String(100), nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("expire_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_tokens"),
    )
    op.create_index("ix_access_tokens_owner", "access_tokens", ["owner"])


def downgrade() -> None:
    """Raise NotImplementedError: owners and labels would be lost."""
    raise NotImplementedError("go back to the copy of the database that was made before the upgrade")
