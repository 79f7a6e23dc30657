"""What some metrics need besides an item and its answer. Knows paths; opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Bound when a metric is looked up, so that it stays a function of example and answer."""

    database: Path | None = None
    """SQLite database that `sql_execution` runs queries on, read-only."""
    json_schema: Path | None = None
    """JSON schema that `json_schema` checks answers against."""


NOTHING_SET = Settings()
