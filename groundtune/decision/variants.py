"""What can be chosen about an untuned candidate: its examples and its instruction. Knows recipes; measures nothing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from groundtune.decision.halving import Setting
from groundtune.errors import DataError
from groundtune.store.workspace import Workspace
from groundtune.types import Candidate, NearestExamples

TRIED = (2, 4, 8)
"""Numbers of examples, beside the candidate's own."""

PRESENT = "as it is"

_CHOICES: tuple[Literal["nearest", "spread"], ...] = ("nearest", "spread")
"""A single example cannot be spread."""


def variants_of(candidate: Candidate, instructions: Mapping[str, str]) -> dict[Setting, Candidate]:
    """Every combination of examples and instruction (what it is called -> text); the first is the candidate as it is."""
    shown: list[tuple[str, NearestExamples | None]] = [(PRESENT, candidate.examples)]
    if candidate.examples is not None:
        counts = sorted({*TRIED, candidate.examples.k})
        others = [NearestExamples(k, choice) for k in counts for choice in _CHOICES[: min(k, 2)]]
        shown += [(f"{one.k} {one.choice}", one) for one in others if one != candidate.examples]
    told = [(PRESENT, candidate.instruction)]
    told += [(name, text) for name, text in instructions.items() if text != candidate.instruction]
    return {
        (first, second): replace(candidate, examples=examples, instruction=instruction)
        for (second, instruction), (first, examples) in itertools.product(told, shown)
    }


def can_vary(candidate: Candidate) -> bool:
    """What already runs is not ours to change, and weights learned the prompt that they were trained with."""
    return candidate.external is None and candidate.tuning is None


def instructions_of(workspace: Workspace) -> dict[str, str]:
    """The files of `decision.instructions`: path in the workspace -> text. Raises DataError for a glob without a file, and for
    a file without text."""
    found: dict[str, str] = {}
    for pattern in workspace.config.decision.instructions:
        files = sorted(path for path in workspace.root.glob(pattern) if path.is_file())
        if not files:
            raise DataError(
                "no file is there for decision.instructions.",
                subject=pattern,
                remedy="Write one instruction a file.",
            )
        for path in files:
            try:
                text = path.read_text(encoding="utf-8").strip()
            except UnicodeDecodeError as error:
                raise DataError(f"an instruction is not UTF-8: {error.reason}.", subject=str(path)) from error
            if not text:
                raise DataError("an instruction is empty.", subject=str(path), remedy="Write what the model is to do.")
            found[path.relative_to(workspace.root).as_posix()] = text
    return found


def described(setting: Setting, names: Sequence[str] = ("examples", "instruction")) -> str:
    """A setting in words."""
    changed = [f"{name} {option}" for name, option in zip(names, setting, strict=True) if option != PRESENT]
    return ", ".join(changed) or PRESENT
