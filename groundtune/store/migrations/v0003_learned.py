"""What datasets and weights are made of, and why they were withdrawn."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "learned",
        sa.Column("artefact", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, primary_key=True),
        sa.Column("audience_id", sa.Integer, sa.ForeignKey("audiences.id"), nullable=False),
    )
    op.create_index("learned_document", "learned", ["document"])
    op.create_table(
        "withdrawals",
        sa.Column("artefact", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, primary_key=True),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("before_id", sa.Integer, sa.ForeignKey("audiences.id")),
        sa.Column("after_id", sa.Integer, sa.ForeignKey("audiences.id")),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_index("withdrawals_document", "withdrawals", ["document"])
    op.execute(_MADE)
    op.execute(sa.text(_GONE).bindparams(now=time.time()))
    op.execute(_WEIGHTS)
    op.execute(_DATASETS)


# What was made before, from the lineage with today's audiences; what came out of a document that is gone is withdrawn.

_MADE = """
INSERT INTO learned (artefact, document, audience_id)
SELECT DISTINCT lineage.child, documents.id, documents.audience_id
FROM lineage JOIN documents ON lineage.parent = 'document:' || documents.id
WHERE documents.audience_id IS NOT NULL AND (lineage.child LIKE 'weights:%' OR lineage.child LIKE 'dataset:%')
"""
_GONE = """
INSERT INTO withdrawals (artefact, document, change, created)
SELECT DISTINCT child, substr(parent, 10), 'deleted', CAST(:now AS FLOAT) FROM lineage
WHERE parent LIKE 'document:%' AND (child LIKE 'weights:%' OR child LIKE 'dataset:%')
AND NOT EXISTS (SELECT 1 FROM learned WHERE artefact = child AND document = substr(parent, 10))
"""
_WEIGHTS = """
UPDATE weights SET status = 'withdrawn', reason = 'a document that it was learned from was deleted'
WHERE status <> 'withdrawn' AND 'weights:' || id IN (SELECT artefact FROM withdrawals)
"""
_DATASETS = """
UPDATE datasets SET status = 'withdrawn', reason = 'a document that it was learned from was deleted'
WHERE status <> 'withdrawn' AND 'dataset:' || id IN (SELECT artefact FROM withdrawals)
"""
