"""The tables of a workspace's database. Knows columns only; `migrations/` brings a database to this shape."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

audiences = Table(
    "audiences",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of `json`, which may be too long for an index
    Column("json", Text, nullable=False),  # groundtune.access.audience.to_json; a row never changes
)

documents = Table(
    "documents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False, server_default=""),
    Column("format", Text, nullable=False, server_default=""),
    Column("content_hash", String(64), nullable=False, server_default=""),
    Column("modified", Float, nullable=False, server_default="0"),  # seconds since the epoch
    Column("size", Integer, nullable=False, server_default="0"),  # bytes
    Column("audience_id", Integer, ForeignKey("audiences.id")),  # written by access.register alone; null is nobody
    Column("status", Text, nullable=False, server_default="pending"),  # pending, ok, failed
    Column("reason", Text, nullable=False, server_default=""),  # why it failed
    Column("artefact", String(64), nullable=False, server_default=""),  # of the parse
)

settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),  # policy_version, index_version
    Column("value", Integer, nullable=False),
)

stages = Table(
    "stages",
    metadata,
    Column("key", String(64), primary_key=True),  # digest of stage, version and inputs
    Column("stage", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("artefact", String(64), nullable=False),
    Column("packages", Text, nullable=False),  # JSON: package -> version that made it
    Column("seconds", Float, nullable=False),
    Column("created", Float, nullable=False),  # seconds since the epoch
)

lineage = Table(
    "lineage",
    metadata,
    Column("child", Text, primary_key=True),
    Column("parent", Text, primary_key=True),
    Column("relation", Text, primary_key=True),
    Index("lineage_parent", "parent"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("verb", Text, nullable=False),
    Column("status", Text, nullable=False),  # running, done, failed
    Column("config", String(64), nullable=False, server_default=""),  # digest
    Column("artefact", String(64), nullable=False, server_default=""),  # of the report
    Column("created", Float, nullable=False),
    Column("seconds", Float),
)

looks = Table(  # every reading of held-out items, in order
    "looks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", Text, nullable=False),
    Column("split", Text, nullable=False),
    Column("digest", String(64), nullable=False),  # of the items looked at
    Column("items", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Index("looks_digest", "digest"),
)

weights = Table(
    "weights",
    metadata,
    Column("id", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("audience", Text, nullable=False),  # JSON as in `audiences`; symbolic, evaluated at each request
    Column("status", Text, nullable=False),  # ready, withdrawn
    Column("reason", Text, nullable=False, server_default=""),
    Column("created", Float, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(64), primary_key=True),  # artefact of the manifest
    Column("rows", String(64), nullable=False),  # artefact of the examples
    Column("audience", Text, nullable=False),  # JSON as in `audiences`
    Column("status", Text, nullable=False),  # ready, withdrawn
    Column("reason", Text, nullable=False, server_default=""),
    Column("created", Float, nullable=False),
)

learned = Table(  # what datasets and weights are made of, entered before they are made
    "learned",
    metadata,
    Column("artefact", Text, primary_key=True),  # weights:ID or dataset:ID
    Column("document", Text, primary_key=True),
    Column("audience_id", Integer, ForeignKey("audiences.id"), nullable=False),  # of the document at that time
    Index("learned_document", "document"),
)

withdrawals = Table(  # why datasets and weights may not be used any more
    "withdrawals",
    metadata,
    Column("artefact", Text, primary_key=True),
    Column("document", Text, primary_key=True),  # empty once erased
    Column("change", Text, nullable=False),  # deleted, narrowed, erased
    Column("before_id", Integer, ForeignKey("audiences.id")),  # who could read it when it was learned
    Column("after_id", Integer, ForeignKey("audiences.id")),
    Column("created", Float, nullable=False),
    Index("withdrawals_document", "document"),
)
