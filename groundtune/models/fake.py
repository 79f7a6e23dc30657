"""Models without weights: deterministic, instant and honest about it. They read the same prompts as real ones.

`fake:echo` repeats the question. `fake:constant=TEXT` always says TEXT. `fake:extract` answers with the sentence of the sources
that shares most words with the question; without sources with the answer of the most similar example in the conversation or in
its adapter; else "Not in the documents.". "Tuning" it means remembering pairs: a remembered question gets its answer, and spans
taken from sources become as long as the remembered answers.
"""

from __future__ import annotations

import hashlib
import json
import re
import statistics
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from groundtune.errors import ModelFailure, NotFound, UsageError
from groundtune.interfaces import Pieces
from groundtune.store.artefacts import write_whole
from groundtune.types import NOT_IN_DOCUMENTS, Generation, Message, Usage

KINDS = ("constant", "echo", "extract")

WORD = re.compile(r"\w+")
TOKEN = re.compile(r"\w+|[^\w\s]")
QUESTION = re.compile(r"^(?:Question|Text): (.*)", re.MULTILINE | re.DOTALL)
SOURCE = re.compile(r"^\[(\d+)\] .*\n", re.MULTILINE)
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
LABELS = re.compile(r"^Labels: (.*)$", re.MULTILINE)
SUFFIX = re.compile(r"(?<=\w{3})(?:ing|edly|ed|ies|es|ly|s)$")
_COMMON = (
    "a an and are as at be by can did do does for from has have how i in is it its many may much must of on or should that the "
    "this to was were what when where which who whom whose why will with you your"
)
COMMON = frozenset(_COMMON.split())

WINDOW = 32768
"""Tokens of prompt and answer together; a longer prompt is refused, as real models do."""


class FakeModel:
    """See the file's docstring for what it answers."""

    local = True
    window: int | None = WINDOW

    def __init__(self, name: str, *, adapter: Path | None = None) -> None:
        """`name` is `echo`, `extract` or `constant=TEXT`. Raises NotFound for others and for a damaged adapter."""
        self._kind, _, self._constant = name.partition("=")
        if self._kind not in KINDS or bool(self._constant) != (self._kind == "constant"):
            raise NotFound(
                "there is no such fake.", subject=f"fake:{name}", remedy="Use fake:extract, fake:echo or fake:constant=TEXT."
            )
        self.name = f"fake:{name}"
        self._memory = recall(adapter) if adapter else []
        self.fingerprint = hashlib.sha256(json.dumps([2, name, self._memory]).encode()).hexdigest()

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        if max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {max_new_tokens}; an answer needs at least one token.", subject=self.name)
        return [self._generation(conversation, max_new_tokens) for conversation in conversations]

    def stream(self, conversation: Sequence[Message], *, max_new_tokens: int) -> Pieces:
        """Word by word."""
        (generation,) = self.generate([conversation], max_new_tokens=max_new_tokens)
        start = 0
        for end in [found.end() for found in TOKEN.finditer(generation.text)]:
            yield generation.text[start:end]
            start = end
        return generation

    def count_tokens(self, text: str) -> int:
        """Words and punctuation marks."""
        return len(TOKEN.findall(text))

    def _generation(self, conversation: Sequence[Message], max_new_tokens: int) -> Generation:
        read = sum(self.count_tokens(message.content) for message in conversation)
        if read + max_new_tokens > WINDOW:
            raise ModelFailure(f"a prompt of {read} tokens does not fit its window of {WINDOW}.", subject=self.name)
        text = self._answer(conversation)
        ends = [found.end() for found in TOKEN.finditer(text)]
        if len(ends) > max_new_tokens:
            return Generation(text[: ends[max_new_tokens - 1]], Usage(read, max_new_tokens), "length")
        return Generation(text, Usage(read, len(ends)), "stop")

    def _answer(self, conversation: Sequence[Message]) -> str:
        prompt = conversation[-1].content if conversation else ""
        question = asked(prompt)
        if self._kind == "constant":
            return self._constant
        if self._kind == "echo":
            return question
        remembered, nearest = _most_similar(question, self._memory)
        if remembered == 1.0:
            return nearest
        sentence = _best_sentence(question, _sources(prompt))
        if sentence:
            lengths = [len(answer.split()) for _, answer in self._memory if answer != NOT_IN_DOCUMENTS]
            return _span(sentence, question, round(statistics.median(lengths))) if lengths else sentence
        turns = [message.content for message in conversation[:-1] if message.role != "system"]
        similar, shown = _most_similar(
            question, [(asked(turn), reply) for turn, reply in zip(turns[::2], turns[1::2], strict=False)]
        )
        if max(similar, remembered) > 0:
            return shown if similar > remembered else nearest
        labels = LABELS.search(prompt)
        return _best_label(question, labels[1].split(", ")) if labels else NOT_IN_DOCUMENTS


class FakeEmbedder:
    """`fake:hash`: counts of stemmed words, hashed into 256 places and normalised. Words in common make texts near."""

    name = "fake:hash"
    fingerprint = "fake:hash 2"
    dimensions = 256
    max_tokens = 256

    def __init__(self, name: str) -> None:
        if name != "hash":
            raise NotFound("there is no such fake embedder.", subject=f"fake:{name}", remedy="Use fake:hash.")

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts), 256]; a text without words points along the first axis."""
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            words = TOKEN.findall(text)[: self.max_tokens]
            for stem in map(_stem, words):
                if WORD.match(stem) and stem not in COMMON:
                    row[int.from_bytes(hashlib.blake2b(stem.encode(), digest_size=4).digest()) % self.dimensions] += 1
            if not row.any():
                row[0] = 1
            row /= np.linalg.norm(row)
        return rows

    def count_tokens(self, text: str) -> int:
        return len(TOKEN.findall(text))


class FakeReranker:
    """`fake:overlap`: the share of the question's stems that a passage holds."""

    name = "fake:overlap"
    fingerprint = "fake:overlap 1"

    def __init__(self, name: str) -> None:
        if name != "overlap":
            raise NotFound("there is no such fake reranker.", subject=f"fake:{name}", remedy="Use fake:overlap.")

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        wanted = _stems(question)
        return [len(wanted & _stems(passage)) / max(1, len(wanted)) for passage in passages]


def remember(pairs: Iterable[tuple[Sequence[Message], str]], folder: Path) -> Path:
    """Write an adapter that `fake:extract` remembers (prompt, answer) pairs from; its file is valid, empty safetensors."""
    rows = [[asked(messages[-1].content), answer] for messages, answer in pairs]
    header = json.dumps({"__metadata__": {"pairs": json.dumps(rows)}}).encode()
    header += b" " * (-len(header) % 8)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "adapter_model.safetensors", struct.pack("<Q", len(header)) + header)
    write_whole(folder / "adapter_config.json", json.dumps({"peft_type": "FAKE"}).encode())
    return folder


def recall(folder: Path) -> list[tuple[str, str]]:
    """The (question, answer) pairs of an adapter that `remember` wrote."""
    file = folder / "adapter_model.safetensors"
    try:
        data = file.read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        return [(question, answer) for question, answer in json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["pairs"])]
    except FileNotFoundError as error:
        raise NotFound("the adapter lacks this file.", subject=str(file), remedy="Train again.") from error
    except (struct.error, ValueError, KeyError) as error:
        raise ModelFailure("this is no adapter of a fake model.", subject=str(file), remedy="Train again.") from error


def asked(prompt: str) -> str:
    """The question of a prompt: what follows its last `Question:` or `Text:`, else all of it."""
    found = QUESTION.search(prompt)
    return (found[1] if found else prompt).strip()


def _sources(prompt: str) -> list[str]:
    """Texts of the numbered sources of a prompt, without their headings."""
    body = QUESTION.split(prompt)[0]
    return [part.strip() for part in SOURCE.split(body)[2::2]]


def _stem(word: str) -> str:
    return SUFFIX.sub("", word.lower())


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in WORD.findall(text) if word.lower() not in COMMON)


def _best_sentence(question: str, sources: Sequence[str]) -> str:
    """The sentence that shares most stems with the question; of equals the first; empty when none shares any."""
    wanted = _stems(question)
    sentences = [sentence.strip() for source in sources for sentence in SENTENCE.split(source)]
    best = max(sentences, key=lambda sentence: len(wanted & _stems(sentence)), default="")
    return best if wanted & _stems(best) else ""


def _span(sentence: str, question: str, length: int) -> str:
    """The run of `length` words that repeats the question least; of equals the last."""
    words, wanted = sentence.split(), _stems(question)
    starts = range(max(1, len(words) - length + 1))
    novelty = {start: len(_stems(" ".join(words[start : start + length])) - wanted) for start in starts}
    start = max(starts, key=lambda start: (novelty[start], start))
    return " ".join(words[start : start + length]).strip(" .,;:")


def _most_similar(question: str, pairs: Sequence[tuple[str, str]]) -> tuple[float, str]:
    """(Jaccard similarity of stems, answer) of the nearest pair; (0, "") when none shares a stem."""
    wanted, best = _stems(question), (0.0, "")
    for other, answer in pairs:
        stems = _stems(other)
        similarity = 1.0 if question == other else 0.99 * len(wanted & stems) / max(1, len(wanted | stems))
        if similarity > best[0]:
            best = (similarity, answer)
    return best


def _best_label(question: str, labels: Sequence[str]) -> str:
    wanted = _stems(question)
    return max(labels, key=lambda label: len(wanted & _stems(label.replace("_", " "))))
