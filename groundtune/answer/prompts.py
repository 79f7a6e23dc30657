"""What a model is shown for one question, and how many tokens that takes. Knows templates; asks no model, searches nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from groundtune.answer.ranking import heading_path
from groundtune.prompting import templates
from groundtune.types import NOT_IN_DOCUMENTS, Caller, Candidate, Example, Hit, Message

_TURN_TOKENS = 6
"""Control tokens of one turn, about."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model will be shown for one question."""

    messages: tuple[Message, ...]
    hits: tuple[Hit, ...] = ()
    examples: tuple[Example, ...] = ()
    caller: Caller | None = None
    """Who must still be allowed to read all of it when the answer leaves; None: it was shown to nobody but the operator."""


def render_prompt(
    candidate: Candidate,
    question: str,
    *,
    hits: Sequence[Hit] = (),
    examples: Sequence[Example] = (),
    history: Sequence[Message] = (),
    labels: Sequence[str] = (),
) -> tuple[Message, ...]:
    """The conversation for one question: examples, then history, then the question with its sources.

    Training pairs, the reference engine and serving all render through here, so that their tokens are the same.
    """
    messages: list[Message] = []
    example_template = "label_example" if candidate.prompt == "label" else "example"
    for example in examples:
        messages.append(
            Message("user", templates.render(example_template, question=example.question, instruction=candidate.instruction))
        )
        messages.append(Message("assistant", example.answers[0]))
    messages.extend(history)
    sources = [{"heading": heading(hit), "text": hit.chunk.text} for hit in hits]
    values: dict[str, object] = {
        "instruction": candidate.instruction,
        "question": question,
        "sources": sources,
        "unknown": NOT_IN_DOCUMENTS,
        "labels": list(labels),
    }
    messages.append(Message("user", templates.render(candidate.prompt, **values)))
    return tuple(messages)


def heading(hit: Hit) -> str:
    """Title and heading path of a hit in one line, nothing said twice."""
    return heading_path(hit.title, hit.chunk.headings)


def pack(hits: Sequence[Hit], *, count_tokens: Callable[[str], int], max_tokens: int) -> list[Hit]:
    """The longest run of best hits that fits `max_tokens` of the model's tokens; the best one always stays."""
    packed: list[Hit] = []
    total = 0
    for hit in hits:
        total += count_tokens(f"{heading(hit)}\n{hit.chunk.text}")
        if packed and total > max_tokens:
            break
        packed.append(hit)
    return packed


def conversation_tokens(messages: Sequence[Message], *, count_tokens: Callable[[str], int]) -> int:
    """About how many tokens a conversation takes, control tokens included."""
    return sum(count_tokens(message.content) + _TURN_TOKENS for message in messages)
