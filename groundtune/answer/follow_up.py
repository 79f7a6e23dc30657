"""A question that leans on the conversation before it, made to be searched for. Asks a model only when handed one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from groundtune.answer.citations import content_words
from groundtune.interfaces import LanguageModel
from groundtune.prompting import templates
from groundtune.types import Example, Message, Query

Rewrite = Callable[[Example], Query]
"""A question with its history -> what is searched for."""

_EARLIER = 2  # questions before the last one that still count
_TURNS = 6  # turns before the question that a model is shown
_LONGEST = 48  # tokens of a rewritten question


def rewriting(way: Literal["words", "model", "off"], *, model: LanguageModel | None = None) -> Rewrite:
    """The way that `[retrieval] follow_up` names; `model` is needed for that of the same name."""
    if way == "model" and model is not None:
        return ModelRewrite(model)
    return as_asked if way == "off" else with_earlier


def as_asked(example: Example) -> Query:
    """The question alone."""
    return Query(example.question)


def with_earlier(example: Example) -> Query:
    """The question with the user's last two before it, which count less the longer ago they were asked."""
    asked = [message.content for message in example.history if message.role == "user"]
    return Query(example.question, earlier=tuple(asked[::-1][:_EARLIER]))


class ModelRewrite:
    """Has a model rewrite the question; what shares no word with the conversation is not used, and the rule holds."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def __call__(self, example: Example) -> Query:
        if not example.history:
            return Query(example.question)
        prompt = templates.render("rewrite", history=example.history[-_TURNS:], question=example.question)
        (generation,) = self._model.generate([[Message("user", prompt)]], max_new_tokens=_LONGEST)
        said = content_words(" ".join([example.question, *(turn.content for turn in example.history)]))
        text = " ".join(generation.text.split())
        return Query(text) if content_words(text) & said else with_earlier(example)
