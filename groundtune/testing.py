"""For people who write plugins: the fakes, and checks that any language model or embedder must pass. Knows the seams only."""

from __future__ import annotations

import numpy as np

from groundtune.errors import UsageError
from groundtune.interfaces import Embedder, LanguageModel
from groundtune.models.fake import FakeEmbedder, FakeModel, remember
from groundtune.types import Message

__all__ = ["FakeEmbedder", "FakeModel", "check_embedder", "check_language_model", "remember"]

CONVERSATIONS = (
    (Message("user", "Question: What is the capital of France?"),),
    (Message("system", "Answer in one word."), Message("user", "Text: naïve café, 42 €, 日本語 🙂")),
    (Message("user", "Say: a"), Message("assistant", "a"), Message("user", "Question: Say b\n\nand c")),
)

TEXTS = ("The notice period is thirty days.", "x", "", "naïve café, 42 €, 日本語 🙂", "word " * 2000)


def check_language_model(model: LanguageModel, *, max_new_tokens: int = 6) -> None:
    """Assert what every LanguageModel promises; costs about ten short answers."""
    assert ":" in model.name, "name is provider:name"
    assert model.fingerprint, "fingerprint is not empty"
    assert isinstance(model.local, bool), "local is True or False"
    assert model.window is None or model.window > 0, "window is a number of tokens, or None when it is not known"
    answers = model.generate(CONVERSATIONS, max_new_tokens=max_new_tokens)
    assert len(answers) == len(CONVERSATIONS), "one answer a conversation"
    assert model.generate(CONVERSATIONS, max_new_tokens=max_new_tokens) == answers, "the same call gives the same answers"
    assert model.generate((), max_new_tokens=max_new_tokens) == [], "no conversations, no answers"
    for answer in answers:
        assert answer.usage.input_tokens > 0, "prompts have tokens"
        assert 0 <= answer.usage.output_tokens <= max_new_tokens, "max_new_tokens is obeyed"
        assert answer.finish in ("stop", "length"), "finish says why it ended"
        assert "<|" not in answer.text, "control tokens are not part of an answer"
    short = model.generate(CONVERSATIONS, max_new_tokens=1)
    assert all(answer.usage.output_tokens <= 1 for answer in short), "max_new_tokens is obeyed"
    try:
        model.generate(CONVERSATIONS, max_new_tokens=0)
    except UsageError:
        pass
    else:
        raise AssertionError("max_new_tokens=0 is refused with UsageError")
    assert model.count_tokens("") == 0, "nothing has no tokens"
    assert 0 < model.count_tokens("one") < model.count_tokens("one two three, four five six seven"), "more text, more tokens"


def check_embedder(embedder: Embedder) -> None:
    """Assert what every Embedder promises."""
    assert ":" in embedder.name, "name is provider:name"
    assert embedder.fingerprint, "fingerprint is not empty"
    rows = embedder.embed(TEXTS)
    assert rows.shape == (len(TEXTS), embedder.dimensions), "one row a text"
    assert rows.dtype == np.float32, "rows are float32"
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5), "rows have length 1"
    alone = np.stack([embedder.embed([text])[0] for text in TEXTS])
    assert np.array_equal(rows, alone), "a vector does not depend on the texts beside it"
    assert np.array_equal(rows[::-1], embedder.embed(TEXTS[::-1])), "nor on their order"
    assert embedder.embed([]).shape == (0, embedder.dimensions), "no texts, no rows"
    assert embedder.max_tokens > 0, "max_tokens is positive"
    assert embedder.count_tokens("") == 0, "nothing has no tokens"
    assert embedder.count_tokens("one two three") >= 3, "words have tokens"
