"""Instructions that a stronger model writes from some errors of the present one. Knows who may read those; scores nothing.

Source: Zhou et al., "Large Language Models Are Human-Level Prompt Engineers", ICLR 2023 (a model proposes, a score chooses);
that it is shown errors is from Pryzant et al., "Automatic Prompt Optimization with 'Gradient Descent' and Beam Search", EMNLP
2023. One round, and no second prompt that describes the errors first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from groundtune.access.audience import may_read
from groundtune.access.register import AccessRegister
from groundtune.answer.prompts import render_prompt
from groundtune.dataset.build import replies
from groundtune.dataset.near import normal
from groundtune.decision.setup import Setup
from groundtune.decision.texts import readers_of
from groundtune.errors import ModelFailure
from groundtune.interfaces import LanguageModel, Progress
from groundtune.prompting.templates import render
from groundtune.types import NOT_IN_DOCUMENTS, Caller, Candidate, Example, Message, Score, WholeDocuments

PROPOSED = 4
"""Instructions asked for, one candidate."""

SHOWN = 6
"""Errors shown, at most."""

REPLY_TOKENS = 400

_RUN = 4
"""Words in a row that an instruction may not share with a text that its writer was shown."""
_LONGEST = 80
"""Words of an instruction."""
_LINE = re.compile(r"^[\W\d_]*instruction[\W\d_]*?:[^\S\n]*(.+)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Proposals:
    """What a model wrote for one candidate."""

    model: str
    shown: int
    """Errors that it was shown."""
    withheld: int
    """Errors that some reader or user may not read."""
    instructions: tuple[str, ...]
    refused: tuple[str, ...]
    """Why some of what it wrote is not tried."""


def propose(
    setup: Setup, candidate: Candidate, writer: LanguageModel, *, scores: Sequence[Score], progress: Progress | None = None
) -> Proposals:
    """Further instructions for `candidate`, whose `scores` on the dev part are given.

    The instruction will be told to every caller and stands in the report. So an error is shown only when every user of
    `training.audience` and every reader of `decision.report_audience` may read its question, and its answer only when they may
    read all that it may rest on. A writer that fails proposes nothing, and its reason is among those of `refused`.
    """
    metric, by_id = setup.task.metric, setup.task.by_id()
    rights = _Rights(setup)
    wrong = [score for score in scores if score.metrics.get(metric, 1.0) < 0.5]
    wrong.sort(key=lambda score: (score.metrics[metric], score.item))
    readable = [score for score in wrong if rights.may_see(by_id[score.item])]
    shown = readable[:SHOWN]
    errors = [_error(by_id[score.item], score if rights.may_see_answer(candidate, score) else None) for score in shown]
    prompt = render_prompt(candidate, "...", labels=setup.workshop.labels)[-1].content
    asked = (Message("user", render("propose", count=PROPOSED, prompt=prompt, metric=metric, errors=errors)),)
    try:
        said = replies(
            writer,
            {candidate.name: asked},
            stages=setup.workspace.stages,
            stage="propose instructions",
            max_new_tokens=REPLY_TOKENS,
            batch_size=1,
            parents=sorted({one.document for score in shown for one in by_id[score.item].evidence}),
            progress=progress,
        )[candidate.name]
    except ModelFailure as error:
        return Proposals(writer.name, len(shown), len(wrong) - len(readable), (), (str(error),))
    texts = [error["question"] for error in errors] + [error["answer"] for error in errors]
    texts += [] if setup.task.labels else [error["expected"] for error in errors]
    kept, refused = usable(said, shown=texts, known=[candidate.instruction])
    return Proposals(writer.name, len(shown), len(wrong) - len(readable), kept, refused)


def usable(reply: str, *, shown: Sequence[str], known: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(instructions of a reply, why others of its lines are none): new, short, and repeating nothing of what was shown."""
    runs = {run for text in shown for run in _runs(text)}
    seen = {normal(text) for text in known}
    kept: list[str] = []
    refused: list[str] = []
    for text in filter(normal, (found.strip(' \t"*') for found in _LINE.findall(reply))):
        if normal(text) in seen:
            refused.append("it was there already")
        elif len(text.split()) > _LONGEST:
            refused.append(f"it has more than {_LONGEST} words")
        elif any(f" {run} " in f" {normal(text)} " for run in runs):
            refused.append("it repeats what its writer was shown")
        elif len(kept) < PROPOSED:
            seen.add(normal(text))
            kept.append(text)
    return tuple(kept), tuple(refused) if kept or refused else ("the reply holds no instruction",)


def _runs(text: str) -> list[str]:
    """Every few words in a row; a shorter text as a whole, but no single word: that is vocabulary, such as yes and no."""
    words = normal(text).split()
    if len(words) < 2 or text == NOT_IN_DOCUMENTS:
        return []
    return [" ".join(words[start : start + _RUN]) for start in range(max(1, len(words) - _RUN + 1))]


def _error(example: Example, score: Score | None) -> Mapping[str, str]:
    expected = example.answers[0] if example.answers else NOT_IN_DOCUMENTS
    return {"question": example.question, "answer": score.answer if score is not None else "", "expected": expected}


class _Rights:
    """What all named users and readers may see."""

    def __init__(self, setup: Setup) -> None:
        users = [Caller.of(principal) for principal in setup.workshop.trained_for]
        readers = [Caller.of(*principals) for principals in readers_of(setup.workspace)]
        self._everybody = [*users, *readers] if users and readers else []
        self._audience_of = setup.workshop.audience_of
        self._register = AccessRegister(setup.workspace.database)
        by_id = setup.task.by_id()
        self._examples = [by_id[item] for item in setup.task.folds[0].train]

    def may_see(self, example: Example) -> bool:
        """Where no user or no reader is named, nothing."""
        audience = self._audience_of(example)
        return bool(self._everybody) and all(may_read(audience, caller) for caller in self._everybody)

    def may_see_answer(self, candidate: Candidate, score: Score) -> bool:
        """Whether they may read all that the answer may rest on."""
        if isinstance(candidate.context, WholeDocuments):
            return False
        rested = {chunk.rpartition("#")[0] for chunk in score.context}
        return all(rested <= self._register.readable(rested, caller) for caller in self._everybody) and (
            candidate.examples is None or all(self.may_see(example) for example in self._examples)
        )
