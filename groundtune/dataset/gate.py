"""The gate before training: nine checks in a fixed order, and a list of all that was dropped or changed. Knows no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from groundtune.access.audience import may_read
from groundtune.dataset.distorting import duplicates, labels, outliers, overlap
from groundtune.dataset.findings import CHECKS, UNDOABLE, Check, Checked, Finding, Gate, Step, without
from groundtune.dataset.read import Problem
from groundtune.dataset.unwanted import personal, secrets
from groundtune.errors import UsageError
from groundtune.interfaces import Progress
from groundtune.types import EVERYONE, Example


def check_dataset(
    examples: Sequence[Example], *, gate: Gate, problems: Sequence[Problem] = (), progress: Progress | None = None
) -> Checked:
    """Send examples through every check. `problems` are rows that could not be read: the schema check dropped them.

    Raises UsageError when told to leave what cannot be left, MissingExtra without the extra `dataset`.
    """
    for check, example in gate.leave:
        if check not in UNDOABLE:
            raise UsageError(
                f"what the check {check!r} drops cannot be kept.", subject=example, remedy=f"It can for: {', '.join(UNDOABLE)}."
            )
    findings = [
        Finding("schema", one.id, f"{one.file}:{one.line}" if one.line else one.file, "dropped", one.what) for one in problems
    ]
    kept = list(examples)
    for number, check in enumerate(CHECKS):
        kept, found = _STEPS[check](kept, gate)
        findings += found
        if progress is not None:
            progress("check", number + 1, len(CHECKS))
    return Checked(tuple(kept), tuple(findings))


# --- may it be used ----------------------------------------------------------------------------------------------------


def _schema(examples: Sequence[Example], _: Gate) -> Step:
    """Readers have checked every row; what remains are ids that several files share."""
    first: dict[str, Example] = {}
    kept, found = [], []
    for example in examples:
        if example.id in first:
            reason = f"id {example.id!r} is taken by {first[example.id].origin}"
            found.append(Finding("schema", example.id, example.origin, "dropped", reason))
            continue
        first[example.id] = example
        kept.append(example)
    return kept, found


def _source(examples: Sequence[Example], gate: Gate) -> Step:
    return without(examples, "source", {one.id: gate.may_train(one) for one in examples}, gate)


def _audience(examples: Sequence[Example], gate: Gate) -> Step:
    if not gate.users:
        return without(examples, "audience", {one.id: "nobody is named who will use the model" for one in examples}, gate)
    reasons = {}
    for example in examples:
        audience = gate.audience_of(example)
        barred = [user for user in gate.users if not may_read(audience, user)]
        if barred:
            who = ", ".join(sorted(" and ".join(sorted(user.principals - {EVERYONE})) or EVERYONE for user in barred))
            reasons[example.id] = f"may not be read by {who}"
    return without(examples, "audience", reasons, gate)


_STEPS: Mapping[Check, Callable[[Sequence[Example], Gate], Step]] = {
    "schema": _schema,
    "source": _source,
    "audience": _audience,
    "secrets": secrets,
    "personal": personal,
    "duplicates": duplicates,
    "overlap": overlap,
    "labels": labels,
    "outliers": outliers,
}
