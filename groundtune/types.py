"""Values that cross rooms: frozen dataclasses with no behaviour beyond their own invariants. Knows nothing of any room."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

EVERYONE = "everyone"
"""The principal that every caller has."""

LOCAL = "local"
"""The single principal that documents and questions belong to outside a workspace."""

# --- access -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may read: a caller that holds at least one principal of *every* clause and none of `denied`.

    No clause at all means nobody: what is unknown is readable by no one.
    """

    clauses: frozenset[frozenset[str]] = frozenset()
    denied: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *principals: str, denied: tuple[str, ...] = ()) -> Audience:
        """One clause: any of `principals` may read, unless they hold one of `denied`."""
        return cls(frozenset({frozenset(principals)}) if principals else frozenset(), frozenset(denied))


NOBODY = Audience()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Every caller also holds `everyone`."""

    principals: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "principals", frozenset(self.principals) | {EVERYONE})

    @classmethod
    def of(cls, *principals: str) -> Caller:
        return cls(frozenset(principals))


# --- documents ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Document:
    """One unit of a source as Markdown text."""

    id: str
    """Stable within a workspace: the path below the documents folder, with forward slashes."""
    title: str
    text: str
    """Markdown. Offsets of chunks, evidence and citations count characters of this text."""
    content_hash: str
    """SHA-256 of the source bytes, hex."""
    source: str = "files"
    format: str = "md"
    """What the content is, not what its name says: md, html, docx, pdf, ..."""
    modified: float = 0.0
    """Seconds since the epoch."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Among others `skipped`: (part, reason, detail) of what could not be read inside it."""
    pages: tuple[int, ...] = ()
    """Offset at which each page or slide begins; empty where the format has none."""

    def page_of(self, offset: int) -> int | None:
        """The 1-based number of the page that holds this place; None where the format has no pages."""
        return bisect_right(self.pages, offset) or None if self.pages else None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a document: `document.text[start:end] == text`."""

    id: str
    """`document#start-end`, unique and derived from content position only."""
    document: str
    text: str
    start: int
    end: int
    headings: tuple[str, ...] = ()
    """Heading path from the top of the document, outermost first."""
    tokens: int = 0
    """Length in the embedder's tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A row of the index: a chunk with what finds it."""

    chunk: Chunk
    title: str
    """Of the document."""
    text: str
    """What was embedded and is searched in full text: title, heading path and chunk."""
    revision: str
    """Of the document's text: the hash of its stored parse."""
    audience: int
    """Interned id of who may read the document."""
    vector: np.ndarray
    """float32 [dimensions], of length 1."""
    format: str = ""
    """Of the document: md, pdf, ..."""
    source: str = "files"
    """Of the document."""
    modified: float = 0.0
    """Of the document, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which documents a search looks at: all that is given must hold, and what is left empty asks for nothing."""

    paths: tuple[str, ...] = ()
    """Globs over document ids, as in `[access]`; at least one must match."""
    formats: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    title: str = ""
    """Stands in the title; upper and lower case are alike."""
    since: float | None = None
    """Changed at this time or later, in seconds since the epoch."""
    before: float | None = None
    """Changed before this time."""


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    text: str
    earlier: tuple[str, ...] = ()
    """Questions asked before it in the same conversation, the last one first; they count less than the text."""

    @classmethod
    def of(cls, question: str | Query) -> Query:
        return cls(question) if isinstance(question, str) else question

    def __str__(self) -> str:
        return "\n".join([*reversed(self.earlier), self.text])


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found for a query and readable by the caller who asked."""

    chunk: Chunk
    title: str
    score: float
    """Of the fusion, or of the reranker where there is one; larger is better; comparable within one query only."""
    ranks: Mapping[str, int] = field(default_factory=dict)
    """1-based rank in each retriever that returned it: {"text": 3, "vector": 1}."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """`format` and `modified` of the document; `near_duplicates`: ids of readable chunks that it stands for; `cosine` to the
    question and its `lead` over the mean of all chunks that were found, where the vectors found it."""
    pages: tuple[tuple[int, int], ...] = ()
    """(offset in the document, page number) of the page that the chunk begins on and of those that begin within it."""


# --- questions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The span of a document that supports an answer, named by a verbatim quote."""

    document: str
    quote: str
    spans: tuple[tuple[int, int], ...] = ()
    """Where the quote's pieces stand in the document's text, [start, end); empty until `dataset.check` located it."""
    sections: tuple[str, ...] = ()
    """The heading paths of the sections in which the spans begin, outermost first, joined by " > "; "" before any heading."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled item. Empty `answers` means unanswerable from the documents."""

    id: str
    question: str
    answers: tuple[str, ...]
    history: tuple[Message, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    facts: tuple[str, ...] = ()
    group: str = ""
    """Items that share evidence share a group; empty until `dataset.split.assign_groups` fills it."""
    kind: str = ""
    principals: tuple[str, ...] = ()
    """Who asks; the question is asked with exactly these."""
    origin: str = ""
    """`file:line` where the item was read."""


Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer as a judge sees it; who gave it is not told."""

    item: str
    """Id of the question; answers to one question share it."""
    question: str
    answer: str
    reference: str = ""
    """An accepted answer; empty when the judge is not to see one."""
    sources: tuple[str, ...] = ()


Preference = Literal["first", "second", "tie"]


# --- candidates ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NearestExamples:
    """Few-shot: the k training examples nearest to the question, among those that the caller may read."""

    k: int = 4
    choice: Literal["nearest", "spread"] = "nearest"
    """spread: among the nearest no two of one answer or of one group, as long as there are others."""


@dataclass(frozen=True, slots=True)
class RetrievedContext:
    """Retrieval: the k best chunks that the caller may read, at most `max_tokens` of them (model tokens)."""

    k: int = 3
    max_tokens: int = 600
    min_evidence: float = 0.0
    """Evidence (`groundtune.answer.evidence`) below which it abstains without asking the model."""


@dataclass(frozen=True, slots=True)
class WholeDocuments:
    """Whole documents in the prompt, as many as the model's window allows; none is ever cut.

    `all` shows every document that the caller may read, in order of id, where they fit together; where they do not, and with
    `best`, the documents of the `k` best chunks are shown, the best first.
    """

    documents: Literal["all", "best"] = "all"
    k: int = 20
    """Chunks whose documents are candidates for the prompt."""
    max_tokens: int | None = None
    """Model tokens that they may take together; None: what the model's window leaves."""


@dataclass(frozen=True, slots=True)
class External:
    """Something that already runs. Groundtune sees its answers only, so its answers are stored under `version`."""

    kind: Literal["http", "command", "callable"]
    target: tuple[str, ...]
    """http: the address. command: program and arguments. callable: `package.module:function`."""
    version: str = ""
    """Raised by its owner when its answers may have changed: stored answers of another version are not used."""
    timeout: float = 60.0
    """Seconds that one attempt may take in all. A callable cannot be stopped, so it has no limit."""
    attempts: int = 3
    """http: tries of one question, where the trouble may pass by itself."""
    concurrency: int = 4
    """Questions on their way at once."""
    headers: tuple[tuple[str, str], ...] = ()
    """http: header -> name of the environment variable that holds its value."""
    price_per_1000: float | None = None
    """What 1,000 answers cost, in the currency of `[prices]`; None: usage x price of tokens, where both are known."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How weights are made from the training examples."""

    method: Literal["full", "partial", "lora"] = "lora"
    objective: Literal["sft", "raft", "domain", "dpo", "kto", "grpo"] = "sft"
    epochs: int = 3
    learning_rate: float | None = None
    """Peak of a linear schedule with warm-up; None: what suits the method (`groundtune.training.rates`)."""
    batch_size: int = 8
    top_layers: int = 6
    """partial: blocks below the head that learn, with the norm after them."""
    rank: int = 16
    """lora: of the factors."""
    alpha: int = 32
    """lora: the factors' product counts alpha / rank."""
    max_length: int = 1024
    """Model tokens of prompt + answer. A longer prompt loses distractors, never the answer."""
    distractors: int = 2
    """raft: hard negatives from the production retriever, so that gold + distractors equals the k of serving."""
    gold_share: float = 0.8
    """raft: share of answerable examples whose gold chunk is present."""
    unanswerable_share: float = 0.1
    """raft: share of examples turned into "not in the documents" by leaving the gold chunk out."""
    start: Candidate | None = None
    """The tuned candidate whose weights are what is tuned further; None: the model as it is."""
    data: str = ""
    """dpo, kto: file of preferences, relative to the workspace; else a dataset, by the beginning of its id or `newest`."""
    rewards: tuple[tuple[str, float], ...] = ()
    """grpo: (metric, weight); a drawn answer is worth their weighted sum."""
    generations: int = 4
    """grpo: answers drawn for each prompt; `batch_size` counts answers."""
    answer_tokens: int = 48
    """grpo, early stop: longest drawn answer, in model tokens."""
    early_stop: bool = False
    """sft, raft: keep the weights of the epoch that scores best, by the task's metric, on examples held out of the training."""
    patience: int = 2
    """early stop: epochs without a better score after which the training ends."""
    sweep_minutes: float = 0.0
    """sft, raft: time for short trainings at several learning rates, the best of which is taken; 0: none."""
    beta: float | None = None
    """dpo, kto, grpo: how strongly the start holds; None: what suits the objective (`groundtune.training.rates`)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipe for an assistant, plain data. The standard ones differ only in which fields are present.

    With `external` nothing is built: the other fields but name and model do not apply.
    """

    name: str
    model: str
    """`provider:name`, e.g. `embedded:smollm2`; `external:NAME` for what already runs."""
    prompt: str = "answer"
    """Template in `prompting/templates`."""
    instruction: str = ""
    """What the model is told to do, in place of the template's own words."""
    examples: NearestExamples | None = None
    context: RetrievedContext | WholeDocuments | None = None
    tuning: Tuning | None = None
    max_new_tokens: int = 48
    external: External | None = None


# --- answers ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """What a language model returned for one conversation."""

    text: str
    usage: Usage = Usage()
    finish: Literal["stop", "length"] = "stop"


@dataclass(frozen=True, slots=True)
class Citation:
    """A span that supports the answer: `document.text[start:end] == quote`."""

    number: int
    """1-based position of the chunk among the sources shown to the model."""
    document: str
    title: str
    start: int
    end: int
    quote: str
    page: int | None = None
    """1-based number of the page that the span begins on; None where the document has no pages."""


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    citations: tuple[Citation, ...] = ()
    abstained: bool = False
    reason: str = ""
    """Why it abstained, in words a person can act on; empty otherwise."""
    usage: Usage = Usage()
    seconds: float = 0.0
    """Wall time of this answer when asked alone; 0 when it came out of a batch (latency is measured apart)."""
    context: tuple[str, ...] = ()
    """Ids of the chunks shown to the model, in order."""
    id: str = ""
    """Names an answer of `ask` in the lineage; empty elsewhere."""


NOT_IN_DOCUMENTS = "Not in the documents."
"""What an assistant says when it does not know."""


# --- results ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Score:
    """One item's result for one candidate; enough to recompute every figure."""

    candidate: str
    item: str
    group: str
    kind: str
    fold: int
    seed: int
    answer: str
    metrics: Mapping[str, float]
    """Metric name -> value in [0, 1]; an absent metric does not apply to this item."""
    abstained: bool = False
    usage: Usage = Usage()
    context: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float
    level: float = 0.95
    method: str = ""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds an answer takes at batch 1, candidates interleaved."""

    p50: float
    p95: float
    mean: float
    requests: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Currency units per 1,000 answers, plus what it takes once."""

    per_1000_answers: float
    setup: float
    currency: str = "USD"
    basis: str = ""
    """How it was computed: prices per token, or core-hours x price."""
    known: bool = True
    """False without a price: the figure is 0 and means nothing, and the candidate counts as the dearest."""


@dataclass(frozen=True, slots=True)
class CandidateReport:
    """One candidate's results."""

    candidate: Candidate
    metrics: Mapping[str, float]
    """Mean over items."""
    intervals: Mapping[str, Interval]
    items: int
    latency: Latency | None = None
    cost: Cost | None = None
    tokens: Usage = Usage()
    """Mean per answer, rounded."""
    not_applicable: str = ""
    """Why it was not run; empty when it was."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired contrast of two candidates on the same items: difference = a - b."""

    a: str
    b: str
    metric: str
    difference: float
    interval: Interval
    p_value: float
    """Two-sided, unadjusted."""
    p_adjusted: float
    """Holm over the family."""
    p_not_worse: float
    """One-sided: test of "a is worse than b by the margin or more", Holm-adjusted over the family."""
    test: str
    items: int
    groups: int


ALPHA_SUPERIOR = 0.05
"""Two-sided, Holm-adjusted: below it one candidate is better than another."""
ALPHA_NOT_WORSE = 0.025
"""One-sided, Holm-adjusted: below it one candidate is not worse than another by the margin."""

VerdictKind = Literal["superior", "cheapest non-inferior", "inconclusive", "none good enough"]

Claim = Literal["these weights", "the method"]
"""What a verdict speaks of: the trainings that were done, or what training again would give."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome with its reason. `winner` is None unless the evidence names one; `provisional` is then the choice."""

    kind: VerdictKind
    winner: str | None
    provisional: str | None
    reason: str
    further_questions: int | None = None
    """How many further questions would settle an inconclusive verdict, at the effect seen."""
