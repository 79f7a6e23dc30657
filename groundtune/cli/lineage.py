"""`groundtune lineage`: what a thing came out of and what came out of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, As, Json, Workspace

if TYPE_CHECKING:
    from groundtune.verbs.tracing import Node


def command(
    id: Annotated[
        str,
        typer.Argument(metavar="ID", help="A document, chunk, example, dataset, weights, decision or answer; or kind:ID."),
    ],
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Things named at each step; 0 for all.")] = 8,
    acting_as: As = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Show what something came out of, and what came out of it.

    From documents over chunks, examples and weights to answers and decisions, both ways. What the caller may not read is not
    named.
    """
    found = groundtune.lineage(id, root=workspace, principals=tuple(acting_as or ()), limit=limit)
    if json:
        output.document(found)
        return
    output.line(_said(found.came_from))
    for heading, root in (("came from", found.came_from), ("led to", found.led_to)):
        output.line(heading if root.nodes else f"{heading}: nothing that you may know of")
        for line in _drawn(root):
            output.line(line)


def _drawn(node: Node) -> Iterator[str]:
    """The lines below a node."""
    rest = [f"... and {node.left_out:,} more"] if node.left_out else []
    for number, below in enumerate(node.nodes, start=1):
        last = number == len(node.nodes) and not rest
        yield f"{'└─' if last else '├─'} {_said(below)}{'  (as above)' if below.seen else ''}"
        for line in _drawn(below):
            yield f"{'  ' if last else '│ '} {line}"
    for line in rest:
        yield f"└─ {line}"


def _said(node: Node) -> str:
    relation = f"{node.relation}: " if node.relation else ""
    short = node.id[:16] if node.kind in ("parse", "vectors", "contexts", "result") else node.id
    return f"{relation}{node.kind} {short}{f'  {node.about}' if node.about else ''}"
