"""Examples and documents as training pairs: plain, retrieval-augmented, text. Knows who may read what; renders by a call."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from groundtune.access.audience import conjoin, may_read, to_json
from groundtune.answer.whole import Shelf
from groundtune.dataset.preferences import RatedReading
from groundtune.errors import NotFound
from groundtune.interfaces import Retriever
from groundtune.store.stages import digest
from groundtune.types import NOT_IN_DOCUMENTS, Audience, Caller, Chunk, Example, Hit, Message, Query, Tuning

Render = Callable[[Example, Sequence[Hit]], Sequence[Message]]
"""(example, hits) -> the conversation that serving would show the model."""

Span = tuple[str, int, int]
"""(document, start, end): located evidence, in characters of the document's text."""

POOL = 5
"""Hits searched per chunk shown, so that enough hard negatives remain beside the gold ones."""


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """One rendered example."""

    id: str
    messages: tuple[Message, ...]
    """The prompt as serving renders it; empty for plain text, all of which is learned."""
    answer: str
    audience: Audience
    """Who may learn of it: the example's audience and that of every document shown."""
    documents: tuple[str, ...] = ()
    """Ids of the documents whose text or answer it carries, sorted."""
    rejected: str = ""
    """dpo: the worse answer."""
    liked: bool = True
    """kto: whether the answer was liked."""
    example: Example | None = None
    """grpo: what drawn answers are scored by."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs, and what did not become one."""

    pairs: tuple[TrainingPair, ...]
    unreadable: tuple[str, ...] = ()
    """Examples (domain: documents) that some named user of the weights may not read."""
    without_gold: tuple[str, ...] = ()
    """raft: answerable examples whose evidence is in no chunk that every named user may read."""
    distractors_dropped: int = 0
    """raft: chunks left out so that a prompt fits."""
    abstaining: int = 0
    """Pairs whose answer is "not in the documents"."""
    dataset: str = ""
    """Id of the dataset that some of them come from; empty without one."""
    withheld: tuple[str, ...] = ()
    """dpo, kto: rows that ask what the race will ask."""
    problems: tuple[str, ...] = ()
    """Rows of a file that cannot be used, each with its line."""

    @property
    def audience(self) -> Audience:
        """Who may use weights trained on all of these."""
        return conjoin([pair.audience for pair in self.pairs])


def pairs_digest(pairs: Sequence[TrainingPair]) -> str:
    """SHA-256 over all that training reads of the pairs, hex."""
    return digest(
        [
            [
                pair.id,
                [[message.role, message.content] for message in pair.messages],
                pair.answer,
                to_json(pair.audience),
                pair.documents,
                *([pair.rejected, pair.liked] if pair.rejected or not pair.liked else []),
                *([asdict(pair.example)] if pair.example else []),
            ]
            for pair in pairs
        ]
    )


def sft_pairs(
    examples: Sequence[Example],
    *,
    users: Sequence[Caller],
    audience_of: Callable[[Example], Audience],
    render: Render,
) -> Pairs:
    """Question -> answer, one pair an example that each of `users` may read; an unanswerable one learns to abstain."""
    pairs: list[TrainingPair] = []
    unreadable: list[str] = []
    for example in examples:
        audience = audience_of(example)
        if not _all_may_read(audience, users):
            unreadable.append(example.id)
            continue
        documents = tuple(sorted({evidence.document for evidence in example.evidence}))
        pairs.append(TrainingPair(example.id, tuple(render(example, ())), _answer(example), audience, documents))
    return Pairs(tuple(pairs), tuple(unreadable), abstaining=sum(pair.answer == NOT_IN_DOCUMENTS for pair in pairs))


def domain_pairs(shelf: Shelf, *, users: Sequence[Caller]) -> Pairs:
    """The documents' own text, one pair a document that each of `users` may read: continued pre-training."""
    readable = [frozenset(shelf.readable_documents(caller=user)) for user in users]
    everyone = frozenset.intersection(*readable) if readable else frozenset()
    pairs: list[TrainingPair] = []
    for name in sorted(everyone):
        try:
            text = shelf.document(name, caller=users[0]).text
        except NotFound:  # removed or revoked since it was listed
            continue
        audience = shelf.audience(name)
        if text.strip() and _all_may_read(audience, users):
            pairs.append(TrainingPair(name, (), text, audience, (name,)))
    hidden = sorted(frozenset().union(*readable) - everyone)
    return Pairs(tuple(pairs), unreadable=tuple(hidden))


def rated_pairs(
    reading: RatedReading,
    *,
    users: Sequence[Caller],
    audience_of: Callable[[Example], Audience],
    render: Render,
    withheld: Collection[str] = (),
) -> Pairs:
    """Rated answers to prompts as serving renders them, one pair a row that each of `users` may read (dpo, kto).

    A row whose question is in `withheld` (folded) stays out: it would teach what is going to be asked.
    """
    pairs: list[TrainingPair] = []
    unreadable: list[str] = []
    asked: list[str] = []
    for rated in reading.rows:
        example, audience = rated.example, audience_of(rated.example)
        if not _all_may_read(audience, users):
            unreadable.append(example.id)
        elif folded(example.question) in withheld:
            asked.append(example.id)
        else:
            documents = tuple(sorted({evidence.document for evidence in example.evidence}))
            messages = tuple(render(example, ()))
            pair = TrainingPair(example.id, messages, rated.answer, audience, documents, rated.rejected, rated.liked)
            pairs.append(pair)
    problems = tuple(str(problem) for problem in reading.problems)
    return Pairs(tuple(pairs), tuple(unreadable), withheld=tuple(asked), problems=problems)


def with_examples(pairs: Pairs, examples: Sequence[Example]) -> Pairs:
    """The same pairs, each with the example that drawn answers are scored by; who learns to abstain is right to."""
    by_id = {example.id: example for example in examples}
    abstaining = {pair.id for pair in pairs.pairs if pair.answer == NOT_IN_DOCUMENTS}
    scored = {name: replace(one, answers=()) if name in abstaining else one for name, one in by_id.items()}
    return replace(pairs, pairs=tuple(replace(pair, example=scored[pair.id]) for pair in pairs.pairs))


def raft_pairs(
    examples: Sequence[Example],
    *,
    retriever: Retriever,
    users: Sequence[Caller],
    audience_of: Callable[[Example], Audience],
    evidence: Mapping[str, Sequence[Span]],
    render: Render,
    tuning: Tuning,
    k: int,
    seed: int,
    query: Callable[[Example], str | Query] = lambda example: example.question,
    pack: Callable[[Sequence[Hit]], Sequence[Hit]] = tuple,
    count: Callable[[Sequence[Message], str], int] | None = None,
) -> Pairs:
    """Question + retrieved chunks -> answer, after RAFT (Zhang et al. 2024, arXiv:2403.10131) without its chain of thought.

    Of the answerable examples `unanswerable_share` lose their gold chunk and learn to abstain; of the others `gold_share` keep
    it and the rest must answer from distractors alone. Distractors are what the production retriever returns beside the gold.
    `evidence` maps example id to located spans; without any, a hit that contains an answer word for word counts as gold.
    `pack` cuts hits, best first, to what serving would show; `count` gives the tokens of prompt + answer, and distractors go,
    worst first, until these fit `tuning.max_length`.
    """
    readable = [example for example in examples if _all_may_read(audience_of(example), users)]
    unreadable = tuple(example.id for example in examples if not _all_may_read(audience_of(example), users))
    finder = _Finder(retriever, users)
    found = {
        example.id: finder.gold_and_distractors(example, query(example), evidence.get(example.id, ()), k=k)
        for example in readable
    }
    answerable = [example.id for example in readable if example.answers and found[example.id][0]]
    abstain, without = _draw(answerable, tuning, seed=seed)
    pairs: list[TrainingPair] = []
    without_gold: list[str] = []
    dropped = 0
    for example in readable:
        gold, distractors = found[example.id]
        if example.answers and not gold:
            without_gold.append(example.id)
            continue
        answer = NOT_IN_DOCUMENTS if example.id in abstain else _answer(example)
        if example.id in abstain:
            distractors = [hit for hit in distractors if not _contains_answer(hit.chunk.text, example)]
        shown_gold = [] if example.id in abstain or example.id in without else gold[:k]
        hits = [*shown_gold, *distractors[: k - len(shown_gold)]]
        kept = list(pack(hits))
        order = random.Random(f"{seed}:{example.id}").sample(range(len(hits)), len(hits))  # noqa: S311 - an order, not a secret
        while True:
            shown = [hits[place] for place in order if place < len(kept)]
            messages = tuple(render(example, shown))
            if count is None or len(kept) <= max(len(shown_gold), 1) or count(messages, answer) <= tuning.max_length:
                break
            kept.pop()
        dropped += len(hits) - len(kept)
        documents = {hit.chunk.document for hit in shown} | {item.document for item in example.evidence}
        audience = conjoin([audience_of(example), *(retriever.audience(document) for document in sorted(documents))])
        pairs.append(TrainingPair(example.id, messages, answer, audience, tuple(sorted(documents))))
    abstaining = sum(pair.answer == NOT_IN_DOCUMENTS for pair in pairs)
    return Pairs(tuple(pairs), unreadable, tuple(without_gold), dropped, abstaining)


class _Finder:
    """Searches on behalf of every named user at once: what one of them may not read is not found."""

    def __init__(self, retriever: Retriever, users: Sequence[Caller]) -> None:
        self._retriever = retriever
        self._users = users

    def gold_and_distractors(
        self, example: Example, query: str | Query, spans: Sequence[Span], *, k: int
    ) -> tuple[list[Hit], list[Hit]]:
        """Chunks that hold the evidence and chunks that do not, each best first."""
        hits = self._search(query, k=k * POOL)
        if not spans:
            gold = [hit for hit in hits if example.answers and _contains_answer(hit.chunk.text, example)][:1]
            return gold, [hit for hit in hits if hit not in gold]
        distractors = [hit for hit in hits if not any(_overlaps(hit.chunk, span) for span in spans)]
        gold = []
        for span in spans:
            holding = [hit for hit in hits if _overlaps(hit.chunk, span)] or self._hold(span, k=k * POOL)
            best = max(holding, key=lambda hit: _shared(hit.chunk, span), default=None)
            if best is not None and best.chunk.id not in {hit.chunk.id for hit in gold}:
                gold.append(best)
        return gold, distractors

    def _search(self, query: str | Query, *, k: int) -> list[Hit]:
        hits = self._retriever.search(query, caller=self._users[0], k=k)
        return [hit for hit in hits if _all_may_read(self._retriever.audience(hit.chunk.document), self._users)]

    def _hold(self, span: Span, *, k: int) -> list[Hit]:
        """Chunks that the question did not find: searched by the evidence itself."""
        document, start, end = span
        if not _all_may_read(self._retriever.audience(document), self._users):
            return []
        try:
            quote = self._retriever.document(document, caller=self._users[0]).text[start:end]
        except NotFound:
            return []
        return [hit for hit in self._search(quote, k=k) if _overlaps(hit.chunk, span)]


def _draw(ids: Sequence[str], tuning: Tuning, *, seed: int) -> tuple[frozenset[str], frozenset[str]]:
    """(examples that abstain, examples that answer without gold), drawn by a hash of seed and id: the order does not matter."""
    drawn = sorted(ids, key=lambda one: hashlib.sha256(f"{seed}:{one}".encode()).digest())
    abstaining = round(tuning.unanswerable_share * len(drawn))
    without = round((1 - tuning.gold_share) * (len(drawn) - abstaining))
    return frozenset(drawn[:abstaining]), frozenset(drawn[abstaining : abstaining + without])


def _answer(example: Example) -> str:
    return example.answers[0] if example.answers else NOT_IN_DOCUMENTS


def _contains_answer(text: str, example: Example) -> bool:
    return any(folded(answer) in folded(text) for answer in example.answers)


def folded(text: str) -> str:
    """Without case and extra blank space."""
    return " ".join(text.casefold().split())


def _all_may_read(audience: Audience, users: Sequence[Caller]) -> bool:
    return bool(users) and all(may_read(audience, user) for user in users)


def _shared(chunk: Chunk, span: Span) -> int:
    document, start, end = span
    return min(chunk.end, end) - max(chunk.start, start) if chunk.document == document else 0


def _overlaps(chunk: Chunk, span: Span) -> bool:
    return _shared(chunk, span) > 0
