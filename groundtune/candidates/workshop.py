"""What the candidates of one run share, and the weights that were made for one. Makes models and connections once."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from groundtune.answer.assistant import DocumentRetriever
from groundtune.answer.transports import CallableTransport, CommandTransport, HttpTransport, Transport
from groundtune.dataset.kept import Kept
from groundtune.interfaces import Embedder, LanguageModel, Reranker
from groundtune.models import load_model
from groundtune.plugins import load
from groundtune.scoring.settings import NOTHING_SET, Settings
from groundtune.store.database import Database
from groundtune.training.trainer import TrainingResult
from groundtune.types import Audience, Candidate, Example, External


@dataclass(frozen=True, slots=True)
class Weights:
    """What tuning made, and who may use it."""

    id: str
    """Digest of base, pairs, settings and seed."""
    adapter: Path
    audience: Audience
    """The conjunction over every training pair, as it stood at training."""
    documents: tuple[str, ...]
    """Every document whose text or answer entered; each one's audience is asked again at every request."""
    pairs: int
    unreadable: tuple[str, ...]
    """Ids of the training examples (domain: documents) that some named user may not read; they did not enter."""
    without_gold: tuple[str, ...]
    """raft: ids of examples whose evidence was in no readable chunk."""
    result: TrainingResult
    withheld: tuple[str, ...] = ()
    """dpo, kto: ids of rows that ask what a race will ask."""
    dataset: str = ""
    """Id of the dataset that was learned from beside the task's examples; empty without one."""
    problems: tuple[str, ...] = ()
    """Rows of a file that could not be used, each with its line."""
    start: Weights | None = None
    """Those that were tuned further."""


GROUP = "groundtune.candidates"
"""Entry points of installed packages that answer questions: `callable = "NAME:anything"`."""


@dataclass
class Workshop:
    """What the candidates of one run share: each part is made once.

    `audience_of` gives the audience of an example at the newest policy; `trained_for` are the principals whom the operator
    named as users of tuned weights: each of them alone must be able to read every example that enters. `database` is where
    weights are entered before they are trained, and asked at every request whether they were withdrawn.
    """

    database: Database
    embedder: Embedder
    retriever: DocumentRetriever | None
    audience_of: Callable[[Example], Audience]
    evidence: Mapping[str, Sequence[tuple[str, int, int]]]
    """Item id -> located evidence spans (document, start, end)."""
    trained_for: tuple[str, ...]
    asked_by: tuple[str, ...] = ()
    """Principals who ask what names nobody."""
    labels: tuple[str, ...] = ()
    questions: frozenset[str] = frozenset()
    """Every question of the task; preferences that ask one which is not learned from stay out."""
    metric: str = "f1"
    """The task's, by which epochs and learning rates are compared."""
    scoring: Settings = NOTHING_SET
    """What some metrics need when they reward drawn answers."""
    reranker: Reranker | None = None
    """That of the retriever."""
    follow_up: Literal["words", "model", "off"] = "words"
    """How a question in a conversation is searched for; see `groundtune.answer.follow_up`."""
    dataset: Callable[[str], Kept] | None = None
    """Id, its beginning or `newest` -> a dataset that came through the gate."""
    folder: Path | None = None
    """Where commands are run; None: the current folder."""
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """Candidate -> the Python callable that was handed over with it."""
    _models: dict[tuple[str, Path | None], LanguageModel] = field(default_factory=dict)
    _transports: dict[str, Transport] = field(default_factory=dict)

    def model(self, name: str, adapter: Path | None = None) -> LanguageModel:
        """The model, loaded once."""
        key = (name, adapter)
        if key not in self._models:
            self._models[key] = load_model(name, adapter=adapter)
        return self._models[key]

    def transport(self, candidate: Candidate, external: External) -> Transport:
        """The way to a system that runs, made once: its connections are kept."""
        if candidate.name not in self._transports:
            self._transports[candidate.name] = self._open(candidate.name, external)
        return self._transports[candidate.name]

    def _open(self, name: str, external: External) -> Transport:
        if external.kind == "http":
            return HttpTransport(name, external)
        if external.kind == "command":
            return CommandTransport(name, external, folder=self.folder)
        return CallableTransport(name, self.functions.get(name) or load(external.target[0], group=GROUP))

    def release_tuned(self) -> None:
        """Drop every loaded model that has an adapter: a fold's weights are not needed once the fold is answered."""
        self._models = {key: model for key, model in self._models.items() if key[1] is None}
        gc.collect()
