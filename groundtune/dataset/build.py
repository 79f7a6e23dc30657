"""Question-answer-evidence examples that a model writes from passages, and what is held against each. Knows no workspace.

The model proposes; checks that need no model decide: the quote stands in the document, the answer in the quote, the question is
one, does not speak of "the passage", and is no near duplicate. Then the model is asked without the document: what it knows by
heart teaches nothing and says nothing about retrieval.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from groundtune.dataset.check import locate
from groundtune.dataset.near import NearDuplicates, normal
from groundtune.interfaces import LanguageModel, Progress
from groundtune.prompting.templates import render
from groundtune.store.stages import Stages
from groundtune.types import Chunk, Evidence, Example, Message

KINDS: Mapping[str, str] = {
    "fact": "question that asks what, who, which or where",
    "number": "question that asks how many, how much, how long or when",
    "reason": "question that asks why or what for",
    "procedure": "question that asks how something is done",
}
"""Kind -> what the model is asked for; the kinds take turns, but a sentence without a digit is not asked for a number."""
UNANSWERABLE = "unanswerable"

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_LINE = re.compile(r"^\W*(question|answer|quote)\W*?:\s*(.+)$", re.IGNORECASE | re.MULTILINE)
_POINTS = re.compile(r"\b(?:passage|text|above|document|paragraph|sentence|excerpt)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_FEWEST_WORDS = 4
_LONGEST_ANSWER = 40
"""Words."""
_KNOWN = 0.6
"""Share of the answer's words that a closed-book answer must hold to count as known."""
_COVERED = 0.75
"""Share of a question's long words in one passage from which on that passage may answer it."""
_LONG_WORD = 4
"""Letters from which on a word counts as content."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that may be learned from."""

    chunk: Chunk
    title: str
    """Of the document."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the model is asked to write about one passage."""

    id: str
    passage: Passage
    kind: str
    sentence: str
    """That the answer is to be in; empty for an unanswerable question."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What became of a wish."""

    wish: Wish
    example: Example | None
    reason: str
    """Why there is no example; empty when there is."""


def wishes(passages: Sequence[Passage], *, count: int, unanswerable: float, seed: int) -> list[Wish]:
    """What to ask for, in the order in which it is asked: drawn by a hash of seed and passage, every passage once a round."""
    order = sorted(passages, key=lambda one: hashlib.sha256(f"{seed}:{one.chunk.id}".encode()).digest())
    found: list[Wish] = []
    for passage in order:
        sentences = [one.strip() for one in _SENTENCE.split(passage.chunk.text) if len(_WORD.findall(one)) >= 6]
        if not sentences or len(found) >= count:
            continue
        number = len(found)
        id = f"{passage.chunk.id}@{seed}"
        if unanswerable and int((number + 1) * unanswerable) > int(number * unanswerable):
            found.append(Wish(id, passage, UNANSWERABLE, ""))
            continue
        sentence = sentences[int(hashlib.sha256(id.encode()).hexdigest(), 16) % len(sentences)]
        kinds = [kind for kind in KINDS if kind != "number" or any(letter.isdigit() for letter in sentence)]
        found.append(Wish(id, passage, kinds[number % len(kinds)], sentence))
    return found


def prompt_of(wish: Wish) -> tuple[Message, ...]:
    """The conversation that asks the model for this wish."""
    text = render(
        "write_example",
        unanswerable=wish.kind == UNANSWERABLE,
        kind=KINDS.get(wish.kind, ""),
        title=wish.passage.title,
        passage=wish.passage.chunk.text,
        sentence=wish.sentence,
    )
    return (Message("user", text),)


def proposal_of(wish: Wish, reply: str, *, text: str) -> Proposal:
    """The example that a reply gives, with its evidence located in `text`, the document; or why it gives none."""
    said = {name.lower(): value.strip().strip('"') for name, value in reversed(_LINE.findall(reply))}
    question, answer, quote = (said.get(name, "") for name in ("question", "answer", "quote"))
    reason = _fault_of_question(question)
    if not reason and wish.kind == UNANSWERABLE:
        return Proposal(wish, Example(_id(question), question, (), kind=UNANSWERABLE), "")
    if not reason and not (answer and quote):
        reason = "the reply lacks an answer or a quote"
    spans = locate(quote, text) if not reason else None
    if not reason and not spans:
        reason = "the quote does not stand in the document"
    if not reason and f" {normal(answer)} " not in f" {normal(quote)} ":
        reason = "the answer does not stand in the quote"
    if not reason and len(answer.split()) > _LONGEST_ANSWER:
        reason = "the answer is too long"
    if not reason and normal(answer) in normal(question):
        reason = "the question gives its answer away"
    if reason:
        return Proposal(wish, None, reason)
    evidence = Evidence(wish.passage.chunk.document, quote, spans=spans or ())
    return Proposal(wish, Example(_id(question), question, (answer,), evidence=(evidence,), kind=wish.kind), "")


def _fault_of_question(question: str) -> str:
    if not question:
        return "the reply holds no question"
    if not question.endswith("?") or len(_WORD.findall(question)) < _FEWEST_WORDS:
        return "the question is no question"
    if _POINTS.search(question):
        return "the question points at the passage"
    return ""


def _id(question: str) -> str:
    return f"b-{hashlib.sha256(question.encode()).hexdigest()[:12]}"


def known_by_heart(example: Example, reply: str) -> bool:
    """Whether an answer given without the document holds the words of the right one."""
    wanted, given = normal(example.answers[0]).split(), Counter(normal(reply).split())
    shared = sum(min(count, given[word]) for word, count in Counter(wanted).items())
    return shared >= _KNOWN * len(wanted)


def may_be_answered(question: str, passages: Sequence[Passage]) -> str:
    """The id of a passage that holds most of a question's content words, so that it may answer it; empty when there is none."""
    wanted = {word for word in normal(question).split() if len(word) >= _LONG_WORD}
    for passage in passages:
        words = set(normal(f"{passage.title} {passage.chunk.text}").split())
        if wanted and len(wanted & words) >= _COVERED * len(wanted):
            return passage.chunk.id
    return ""


def choose(proposals: Sequence[Proposal], *, existing: Sequence[Example], passages: Sequence[Passage]) -> list[Proposal]:
    """Each proposal once more: refused when it asks nearly what an earlier one or an existing question asks, or, where it is to
    be unanswerable, when some passage holds its words."""
    seen = NearDuplicates()
    for example in existing:
        seen.add(f"existing {example.id}", example.question)
    chosen = []
    for number, one in enumerate(proposals):
        reason = one.reason
        if one.example is not None:
            if seen.like(one.example.question):
                reason = "nearly the same question is there already"
            elif one.wish.kind == UNANSWERABLE and may_be_answered(one.example.question, passages):
                reason = "it was to be unanswerable, and a passage holds its words"
            else:
                seen.add(f"new {number}", one.example.question)
        chosen.append(replace(one, example=None, reason=reason) if reason else one)
    return chosen


def replies(
    model: LanguageModel,
    conversations: Mapping[str, tuple[Message, ...]],
    *,
    stages: Stages,
    stage: str,
    max_new_tokens: int,
    batch_size: int,
    parents: Sequence[str],
    progress: Progress | None,
) -> dict[str, str]:
    """What the model says to each conversation, in batches that are stored: an interrupted run goes on where it stopped."""
    items = {id: [[message.role, message.content] for message in said] for id, said in conversations.items()}

    def compute(ids: list[str]) -> list[str]:
        return [one.text for one in model.generate([conversations[id] for id in ids], max_new_tokens=max_new_tokens)]

    found: dict[str, str] = stages.map(
        stage,
        version=1,
        key={"model": model.fingerprint, "max_new_tokens": max_new_tokens},
        items=items,
        batch_size=batch_size,
        compute=compute,
        parents=parents,
        progress=progress,
    )
    return found


def statement(model: str, *, asked: int, written: int, reasons: Mapping[str, int]) -> str:
    """What the figures say about this model as a writer, in two sentences; small models are told what they are."""
    share = written / asked if asked else 0.0
    worst = max(reasons, key=lambda reason: reasons[reason], default="")
    told = f"{model} wrote {written} usable examples from {asked} passages ({share:.0%})"
    told += f"; most often {worst}." if worst else "."
    if share < 0.25:
        return f"{told} It is a poor writer of examples: take a larger model (--model), or write them by hand."
    return f"{told} Usable means that quote and answer stand in the document, not that the question is a good one: read them."
