"""lineage: what a thing of a workspace came out of and what came out of it, as trees."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundtune.candidates.open import answer_name
from groundtune.errors import NotFound, UsageError
from groundtune.store.workspace import Workspace
from groundtune.verbs.descent import HASH, KINDS, Descent, Step, parted
from groundtune.verbs.knowledge import caller_of
from groundtune.verbs.records import Records

_CHUNK = re.compile(r".+#\d+-\d+")
_MOST = 2_000
"""Things that one walk names at most: a page, not a dump."""


@dataclass(frozen=True, slots=True)
class Node:
    """A thing on the way, with what lies beyond it."""

    relation: str
    """To the thing before it; empty at the root."""
    kind: str
    id: str
    about: str = ""
    nodes: tuple[Node, ...] = ()
    left_out: int = 0
    """Further ones of the same relation to it that `limit` cut off."""
    seen: bool = False
    """Stands elsewhere in the same tree with what lies beyond it."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Both ways from one thing; only what the caller may know of is in it."""

    came_from: Node
    led_to: Node


def lineage(id: str, *, root: Path | str = ".", principals: Sequence[str] = (), limit: int = 8) -> Lineage:
    """What `id` came out of and what came out of it, as a caller with these principals may know it.

    `id` is a document, chunk, example, dataset, weights, decision or answer (of `ask`, or `DECISION/CANDIDATE/ITEM`), or the
    hash of a stored parse. Where several things are called so, `kind:id` says which. `limit` bounds what is named at each step;
    0: all. Raises NotFound, with the same words, for what is not there and for what the caller may not know of.
    """
    if limit < 0:
        raise UsageError("a limit is not negative.", subject=str(limit))
    with Workspace.open(root) as workspace:
        descent = Descent(Records(workspace), caller_of(workspace, principals))
        name = _named(id, descent)
        return Lineage(
            came_from=_Tree(descent, descent.came_from, limit).node("", name),
            led_to=_Tree(descent, descent.led_to, limit).node("", name),
        )


def _named(id: str, descent: Descent) -> str:
    """The one thing that is called so."""
    names = [id] if parted(id)[0] else []
    names += [f"{kind}:{id}" for kind in KINDS if not names and _exists(kind, id, descent)]
    if not names and HASH.fullmatch(id):
        names.append(id)
    known = [name for name in names if descent.may_know(name)]
    if not known:
        raise NotFound("there is no such thing, or you may not know of it.", subject=id, remedy="Name it as it is listed.")
    if len(known) > 1:
        raise UsageError(f"names several things: {', '.join(known)}.", subject=id, remedy="Write the kind before it.")
    return known[0]


def _exists(kind: str, id: str, descent: Descent) -> bool:
    records = descent.records
    if kind == "chunk":
        return bool(_CHUNK.fullmatch(id)) and id.rpartition("#")[0] in records.documents
    if kind == "answer":
        return bool(descent.came_from(answer_name(id)))
    if kind == "model":
        return False
    held: Mapping[str, Collection[str]] = {
        "document": records.documents,
        "example": records.examples,
        "dataset": records.datasets,
        "weights": records.weights,
        "decision": records.decisions,
    }
    return id in held[kind]


class _Tree:
    """Grows one way; what stands in it once is not grown again."""

    def __init__(self, descent: Descent, steps: Callable[[str], list[Step]], limit: int) -> None:
        self._descent, self._steps, self._limit = descent, steps, limit
        self._seen: set[str] = set()

    def node(self, relation: str, name: str) -> Node:
        kind, id = parted(name)
        kind = kind or _RESULTS.get(self._descent.records.stages.get(id, "parse"), "result")
        if name in self._seen:
            return Node(relation, kind, id, seen=bool(self._steps(name)))
        self._seen.add(name)
        steps = self._steps(name)
        shown = steps[: min(self._limit or len(steps), max(0, _MOST - len(self._seen)))]
        nodes = tuple(self.node(*step) for step in shown)
        return Node(relation, kind, id, _about(kind, id, self._descent.records), nodes, len(steps) - len(shown))


_RESULTS = {"parse": "parse", "embed": "vectors", "context": "contexts"}
"""Stage -> what its stored result is called."""


def _about(kind: str, id: str, records: Records) -> str:
    """A few words on a thing that the caller may know of."""
    if kind == "document" and id in records.documents:
        row = records.documents[id]
        return f"{row['title']} ({row['format']})" if row["status"] == "ok" else str(row["status"])
    if kind == "chunk":
        found = next((chunk for chunk in records.chunks(id.rpartition("#")[0]) if chunk.id == id), None)
        return " > ".join(found.headings) if found is not None else "not in the index now"
    if kind == "example":
        return records.examples[id].kind if id in records.examples else "not in the questions now"
    if kind in ("weights", "dataset"):
        row = (records.weights if kind == "weights" else records.datasets)[id]
        return f"{row['status']}: {row['reason']}" if row["reason"] else str(row["status"])
    if kind == "decision" and id in records.decisions:
        return str(records.decisions[id]["decision"]["headline"])
    return ""
