"""Every extension seam on one screen. A plugin implements one of these and is named `provider:name` in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from groundtune.types import (
    EVERYTHING,
    Answer,
    Audience,
    Caller,
    Chunk,
    Document,
    Entry,
    Example,
    Filter,
    Generation,
    Hit,
    Judged,
    Message,
    Preference,
    Query,
)

if TYPE_CHECKING:
    import numpy as np

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) as work advances; the command line draws it as a bar with an estimate."""


class LanguageModel(Protocol):
    """Answers conversations. `models/` holds `embedded`, `hf`, `openai` and `fake`."""

    name: str
    fingerprint: str
    """Changes whenever answers may: weights, engine, precision, template, version."""
    local: bool
    """True when it runs on this machine's cores (cost per core-hour), False when a server bills tokens."""
    window: int | None
    """Tokens that prompt and answer may have together; None when that is not known."""

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        """Greedy answers, one a conversation, in order. Raises ModelFailure."""
        ...

    def count_tokens(self, text: str) -> int: ...


Pieces = Generator[str, None, Generation]
"""An answer as it is written: pieces of its text, and all of it as the generator's value."""


@runtime_checkable
class Streaming(Protocol):
    """A language model that can also be read while it writes."""

    def stream(self, conversation: Sequence[Message], *, max_new_tokens: int) -> Pieces:
        """The same answer as `generate` gives for this conversation alone. Closing the generator stops the model."""
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    name: str
    fingerprint: str
    dimensions: int
    max_tokens: int
    """Tokens beyond this are not read."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts), dimensions], each row of length 1."""
        ...

    def count_tokens(self, text: str) -> int: ...


class Reranker(Protocol):
    """Orders a question's passages anew."""

    name: str
    fingerprint: str

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """One number a passage, larger for a better one; comparable for one question only."""
        ...


class Source(Protocol):
    """Where documents come from."""

    name: str

    def scan(self) -> Iterator[SourceItem]: ...


class SourceItem(Protocol):
    """One document as its source holds it."""

    @property
    def id(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def modified(self) -> float: ...
    @property
    def size(self) -> int: ...


class Searched(Protocol):
    """What can be searched for chunks, by the vector that it is handed and by words."""

    def search(
        self, query: str, vector: np.ndarray, *, audiences: frozenset[int], k: int, filter: Filter = EVERYTHING
    ) -> Sequence[FoundChunk]:
        """The k best rows of each retriever among the allowed audience ids, unfused; equal scores in the order of ids."""
        ...

    def search_text(
        self, query: str, *, audiences: frozenset[int], k: int, filter: Filter = EVERYTHING
    ) -> Sequence[FoundChunk]:
        """The k best rows that share a content word with the query, best first; equal scores in the order of ids."""
        ...

    def chunks(self, documents: Collection[str]) -> Sequence[FoundChunk]:
        """Every row of these documents, in the order of document and place; no audience is asked for."""
        ...


class Index(Searched, Protocol):
    """A versioned projection of chunks and vectors. It is handed vectors and never makes one.

    Made as `Index(folder, dimensions=n)`. Several processes may read while one writes, and each search sees the newest commit.
    """

    layout: str
    """Of the class; changes when the same rows would be stored otherwise, so that an older index is built anew."""

    def replace(self, documents: Mapping[str, Sequence[Entry]]) -> None:
        """Put every named document's entries in place of what it held, all in one commit; an empty list removes it."""
        ...

    def assign(self, audiences: Mapping[str, int]) -> None:
        """Give documents other audience ids; text and vectors stay."""
        ...

    def settle(self) -> None:
        """Complete what a writer that was cut off after its commit left undone."""
        ...

    def verify(self) -> None:
        """Read from every part. Raises RuntimeError or OSError where something is gone or torn."""
        ...

    def held(self) -> dict[str, Held]:
        """What the index holds now, by document."""
        ...

    def count(self) -> int: ...


class Held(NamedTuple):
    """What an index says of a document."""

    revision: str
    audience: int
    modified: float


class FoundChunk(Protocol):
    """A row of the index with its rank in each retriever that found it."""

    @property
    def chunk(self) -> Chunk: ...
    @property
    def title(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def audience(self) -> int: ...
    @property
    def ranks(self) -> Mapping[str, int]: ...
    @property
    def scores(self) -> Mapping[str, float]:
        """By retriever, in its own unit: `text` BM25, `vector` cosine."""
        ...


class Metric(Protocol):
    """One item's score in [0, 1], or None where the metric does not apply to the item."""

    def __call__(self, example: Example, answer: Answer) -> float | None: ...


class Judge(Protocol):
    """Rates answers and compares pairs. It counts only with its measured agreement with people: `evaluation.calibration`."""

    name: str
    fingerprint: str
    """Changes whenever judgements may: model, prompts, scale."""
    parameters: int | None
    """Weights of the model behind it; None when that is not known, and then it never gates."""
    scale: int
    """Ratings go from 1 to this."""

    def rate(self, answers: Sequence[Judged]) -> list[int | None]:
        """One rating an answer, in order; None where the judge gave none that could be read."""
        ...

    def prefer(self, first: Sequence[Judged], second: Sequence[Judged]) -> list[Preference | None]:
        """Which of two answers to the same question is better, shown in this order only; None as for `rate`."""
        ...


class Respondent(Protocol):
    """Anything that answers examples in a batch: what `evaluate` takes, so that it knows neither retrieval nor training."""

    def __call__(self, examples: Sequence[Example], /) -> list[Answer]: ...


class Retriever(Protocol):
    """Finds readable chunks; handed to the assistant and to training, so that both see what production sees."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever results may: index version, embedder, settings, policy version."""
        ...

    def search(self, question: str | Query, *, caller: Caller, k: int) -> list[Hit]:
        """The k best chunks that the caller may read, best first, each checked against the newest policy."""
        ...

    def document(self, document: str, *, caller: Caller) -> Document:
        """Raises NotFound, with the same words, for a document that is absent and for one that the caller may not read."""
        ...

    def audience(self, document: str) -> Audience:
        """Who may read it now; nobody when unknown."""
        ...
