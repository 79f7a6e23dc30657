"""`groundtune search`: the chunks that a caller may read, best first, and why these."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, As, Json, Workspace
from groundtune.errors import UsageError
from groundtune.types import Evidence, Filter, Hit

if TYPE_CHECKING:
    from groundtune.answer.explain import Explanation, Step

_SHOWN = 5
_LISTED = 20
"""Chunks that --explain prints at most, beside those that a model is given."""
_DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


def command(
    query: Annotated[str | None, typer.Argument(metavar="[QUERY]", help="What to look for.")] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", min=1, help="Chunks at most. Without it 5; with --explain what a model is given, retrieval.k."),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only documents whose path matches, such as hr/**; repeat for several."),
    ] = None,
    format: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this format, such as pdf; repeat.")] = None,
    source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this source; repeat for several.")] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Only documents whose title holds this.")] = "",
    since: Annotated[datetime | None, typer.Option(formats=_DATES, help="Only documents changed then or later.")] = None,
    before: Annotated[datetime | None, typer.Option(formats=_DATES, help="Only documents changed before then.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show what each stage did.")] = False,
    gold: Annotated[
        str | None, typer.Option(metavar="ID", help="With --explain: a question's id; say where its evidence fell out.")
    ] = None,
    evidence: Annotated[
        list[str] | None, typer.Option(metavar="DOCUMENT=QUOTE", help="With --explain: say where this fell out; repeat.")
    ] = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="With --explain: also show what the caller must not be told.")
    ] = False,
    acting_as: As = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Find the passages nearest to a query.

    Only documents that the caller may read are searched.
    """
    principals = tuple(acting_as or ())
    filter = Filter(
        paths=tuple(path or ()),
        formats=tuple(format or ()),
        sources=tuple(source or ()),
        title=title,
        since=since.timestamp() if since else None,
        before=before.timestamp() if before else None,
    )
    if explain:
        explanation = groundtune.explain_search(
            query,
            root=workspace,
            principals=principals,
            k=k,
            filter=filter,
            gold=gold,
            evidence=[_evidence(one) for one in evidence or ()],
            operator=operator,
        )
        _print(explanation) if not json else output.document(explanation)
        return
    if query is None or gold or evidence or operator:
        raise UsageError("there is no query.", remedy="Give one; --gold, --evidence and --operator go with --explain.")
    hits = groundtune.search(query, root=workspace, principals=principals, k=k or _SHOWN, filter=filter)
    if json:
        output.document({"hits": hits})
        return
    _list(hits)


def _evidence(text: str) -> Evidence:
    document, equals, quote = text.partition("=")
    if not (document and equals and quote.strip()):
        raise UsageError("is not of the form DOCUMENT=QUOTE.", subject=text, remedy='Write for example pay.md="paid monthly".')
    return Evidence(document, quote)


def _list(hits: tuple[Hit, ...]) -> None:
    for number, hit in enumerate(hits, start=1):
        chunk = hit.chunk
        place = " > ".join(chunk.headings) or hit.title
        page = f", page {hit.pages[0][1]}" if hit.pages else ""
        output.line(f"[{number}] {chunk.document}:{chunk.start}-{chunk.end}{page}  {place}")
        output.line(f"    {' '.join(chunk.text.split())}")
    if not hits:
        output.note("nothing found among the documents that this caller may read.")


def _print(explanation: Explanation) -> None:
    output.line(f"searched for: {' / '.join(explanation.question.splitlines())}")
    output.line()
    shown = {hit.chunk.id for hit in explanation.hits}
    headings = ("place", "full text", "vectors", "cosine", "fused", "reranked", "chunk", "")
    operator = explanation.withheld is not None
    listed = [step for number, step in enumerate(explanation.steps) if number < _LISTED or step.chunk in shown]
    rows = [_row(step, shown, operator=operator) for step in listed]
    output.line(output.table((*headings, "BM25") if operator else headings, rows))
    if len(rows) < len(explanation.steps):
        output.note(f"{len(explanation.steps) - len(rows)} more were considered; --json lists them all.")
    output.note(f"the best {explanation.depth} of each retriever are fused; only what this caller may read is ranked.")
    if operator:
        output.note(
            f"the final check took {explanation.withheld} away: revoked, removed or changed since the index was written."
        )
    for missed in explanation.evidence:
        output.line()
        output.line(f'evidence: {missed.document}: "{" ".join(missed.quote.split())}"')
        output.line(f"    {missed.stage}: {missed.why}")


def _row(step: Step, shown: set[str], *, operator: bool) -> tuple[str, ...]:
    def number(value: float | None, digits: int = 0) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    remark = f"as {step.same_as}" if step.same_as else "" if step.chunk in shown else "not shown"
    ranks = number(step.place), number(step.text_rank), number(step.vector_rank), number(step.cosine, 3)
    row = (*ranks, number(step.fused, 5), number(step.reranked, 3), step.chunk, remark)
    return (*row, number(step.bm25, 2)) if operator else row
