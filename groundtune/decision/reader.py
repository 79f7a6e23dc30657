"""The reader probe: an adapter that has learned to read from the small shipped firm, and none of the task's facts.

An untuned small model may make nothing of evidence that it would use well once tuned, so the gold-evidence probe alone
undersells tuning. The reader is trained once a model, on other documents, with passages shown as retrieval shows them (RAFT,
Zhang et al. 2024, arXiv:2403.10131, with one distractor), and answers the task's items with their gold evidence in the prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path

from groundtune.answer.prompts import render_prompt
from groundtune.candidates.workshop import Weights, Workshop
from groundtune.dataset.check import check_evidence
from groundtune.dataset.read import read_questions
from groundtune.decision.probes import passage
from groundtune.interfaces import Progress
from groundtune.store.stages import digest
from groundtune.training.data import TrainingPair, pairs_digest
from groundtune.training.trainer import ABOUT, train
from groundtune.types import EVERYONE, NOT_IN_DOCUMENTS, Audience, Candidate, Chunk, Document, Example, Hit, Tuning

DEMO = "groundtune.demo"


@dataclass(frozen=True)
class Reader:
    """What would be trained; nothing is until `weights` is called."""

    candidate: Candidate
    """The retrieving candidate, with tuning."""
    pairs: tuple[TrainingPair, ...]
    folder: Path
    seed: int

    @property
    def trained(self) -> bool:
        return (self.folder / ABOUT).exists()

    def weights(self, *, progress: Progress | None = None) -> Weights:
        """The reader's weights, trained at the first call. They hold shipped text only, so everybody may use them."""
        tuning = self.candidate.tuning or Tuning()
        result = train(self.candidate.model, self.pairs, tuning, out=self.folder, seed=self.seed, progress=progress)
        return Weights(self.folder.name, result.adapter, Audience.of(EVERYONE), (), len(self.pairs), (), (), result)


def reader(candidate: Candidate, *, workshop: Workshop, tuning: Tuning, folder: Path, seed: int) -> Reader:
    """The reader of a retrieving candidate's model; its weights lie in `folder` under their own digest."""
    recipe = replace(candidate, tuning=tuning, examples=None)
    pairs = reading_pairs(recipe)
    base = workshop.model(candidate.model).fingerprint
    identity = digest({"base": base, "pairs": pairs_digest(pairs), "tuning": asdict(tuning), "seed": seed})[:16]
    return Reader(recipe, pairs, folder / f"reader-{identity}", seed)


def shares_questions(examples: Sequence[Example]) -> bool:
    """Whether the task asks what the reader learned: then it knows the answers, and measures nothing."""
    asked = {example.question for example in examples}
    return any(example.question in asked for example in _demo()[0])


def reading_pairs(candidate: Candidate) -> tuple[TrainingPair, ...]:
    """The small firm's questions, each with its evidence's passage and one of another document, in an order drawn by its id."""
    examples, texts = _demo()
    passages = {example.id: found for example in examples if (found := _passage(example, texts)) is not None}
    pairs: list[TrainingPair] = []
    for example in examples:
        gold = passages.get(example.id)
        if example.answers and gold is None:
            continue
        others = [hit for hit in passages.values() if gold is None or hit.chunk.document != gold.chunk.document]
        drawn = int(hashlib.sha256(example.id.encode()).hexdigest(), 16)
        shown = [others[drawn % len(others)]]
        shown.insert(drawn // len(others) % 2, gold if gold is not None else others[(drawn + 1) % len(others)])
        answer = example.answers[0] if example.answers else NOT_IN_DOCUMENTS
        messages = tuple(render_prompt(candidate, example.question, hits=shown))
        pairs.append(TrainingPair(example.id, messages, answer, Audience.of(EVERYONE)))
    return tuple(pairs)


def _passage(example: Example, texts: dict[str, str]) -> Hit | None:
    for evidence in example.evidence:
        for span in evidence.spans:
            name, text = evidence.document, texts[evidence.document]
            document = Document(name, Path(name).stem, text, "")
            start, end = passage(document, *span)
            return Hit(Chunk(f"{name}#{start}-{end}", name, text[start:end], start, end), document.title, 1.0)
    return None


def _demo() -> tuple[list[Example], dict[str, str]]:
    """The shipped questions with their evidence located in the Markdown from which the shipped documents were made."""
    home = Path(str(files(DEMO)))
    texts = {
        path.relative_to(home / "documents").as_posix(): path.read_text("utf-8") for path in home.glob("documents/**/*.md")
    }
    for path in home.glob("sources/**/*.md"):
        texts[path.relative_to(home / "sources").as_posix().removesuffix(".md")] = path.read_text("utf-8")
    reading = read_questions(home / "questions.jsonl")
    return list(check_evidence(reading.examples, texts.get, documents=texts).examples), texts
