"""The tables, defined with SQLAlchemy for any database that it supports."""

from __future__ import annotations

import sqlalchemy as sa

# Constraint names that a migration can refer to.
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows automatically only in a column of type INTEGER.
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("number", _Number, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("spec", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Integer, nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("crashes", sa.Integer, nullable=False, default=0),
    sa.Column("progress", sa.LargeBinary, nullable=False),
    sa.Column("last_sequence", sa.BigInteger, nullable=False, default=0),
    sa.Column("error_code", sa.String(64), nullable=False, default=""),
    sa.Column("error_message", sa.Text, nullable=False, default=""),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("start_time", sa.BigInteger, nullable=False, default=0),
    sa.Column("end_time", sa.BigInteger, nullable=False, default=0),
    sa.Column("owner", sa.String(200), nullable=False, default="", server_default="", index=True),
    sa.Column("priority", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("version", sa.BigInteger, nullable=False, default=1, server_default="1"),
    sa.Column("holder", sa.String(64), nullable=False, default="", server_default="", index=True),
    sa.Column("suspending", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("evaluations", sa.BigInteger, nullable=False, default=0, server_default="0"),
    sa.Column("size", sa.BigInteger, nullable=False, default=0, server_default="0"),
    sa.Column("deaths", sa.Integer, nullable=False, default=0, server_default="0"),
    # No foreign key: the job may be deleted before its analyses.
    sa.Column("analysis_of", sa.String(64), nullable=False, default="", server_default="", index=True),
    sa.Column("added_edition", sa.String(100), nullable=False, default="", server_default=""),
    sqlite_autoincrement=True,
)

labels = sa.Table(
    "labels",
    metadata,
    sa.Column("job", _Number, sa.ForeignKey("jobs.number"), primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(63), primary_key=True),
    sa.Column("value", sa.String(255), nullable=False),
    sa.Index("ix_labels_key_value", "key", "value"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("job", _Number, sa.ForeignKey("jobs.number"), primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("owner", sa.String(200), primary_key=True),
    sa.Column("request_id", sa.String(36), primary_key=True),
    # None once the job was deleted: the request stays spent.
    sa.Column("job", _Number, sa.ForeignKey("jobs.number"), nullable=True),
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    sa.Column("job", _Number, sa.ForeignKey("jobs.number"), primary_key=True, autoincrement=False),
    sa.Column("path", sa.String(512), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("media_type", sa.String(100), nullable=False),
)

# Deleted jobs whose files are still to be removed.
garbage = sa.Table("garbage", metadata, sa.Column("id", sa.String(64), primary_key=True))

# Live servers; each raises its beat. Other servers take over the jobs of one whose beat stands still.
servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("address", sa.String(300), nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
)

# Rows that a transaction locks to exclude other transactions.
locks = sa.Table("locks", metadata, sa.Column("name", sa.String(30), primary_key=True))

access_tokens = sa.Table(
    "access_tokens",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(200), nullable=False, index=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("scopes", sa.String(100), nullable=False),
    sa.Column("create_time", sa.BigInteger, nullable=False),
    sa.Column("expire_time", sa.BigInteger, nullable=False),
)
