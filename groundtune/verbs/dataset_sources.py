"""Where training examples come from: documents' texts, what may be trained on, who may read it, and what is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundtune.access.register import AccessRegister
from groundtune.candidates.open import scoring_settings
from groundtune.config import DatasetFile, compile_glob
from groundtune.dataset.check import audience_of_example
from groundtune.dataset.formats import read_examples
from groundtune.dataset.manifest import audience_in_file
from groundtune.dataset.read import read_questions
from groundtune.decision.setup import documents_with_text
from groundtune.decision.task import prepare
from groundtune.errors import TooFewQuestions
from groundtune.ingest.reading import stored_document
from groundtune.store.workspace import Workspace
from groundtune.types import LOCAL, Audience, Example


def users_named(workspace: Workspace) -> tuple[str, ...]:
    """Principals of those who will use the model."""
    return (LOCAL,) if workspace.config.access.single else workspace.config.training.audience


class Texts:
    """The texts of the documents that were read."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._rows = documents_with_text(workspace) if workspace.config.documents else {}

    @property
    def names(self) -> list[str]:
        return sorted(self._rows)

    def text(self, name: str) -> str | None:
        return stored_document(self._workspace, self._rows[name]).text if name in self._rows else None


class Policy:
    """Whether the source of an example may be trained on."""

    def __init__(self, workspace: Workspace, files: Sequence[DatasetFile]) -> None:
        self._files = {str(workspace.root / one.path): one for one in files}
        self._documents = [(compile_glob(one.match), one) for one in workspace.config.dataset.documents]

    def why_not(self, example: Example) -> str:
        file = self._files[example.origin.rpartition(":")[0]]
        if not file.train:
            return f"groundtune.toml says that {file.path} may not be trained on"
        documents = sorted({evidence.document for evidence in example.evidence})
        return next((why for document in documents if (why := self.document(document))), "")

    def document(self, name: str) -> str:
        """Why a document may not be trained on; empty when it may."""
        rule = next((rule for pattern, rule in self._documents if pattern.fullmatch(name)), None)
        if rule is None:
            return f"no rule of dataset.documents says whether {name} may be trained on"
        return "" if rule.train else f"groundtune.toml says that {name} may not be trained on (match = {rule.match!r})"


class Audiences:
    """Who may read an example now."""

    def __init__(self, workspace: Workspace, files: Sequence[DatasetFile]) -> None:
        self._register = AccessRegister(workspace.database)
        self._files = {str(workspace.root / one.path): one for one in files}

    def of(self, example: Example) -> Audience:
        file = self._files[example.origin.rpartition(":")[0]]
        if file.read is None:
            return audience_of_example(example, self._register.audience)
        own = Audience(frozenset(frozenset(clause) for clause in file.read), frozenset(file.deny))
        return audience_in_file(example, own, lambda one: audience_of_example(one, self._register.audience))


def held_out(workspace: Workspace, texts: Texts, *, own: Sequence[Path]) -> tuple[dict[str, Example], list[str]]:
    """What the model will be tested on: dev and test of a sealed question file, all of a smaller one, and all of `held_out`."""
    held: dict[str, Example] = {}
    notes: list[str] = []
    for name in workspace.config.dataset.held_out:
        held |= {one.id: one for one in read_examples(workspace.root / name).examples}
    if not workspace.questions.exists():
        if not held:
            notes.append("There are no questions to test on, so nothing was compared with a test set.")
        return held, notes
    reading = read_questions(workspace.questions)
    config = workspace.config
    try:
        task = prepare(
            reading,
            document_text=texts.text,
            documents=texts.names,
            metric=config.metric,
            principals=config.access.questions,
            folds_wanted=config.decision.folds,
            seed=config.decision.seed,
            settings=scoring_settings(workspace),
        )
    except TooFewQuestions:
        return held | {one.id: one for one in reading.examples}, notes
    if task.scheme == "sealed test":
        learned = set(task.folds[0].train)
        return held | {one.id: one for one in reading.examples if one.id not in learned}, notes
    if workspace.questions.resolve() in own:
        notes.append(
            "The questions are fewer than 300, so every one of them is tested out of fold: what is trained on this dataset "
            "cannot be scored on them."
        )
        return held, notes
    return held | {one.id: one for one in reading.examples}, notes
