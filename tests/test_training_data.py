"""Training pairs: who may learn what, gold and distractors, shares, lengths; then tokens, masks and the order of batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundtune.access.audience import may_read
from groundtune.errors import DataError
from groundtune.models.weights import folder, installed
from groundtune.prompting.chat import ChatTokenizer
from groundtune.training.data import Pairs, TrainingPair, pairs_digest, raft_pairs, sft_pairs
from groundtune.training.encode import IGNORED, encode, encode_pair, schedule
from groundtune.types import NOT_IN_DOCUMENTS, Audience, Caller, Chunk, Document, Evidence, Example, Hit, Message, Tuning

EVERYONE = Audience.of("everyone")
STAFF = Audience.of("sales", "support")
LENGTH = 10
"""Characters of a chunk."""


class Shelf:
    """A retriever over documents cut every LENGTH characters: best are the chunks that share most words with the question."""

    fingerprint = "shelf"

    def __init__(self, texts: dict[str, str], audiences: dict[str, Audience] | None = None) -> None:
        self.texts = texts
        self.audiences = audiences or {}

    def search(self, question: str, *, caller: Caller, k: int) -> list[Hit]:
        hits = []
        for name, text in self.texts.items():
            if may_read(self.audience(name), caller):
                for start in range(0, len(text), LENGTH):
                    part = text[start : start + LENGTH]
                    score = len(set(part.split()) & set(question.split()))
                    hits.append(Hit(Chunk(f"{name}#{start}", name, part, start, start + len(part)), name, score))
        return sorted(hits, key=lambda hit: (-hit.score, hit.chunk.id))[:k]

    def document(self, document: str, *, caller: Caller) -> Document:
        return Document(document, document, self.texts[document], "")

    def audience(self, document: str) -> Audience:
        return self.audiences.get(document, EVERYONE)


def show(example: Example, hits: Sequence[Hit]) -> list[Message]:
    return [Message("user", "|".join([*(hit.chunk.text for hit in hits), example.question]))]


def shown(pair: TrainingPair) -> list[str]:
    return pair.messages[0].content.split("|")[:-1]


# Eight chunks: "red is aa ", "red is ab ", ...; question i asks for chunk i, every chunk shares words with every question.
NAMES = ["aa", "ab", "ac", "ad", "ae", "af", "ag", "ah"]
SHELF = Shelf({"colours": "".join(f"red is {name} " for name in NAMES)})
EXAMPLES = [
    Example(f"q{place}", f"red is {name}", (name,), evidence=(Evidence("colours", name),)) for place, name in enumerate(NAMES)
]
SPANS = {f"q{place}": [("colours", place * LENGTH + 7, place * LENGTH + 9)] for place in range(len(NAMES))}
ALL_GOLD = Tuning(objective="raft", gold_share=1.0, unanswerable_share=0.0)


def raft(
    examples: Sequence[Example] = EXAMPLES,
    *,
    tuning: Tuning = ALL_GOLD,
    retriever: Shelf = SHELF,
    users: Sequence[Caller] = (Caller(),),
    audience: Audience = EVERYONE,
    seed: int = 0,
    **more: object,
) -> Pairs:
    settings = {"evidence": SPANS, "render": show, "k": 3, **more}
    return raft_pairs(
        examples, retriever=retriever, users=users, audience_of=lambda _: audience, tuning=tuning, seed=seed, **settings
    )  # type: ignore[arg-type]


def test_gold_is_shown_among_hard_negatives() -> None:
    made = raft()
    for place, pair in enumerate(made.pairs):
        gold = f"red is {NAMES[place]} "
        assert shown(pair).count(gold) == 1
        assert len(set(shown(pair))) == 3
        assert pair.answer == NAMES[place]
        assert pair.documents == ("colours",)
    places = Counter(
        shown(pair).index(f"red is {NAMES[place]} ") for seed in range(30) for place, pair in enumerate(raft(seed=seed).pairs)
    )
    assert all(60 <= places[place] <= 100 for place in range(3))  # 240 draws: 80 each, four standard deviations are 29


def test_the_same_seed_gives_the_same_pairs_whatever_the_order() -> None:
    tuning = replace(ALL_GOLD, gold_share=0.5, unanswerable_share=0.25)
    forward, backward = raft(tuning=tuning), raft(EXAMPLES[::-1], tuning=tuning)
    assert {pair.id: pair for pair in forward.pairs} == {pair.id: pair for pair in backward.pairs}
    assert (
        pairs_digest(forward.pairs)
        == pairs_digest(raft(tuning=tuning).pairs)
        != pairs_digest(raft(tuning=tuning, seed=1).pairs)
    )


def test_shares_of_gold_and_abstention() -> None:
    made = raft(tuning=replace(ALL_GOLD, gold_share=0.5, unanswerable_share=0.25))
    abstaining = [pair for pair in made.pairs if pair.answer == NOT_IN_DOCUMENTS]
    with_gold = [pair for place, pair in enumerate(made.pairs) if f"red is {NAMES[place]} " in shown(pair)]
    assert made.abstaining == len(abstaining) == 2  # a quarter of eight
    assert len(with_gold) == 3  # half of the other six
    assert not set(abstaining) & set(with_gold)
    assert all(len(shown(pair)) == 3 for pair in made.pairs)


def test_an_abstaining_pair_shows_no_chunk_that_holds_the_answer() -> None:
    shelf = Shelf({"colours": "red is aa red is xx red is yy red is zz ", "echo": "it says aa"})
    made = raft(EXAMPLES[:1], tuning=replace(ALL_GOLD, unanswerable_share=1.0), retriever=shelf)
    assert made.pairs[0].answer == NOT_IN_DOCUMENTS
    assert "aa" not in "".join(shown(made.pairs[0]))


def test_unanswerable_examples_learn_to_abstain() -> None:
    made = raft([Example("u", "red is what", ())], evidence={})
    assert made.pairs[0].answer == NOT_IN_DOCUMENTS
    assert len(shown(made.pairs[0])) == 3


def test_gold_that_the_question_does_not_find_is_searched_by_the_evidence() -> None:
    shelf = Shelf({"colours": SHELF.texts["colours"] * 3, "odd": "qwertyuiop"})
    example = Example("o", "red is what", ("qwertyuiop",), evidence=(Evidence("odd", "qwertyuiop"),))
    made = raft([example], retriever=shelf, evidence={"o": [("odd", 0, 10)]})
    assert "qwertyuiop" in shown(made.pairs[0])
    assert made.pairs[0].documents == ("colours", "odd")


def test_without_evidence_a_hit_with_the_answer_is_gold_and_otherwise_the_example_is_left_out() -> None:
    lost = Example("lost", "red is what", ("nowhere",))
    made = raft([EXAMPLES[2], lost], evidence={})
    assert [pair.id for pair in made.pairs] == ["q2"]
    assert "red is ac " in shown(made.pairs[0])
    assert made.without_gold == ("lost",)


def test_distractors_go_before_the_gold_chunk_and_never_the_answer() -> None:
    def count(messages: Sequence[Message], answer: str) -> int:
        return len(messages[0].content) + len(answer)

    made = raft(tuning=replace(ALL_GOLD, max_length=34), count=count)  # question 9, answer 2, chunks 11 each with their bar
    assert all(len(shown(pair)) == 2 for pair in made.pairs)
    assert made.distractors_dropped == len(EXAMPLES)
    tight = raft(tuning=replace(ALL_GOLD, max_length=5), count=count)
    assert [shown(pair) for pair in tight.pairs] == [[f"red is {name} "] for name in NAMES]


def test_what_serving_would_pack_is_what_training_shows() -> None:
    made = raft(pack=lambda hits: hits[:2])
    assert all(len(shown(pair)) == 2 for pair in made.pairs)
    assert all(f"red is {NAMES[place]} " in shown(pair) for place, pair in enumerate(made.pairs))


def test_every_named_user_must_be_able_to_read_what_enters() -> None:
    """sales and support may each read `colours`; `secret` is for sales alone, so neither its text nor its questions enter."""
    shelf = Shelf({**SHELF.texts, "secret": "red is zz "}, {"colours": STAFF, "secret": Audience.of("sales")})
    secret = Example("s", "red is zz", ("zz",), evidence=(Evidence("secret", "zz"),))
    audiences = {"s": Audience.of("sales")}
    for users, may_know in (([Caller.of("sales"), Caller.of("support")], False), ([Caller.of("sales")], True)):
        made = raft_pairs(
            [*EXAMPLES, secret], retriever=shelf, users=users, audience_of=lambda one: audiences.get(one.id, STAFF),
            evidence={**SPANS, "s": [("secret", 7, 9)]}, render=show, tuning=ALL_GOLD, k=3, seed=0,
        )  # fmt: skip
        assert ("s" in {pair.id for pair in made.pairs}) == may_know
        assert (made.unreadable == ("s",)) != may_know
        assert any("zz" in pair.messages[0].content for pair in made.pairs) == may_know
        assert may_read(made.audience, Caller.of("sales"))
        assert may_read(made.audience, Caller.of("support")) != may_know
    assert raft(users=()).pairs == ()  # nobody named: nobody to read it


def test_the_audience_of_a_pair_holds_every_document_shown() -> None:
    shelf = Shelf({"a": "red is aa ", "b": "red is bb "}, {"a": Audience.of("x"), "b": Audience.of("y")})
    made = raft(EXAMPLES[:1], retriever=shelf, users=[Caller.of("x", "y")], evidence={"q0": [("a", 7, 9)]})
    assert made.pairs[0].documents == ("a", "b", "colours")
    assert made.audience == Audience(frozenset({frozenset({"x"}), frozenset({"y"})}))


def test_plain_pairs() -> None:
    examples = [*EXAMPLES[:2], Example("u", "who?", ()), Example("hidden", "what?", ("it",))]
    made = sft_pairs(
        examples,
        users=[Caller.of("sales")],
        audience_of=lambda one: Audience.of("ceo") if one.id == "hidden" else STAFF,
        render=show,
    )
    assert [(pair.id, pair.answer) for pair in made.pairs] == [("q0", "aa"), ("q1", "ab"), ("u", NOT_IN_DOCUMENTS)]
    assert made.unreadable == ("hidden",)
    assert made.abstaining == 1
    assert made.audience == STAFF
    assert made.pairs[0].messages == (Message("user", "red is aa"),)


# --- tokens -------------------------------------------------------------------------------------------------------------


class Letters:
    """One token a character; 1 ends a turn."""

    def render_pair(self, messages: Sequence[Message], answer: str) -> tuple[list[int], list[int]]:
        return [ord(letter) for message in messages for letter in message.content], [*map(ord, answer), 1]

    def encode(self, text: str) -> list[int]:
        return [*map(ord, text)]


def plain(text: str, answer: str, name: str = "p") -> TrainingPair:
    return TrainingPair(name, (Message("user", text),), answer, EVERYONE)


@given(st.text("abc ", min_size=1, max_size=30), st.text("xyz", min_size=1, max_size=9))
def test_the_mask_token_by_token(prompt: str, answer: str) -> None:
    encoded = encode_pair(plain(prompt, answer), Letters())
    assert encoded.ids == (*map(ord, prompt), *map(ord, answer), 1)
    for position, (token, label) in enumerate(zip(encoded.ids, encoded.labels, strict=True)):
        assert label == (token if position >= len(prompt) else IGNORED)
    assert encoded.answer_tokens == len(answer) + 1


@pytest.mark.skipif(installed("smollm2") is None, reason="the SmolLM2 weights are not installed (make setup)")
def test_the_mask_of_smollm2_token_by_token() -> None:
    """Learned are the answer and the end of turn, spelt as the model spells them; the prompt is what serving feeds."""
    tokens = ChatTokenizer.from_folder(folder("smollm2"))
    for answer in ("$125", "5%-10%", "naïve <|im_end|> text", NOT_IN_DOCUMENTS):
        pair = plain("Answer.\n\nQuestion: how much?", answer)
        encoded = encode_pair(pair, tokens)
        prompt = tokens.render_ids(pair.messages)
        assert list(encoded.ids[: len(prompt)]) == prompt
        assert set(encoded.labels[: len(prompt)]) == {IGNORED}
        assert encoded.labels[len(prompt) :] == encoded.ids[len(prompt) :]
        assert encoded.ids[-1] in tokens.stop_ids
        assert not set(encoded.ids[len(prompt) : -1]) & set(tokens.stop_ids)
        assert tokens.decode(encoded.ids[len(prompt) : -1]) == answer


def test_too_long_prompts_are_listed_and_answers_never_cut() -> None:
    kept, left_out = encode([plain("a" * 20, "bb", "fits"), plain("a" * 21, "bb", "over")], Letters(), max_length=23)
    assert [pair.id for pair in kept] == ["fits"]
    assert left_out == ["over"]
    with pytest.raises(DataError, match="long: its answer is 24 tokens"):
        encode([plain("a", "b" * 23, "long")], Letters(), max_length=23)
    with pytest.raises(DataError, match="every one of the 2 prompts is longer"):
        encode([plain("a" * 30, "b"), plain("a" * 31, "b")], Letters(), max_length=23)
    with pytest.raises(DataError, match="empty"):
        encode([plain("a", " ")], Letters(), max_length=23)
    with pytest.raises(DataError, match="nothing to train on"):
        encode([], Letters(), max_length=23)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=90), st.integers(1, 9), st.integers(1, 4), st.integers(0, 5))
def test_every_epoch_sees_every_pair_once(lengths: list[int], batch_size: int, epochs: int, seed: int) -> None:
    steps = schedule(lengths, epochs=epochs, batch_size=batch_size, seed=seed)
    per_epoch = len(steps) // epochs
    assert len(steps) == per_epoch * epochs
    for epoch in range(epochs):
        seen = [place for step in steps[epoch * per_epoch : (epoch + 1) * per_epoch] for place in step]
        assert sorted(seen) == list(range(len(lengths)))
    assert all(1 <= len(step) <= batch_size for step in steps)
    assert steps == schedule(lengths, epochs=epochs, batch_size=batch_size, seed=seed)


def test_batches_hold_neighbours_in_length() -> None:
    lengths = [(37 * place) % 200 for place in range(64)]
    steps = schedule(lengths, epochs=1, batch_size=8, seed=0)
    padded = sum(len(step) * max(lengths[place] for place in step) for step in steps)
    assert padded < 1.2 * sum(lengths)
    assert schedule(lengths, epochs=1, batch_size=8, seed=1) != steps
