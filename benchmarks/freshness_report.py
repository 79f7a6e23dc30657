"""The price of stale facts as Markdown tables, from the kept figures. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.freshness_figures import CONTEXTS, PARTS
from benchmarks.harness import ROOT, Figure, put_between

PAGE = ROOT / "docs" / "deciding.md"
BEGIN, END = "<!-- freshness: written by python -m benchmarks.freshness --report -->", "<!-- end of freshness -->"
LABELS = {"taught": "learned from", "held_out": "not seen"}
GIVEN = {
    "gold": "the right passage",
    "missing": "another question's",
    "wrong": "the fact edited",
    "conflicting": "both of these",
}


def edits(figures: Mapping[str, Figure], *, tasks: Sequence[str], candidates: Sequence[str]) -> str:
    """A row a candidate and part: right before the edit and after it, still the old fact, and what the edit cost."""
    lines = [
        "| documents | candidate | questions | number | right before | after | still the old fact | lost, 95 % interval |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task, candidate, part, name in _rows(figures, tasks, candidates):
        before, after, stale = (_percent(figures[f"{name}_{key}"]) for key in ("right_unchanged", "right_edited", "stale"))
        lost, low, high = (_percent(figures[f"{name}_{key}"]) for key in ("price", "price_low", "price_high"))
        count = figures[f"{name}_edited_count"]
        lines.append(
            f"| {task} | `{candidate}` | {LABELS[part]} | {count} | {before} | {after} | {stale} | {lost} [{low}, {high}] |"
        )
    return "\n".join(lines)


def contexts(figures: Mapping[str, Figure], *, tasks: Sequence[str], candidates: Sequence[str]) -> str:
    """A row a candidate and part: with each kind of given passage the share that is right, and that tells the edited fact."""
    given = " | ".join(GIVEN[one] for one in CONTEXTS)
    lines = [f"| documents | candidate | questions | {given} |", "|---|---|---|" + "---|" * len(CONTEXTS)]
    for task, candidate, part, name in _rows(figures, tasks, candidates):
        if figures.get(f"{name}_{CONTEXTS[0]}_right") is not None:
            shown = (
                f"{_percent(figures.get(f'{name}_{one}_right'))} / {_percent(figures.get(f'{name}_{one}_other'))}"
                for one in CONTEXTS
            )
            lines.append(f"| {task} | `{candidate}` | {LABELS[part]} | {' | '.join(shown)} |")
    return "\n".join(lines)


def write_page(figures: Mapping[str, Figure], *, tasks: Sequence[str], candidates: Sequence[str], path: Path = PAGE) -> None:
    """Put both tables, and what is missing, in their place on the page."""
    missing = f"\n\nNot measured yet: {figures['missing']}." if figures.get("missing") else ""
    text = (
        f"{edits(figures, tasks=tasks, candidates=candidates)}\n\n"
        "Passages that are given, in percent right by the old documents / telling the edited fact:\n\n"
        f"{contexts(figures, tasks=tasks, candidates=candidates)}{missing}"
    )
    put_between(BEGIN, END, text, path)


def _rows(
    figures: Mapping[str, Figure], tasks: Sequence[str], candidates: Sequence[str]
) -> Iterator[tuple[str, str, str, str]]:
    """(task, candidate, part, beginning of its figures' names) of those that asked about edited facts."""
    for task in tasks:
        for candidate in candidates:
            for part in PARTS:
                name = f"{task}_{candidate}_{part}"
                if figures.get(f"{name}_edited_count"):
                    yield task, candidate, part, name


def _percent(value: Figure) -> str:
    return "" if value is None else f"{100 * float(value):.0f}"
