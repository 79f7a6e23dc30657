"""Runs of `decide` and looks at the scored items: numbered, written down, counted. Knows no score."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from groundtune.candidates.open import newest
from groundtune.errors import NotFound
from groundtune.store.tables import looks, runs
from groundtune.store.workspace import Workspace


def next_run(workspace: Workspace) -> tuple[str, Path]:
    """Id and folder of the run that starts now; a run that was interrupted has the same until one is finished."""
    run = _next_id(workspace)
    folder = workspace.state / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    return run, folder


def _next_id(workspace: Workspace) -> str:
    with workspace.database.connect() as connection:
        done = connection.scalar(select(func.count()).select_from(runs).where(runs.c.verb == "decide")) or 0
    return f"decide-{done + 1:04d}"


def look(workspace: Workspace, run: str, *, fingerprint: str, items: int) -> int:
    """Write this look into the ledger; returns how many looks these items have had, this one included.

    A run that was cut off after its look, before its end, has the same id when it goes on: it looks once.
    """
    of_these = select(func.count()).select_from(looks).where(looks.c.digest == fingerprint)
    with workspace.database.begin() as connection:
        if not connection.scalar(of_these.where(looks.c.run == run)):
            row = {"run": run, "split": "test", "digest": fingerprint, "items": items, "created": time.time()}
            connection.execute(insert(looks).values(row))
        return connection.scalar(of_these) or 1


def ledger(workspace: Workspace, *, fingerprint: str) -> list[dict[str, str]]:
    """Every look at these items so far, the first first: its run, and when (ISO 8601, UTC)."""
    chosen = select(looks.c.run, looks.c.created).where(looks.c.digest == fingerprint).order_by(looks.c.id)
    with workspace.database.connect() as connection:
        rows = connection.execute(chosen).all()
    return [{"run": run, "created": datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")} for run, when in rows]


def looks_before(workspace: Workspace, *, fingerprint: str) -> int:
    """How many looks these items have had in other runs than the one that starts or goes on now."""
    others = (looks.c.digest == fingerprint) & (looks.c.run != _next_id(workspace))
    with workspace.database.connect() as connection:
        return connection.scalar(select(func.count()).select_from(looks).where(others)) or 0


def warning(count: int, *, alpha: float = 0.05) -> str:
    """What to make of the look number `count`; empty at the first.

    The bound is Bonferroni's: whatever was changed between the looks, some look errs with at most the sum of the chances.
    """
    if count < 2:
        return ""
    bound = min(1.0, count * alpha)
    return (
        f"Warning: this is look number {count} at the same questions. The error rates stated hold for one look; if settings "
        f"were chosen by what earlier looks showed, the chance that one of the {count} verdicts is wrong may be up to "
        f"{100 * bound:.0f} % instead of {100 * alpha:.0f} %. Decide on fresh questions before you rely on it."
    )


def load_report(workspace: Workspace, run: str | None = None) -> dict[str, Any]:
    """The report of a run, by default the newest. Raises NotFound."""
    report: dict[str, Any] | None = newest(workspace, verb="decide", run=run)
    if report is None:
        what = "there is no such decision." if run else "nothing was decided yet."
        raise NotFound(what, subject=run or str(workspace.root), remedy="Run: groundtune decide")
    return report
