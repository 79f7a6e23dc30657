"""Takes documents out of kept scores, run files and reports. Knows the shape of their JSON; knows no index and no stage."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import select, update

from groundtune.store.artefacts import write_whole
from groundtune.store.tables import runs
from groundtune.store.workspace import Workspace

_ERASED = "(erased)"


def scrub_runs(
    workspace: Workspace, names: Sequence[str], withdrawn: Collection[str], items: Collection[str]
) -> tuple[int, tuple[str, ...]]:
    """Take the documents out; returns lines removed and what was changed: runs by id, files by path."""
    wanted = frozenset(names)
    lines, changed = 0, []
    tuned: dict[str, set[str]] = {}
    with workspace.database.connect() as connection:
        rows = connection.execute(select(runs.c.id, runs.c.artefact).where(runs.c.artefact != "")).all()
    for row in rows:
        content = workspace.artefacts.get_json(row.artefact)
        tuned[row.id] = _tuned_on(content, withdrawn)
        if _names(content, wanted):
            artefact = workspace.artefacts.put_json(_scrubbed(content, wanted))
            with workspace.database.begin() as connection:
                connection.execute(update(runs).where(runs.c.id == row.id).values(artefact=artefact))
            workspace.artefacts.remove(row.artefact)
            changed.append(row.id)
    for path in [*sorted((workspace.state / "runs").rglob("*.json*")), workspace.root / "report.json"]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            candidates = tuned.get(path.parent.name, set())
            kept = [line for line in text.splitlines(keepends=True) if not _tells(json.loads(line), wanted, candidates, items)]
            lines += text.count("\n") - len(kept)
            after = "".join(kept)
        else:
            after = text if not _names(json.loads(text), wanted) else json.dumps(_scrubbed(json.loads(text), wanted), indent=2)
        if after != text:
            write_whole(path, after.encode())
            changed.append(path.relative_to(workspace.root).as_posix())
    return lines, tuple(changed)


def _tuned_on(report: Any, withdrawn: Collection[str]) -> set[str]:
    """The candidates of a report whose weights are withdrawn."""
    candidates = report.get("candidates", ()) if isinstance(report, dict) else ()
    return {
        str(one["name"])
        for one in candidates
        if isinstance(one, dict) and any(weights["id"] in withdrawn for weights in one.get("weights", ()))
    }


def _tells(score: Any, wanted: frozenset[str], candidates: Collection[str], items: Collection[str]) -> bool:
    """Whether a kept score may hold words of one of the documents."""
    return score.get("candidate") in candidates or score.get("item") in items or _names(score, wanted)


# --- names in JSON ------------------------------------------------------------------------------------------------------


def _names(value: Any, wanted: frozenset[str]) -> bool:
    """Whether a document's id, or that of one of its chunks, stands anywhere in it."""
    return any(text in wanted or text.rpartition("#")[0] in wanted for text in _texts(value))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inside in value.items():
            yield name
            yield from _texts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _texts(inside)


def _scrubbed(value: Any, wanted: frozenset[str]) -> Any:
    if isinstance(value, str):
        return _ERASED if _names(value, wanted) else value
    if isinstance(value, dict):
        return {_scrubbed(name, wanted): _scrubbed(inside, wanted) for name, inside in value.items()}
    return [_scrubbed(inside, wanted) for inside in value] if isinstance(value, list) else value
