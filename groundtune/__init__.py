"""Groundtune: build every option on your own data, race them honestly, ship the winner.

The public surface is `__all__`; each name is imported on first use, so that `import groundtune` stays light.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Answer": "groundtune.types",
    "Audience": "groundtune.types",
    "Caller": "groundtune.types",
    "Candidate": "groundtune.types",
    "Citation": "groundtune.types",
    "Example": "groundtune.types",
    "Filter": "groundtune.types",
    "Hit": "groundtune.types",
    "Situation": "groundtune.decision.advise",
    "Verdict": "groundtune.types",
    "GroundtuneError": "groundtune.errors",
    "advise": "groundtune.verbs.advice",
    "ask": "groundtune.verbs.knowledge",
    "ask_stream": "groundtune.verbs.answering",
    "build_dataset": "groundtune.verbs.dataset_writing",
    "check_dataset": "groundtune.verbs.datasets",
    "compact": "groundtune.verbs.knowledge",
    "decide": "groundtune.verbs.racing",
    "doctor": "groundtune.verbs.machine",
    "erase": "groundtune.verbs.knowledge",
    "evaluate": "groundtune.verbs.racing",
    "explain_search": "groundtune.verbs.answering",
    "export": "groundtune.verbs.exporting",
    "init": "groundtune.verbs.knowledge",
    "learned": "groundtune.verbs.learning",
    "lineage": "groundtune.verbs.tracing",
    "models": "groundtune.verbs.machine",
    "plan": "groundtune.verbs.planning",
    "report": "groundtune.verbs.racing",
    "search": "groundtune.verbs.knowledge",
    "show": "groundtune.verbs.knowledge",
    "sweep": "groundtune.verbs.sweeping",
    "sync": "groundtune.verbs.knowledge",
    "train": "groundtune.verbs.racing",
}

if TYPE_CHECKING:
    from groundtune.decision.advise import Situation
    from groundtune.errors import GroundtuneError
    from groundtune.types import Answer, Audience, Caller, Candidate, Citation, Example, Filter, Hit, Verdict
    from groundtune.verbs.advice import advise
    from groundtune.verbs.answering import ask_stream, explain_search
    from groundtune.verbs.dataset_writing import build_dataset
    from groundtune.verbs.datasets import check_dataset
    from groundtune.verbs.exporting import export
    from groundtune.verbs.knowledge import ask, compact, erase, init, search, show, sync
    from groundtune.verbs.learning import learned
    from groundtune.verbs.machine import doctor, models
    from groundtune.verbs.planning import plan
    from groundtune.verbs.racing import decide, evaluate, report, train
    from groundtune.verbs.sweeping import sweep
    from groundtune.verbs.tracing import lineage

__all__ = [
    "Answer",
    "Audience",
    "Caller",
    "Candidate",
    "Citation",
    "Example",
    "Filter",
    "GroundtuneError",
    "Hit",
    "Situation",
    "Verdict",
    "__version__",
    "advise",
    "ask",
    "ask_stream",
    "build_dataset",
    "check_dataset",
    "compact",
    "decide",
    "doctor",
    "erase",
    "evaluate",
    "explain_search",
    "export",
    "init",
    "learned",
    "lineage",
    "models",
    "plan",
    "report",
    "search",
    "show",
    "sweep",
    "sync",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'groundtune' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The room `groundtune/models` and the verb `models` share a name; importing the room must not hide the verb."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
