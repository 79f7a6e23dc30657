"""What the gate's checks go by and what they leave behind: settings, findings, and dropping with a reason. Knows no check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from groundtune.dataset.personal import DEFAULT_KINDS
from groundtune.types import Audience, Caller, Example

Check = Literal["schema", "source", "audience", "secrets", "personal", "duplicates", "overlap", "labels", "outliers"]
CHECKS: tuple[Check, ...] = (
    "schema",
    "source",
    "audience",
    "secrets",
    "personal",
    "duplicates",
    "overlap",
    "labels",
    "outliers",
)
"""In this order: what may not be used is gone before anything is compared with it."""
UNDOABLE: tuple[Check, ...] = ("secrets", "personal", "duplicates", "labels", "outliers")
"""Checks that can be told to leave an example as it is. What may not be trained on, and what is tested on, stays out."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was replaced in one text of an example: `text[start:end]` of the original by `<kind>`."""

    part: str
    """`question`, `answers[0]`, `history[1]`, `facts[0]` or `evidence[0]`."""
    spans: tuple[tuple[int, int, str], ...]
    """(start, end, kind) in characters of the original text, which is not kept here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One example that a check dropped or changed, and why."""

    check: Check
    example: str
    """Id; empty for a row without one."""
    origin: str
    """`file:line`."""
    action: Literal["dropped", "changed", "left"]
    """`left`: it would have been dropped or changed, and the operator said to leave it."""
    reason: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """What the checks go by."""

    may_train: Callable[[Example], str]
    """Why an example's source may not be trained on; empty when it may."""
    audience_of: Callable[[Example], Audience]
    users: tuple[Caller, ...]
    """Who will use the model: an example enters when every one of them may read it."""
    held_out: Mapping[str, Example] = field(default_factory=dict)
    """Examples that the model will be tested on, by id."""
    personal: Literal["redact", "drop"] = "redact"
    names: Literal["sure", "likely"] = "sure"
    """`likely`: also words that are not English, in texts in small letters."""
    personal_kinds: tuple[str, ...] = DEFAULT_KINDS
    """Empty: personal data is not looked for."""
    leave: frozenset[tuple[str, str]] = frozenset()
    """(check, example id) that the operator wants left as it is."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came through the gate, in the order of the input, and everything that did not or not as it was."""

    kept: tuple[Example, ...]
    findings: tuple[Finding, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Check -> action -> number, every check named."""
        found: dict[str, dict[str, int]] = {check: {"dropped": 0, "changed": 0, "left": 0} for check in CHECKS}
        for one in self.findings:
            found[one.check][one.action] += 1
        return found


Step = tuple[list[Example], list[Finding]]


def without(examples: Sequence[Example], check: Check, reasons: Mapping[str, str], gate: Gate) -> Step:
    """Drop those with a reason, except what the operator wants left."""
    kept, found = [], []
    for example in examples:
        reason = reasons.get(example.id, "")
        leave = (check, example.id) in gate.leave
        if reason:
            found.append(Finding(check, example.id, example.origin, "left" if leave else "dropped", reason))
        if not reason or leave:
            kept.append(example)
    return kept, found
