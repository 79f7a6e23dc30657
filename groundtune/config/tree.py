"""Every key of groundtune.toml with its type and default. Knows nothing of what the values will do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from groundtune.config.candidates import CandidateTable, ChosenTable, check_names, check_starts, known_names
from groundtune.config.globs import compile_glob
from groundtune.config.knowledge import Chunking, Index, Ingest, Retrieval
from groundtune.config.section import Amount, ModelName, Positive, Section, Share
from groundtune.config.toml import read_toml, shown
from groundtune.types import EVERYONE, LOCAL

FILE_NAME = "groundtune.toml"


def _clauses(value: Any) -> Any:
    """["a", "b"] means any of them: one clause. [["a", "b"], ["c"]] means one of each inner list."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of principals, found {shown(value)}")
    inner = [isinstance(item, list | tuple) for item in value]
    if any(inner) and not all(inner):
        raise ValueError("expected either a list of principals or a list of lists of principals, found both mixed")
    clauses = value if any(inner) else [value] if value else []
    for clause in clauses:
        if not clause:
            raise ValueError("an empty inner list can be met by nobody; write read = [] if nobody is meant")
        for principal in clause:
            _principal(principal)
    return tuple(tuple(clause) for clause in clauses)


def _readers(value: Any) -> Any:
    """["a", "b"] means readers who hold one of them each. [["a", "b"]] means a reader who holds both."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of principals, found {shown(value)}")
    readers = [one if isinstance(one, list | tuple) else [one] for one in value]
    for reader in readers:
        if not reader:
            raise ValueError("an empty inner list is a reader who holds nothing; write report_audience = [] for no text at all")
        for principal in reader:
            _principal(principal)
    return tuple(tuple(reader) for reader in readers)


def _principal(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a principal (a string that is not empty), found {shown(value)}")
    return value


def _glob(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a glob such as 'hr/**', found {shown(value)}")
    compile_glob(value)
    return value


def _inside(value: Any) -> Any:
    parts = value.split("/") if isinstance(value, str) else [""]
    if not all(parts) or ".." in parts or any("**" in part and part != "**" for part in parts):
        raise ValueError(f"expected a path or glob inside the workspace, such as 'instructions/*.md', found {shown(value)}")
    return value


Principal = Annotated[str, BeforeValidator(_principal)]
Principals = Annotated[tuple[Principal, ...], Strict(False)]


class Readers(Section):
    """Who may read: what a rule and a sidecar file say alike."""

    read: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_clauses)]
    """Clauses: a caller needs one principal of every clause. Empty means nobody."""
    deny: Principals = ()
    """A caller that holds one of these may not read, whatever `read` says."""


class AccessRule(Readers):
    """One rule of `[access]`; the first whose glob matches a document id applies."""

    match: Annotated[str, BeforeValidator(_glob)]
    """Glob over document ids; see `groundtune.access.policy`."""


class Access(Section):
    rules: Annotated[tuple[AccessRule, ...], Strict(False)] = ()
    questions: Principals = ()
    """Principals of the questions that name none."""
    single: bool = False
    """Everything belongs to the one principal `local`; there are no rules then."""

    @property
    def asked_by(self) -> tuple[str, ...]:
        """Who asks what names nobody."""
        return self.questions or ((LOCAL,) if self.single else ())

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Access:
        if self.single and self.rules:
            raise ValueError("single = true gives everything to 'local', so rules would be ignored; keep one of the two")
        return self


class Examples(Section):
    k: Positive = 4
    """Nearest training examples in a few-shot prompt."""
    choice: Literal["nearest", "spread"] = "nearest"
    """`spread`: no two of one answer or group, as long as there are others."""


class Training(Section):
    epochs: Positive = 3
    learning_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Peak; without it what suits the method: 1e-3 for lora, 1e-4 for partial and full."""
    batch_size: Positive = 8
    rank: Positive = 16
    alpha: Positive = 32
    max_length: Annotated[int, Field(ge=64)] = 1024
    """Model tokens of prompt + answer."""
    gold_share: Share = 0.8
    """raft: share of answerable examples whose gold chunk is present."""
    unanswerable_share: Share = 0.1
    """raft: share of examples turned into "not in the documents"."""
    audience: Principals = (EVERYONE,)
    """Who will use the weights: only examples that a caller with these principals may read enter."""
    seed: Annotated[int, Field(ge=0)] = 0
    forgetting: bool = True
    """Ask `train`'s weights and the untuned model the same general questions, and put the difference into the model card."""


DatasetFormat = Literal["questions", "openai", "sharegpt", "alpaca", "pairs", "tickets", "messages"]
PersonalKind = Literal[
    "CREDIT_CARD",
    "EMAIL_ADDRESS",
    "IBAN_CODE",
    "IP_ADDRESS",
    "LOCATION",
    "PERSON",
    "PHONE_NUMBER",
    "STREET_ADDRESS",
    "URL",
    "US_DRIVER_LICENSE",
    "US_SSN",
]


class DatasetFile(Section):
    """A file of examples: what it is, who may read it, and whether it may be trained on."""

    path: Annotated[str, Field(min_length=1)]
    """Relative to the workspace."""
    train: bool
    """Whether a model may be trained on it."""
    format: DatasetFormat | None = None
    """Told by the fields of its rows where it is left out."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our field -> its column, such as question = "utterance"."""
    read: Annotated[tuple[tuple[str, ...], ...] | None, BeforeValidator(_clauses)] = None
    """Who may read its examples, as in `[access]`; those with evidence are read by who may read that too."""
    deny: Principals = ()


class DocumentPolicy(Section):
    """Whether documents may be trained on; the first whose glob matches a document id applies, and without one they may not."""

    match: Annotated[str, BeforeValidator(_glob)]
    train: bool


class Dataset(Section):
    """What a model may be trained on, and what is taken out of it first."""

    files: Annotated[tuple[DatasetFile, ...], Strict(False)] = ()
    documents: Annotated[tuple[DocumentPolicy, ...], Strict(False)] = ()
    held_out: Annotated[tuple[str, ...], Strict(False)] = ()
    """Further files of examples that the model will be tested on, beside `questions`; relative to the workspace."""
    personal: Literal["redact", "drop"] = "redact"
    """Put `<KIND>` in place of personal data, or drop the example."""
    names: Literal["sure", "likely"] = "sure"
    """`likely`: also words that are not English, in texts in small letters; it takes misspelt words for names too."""
    personal_kinds: Annotated[tuple[PersonalKind, ...], Strict(False)] = (
        *("CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "PHONE_NUMBER", "US_DRIVER_LICENSE", "US_SSN"),
        *("PERSON", "STREET_ADDRESS"),
    )
    """Presidio's names; empty: none is looked for."""


class Scoring(Section):
    """What some metrics need; files, relative to the workspace."""

    database: Annotated[str, Field(min_length=1)] | None = None
    """SQLite database that `sql_execution` runs queries on, read-only."""
    json_schema: Annotated[str, Field(min_length=1)] | None = None
    """JSON schema that `json_schema` checks answers against."""


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f"{name!r} stands there twice")
    return names


Candidates = Annotated[tuple[str, ...], Strict(False), Field(min_length=1), AfterValidator(_distinct)]


class Decision(Section):
    candidates: Candidates = ("prompt", "few_shot", "rag", "tuned", "rag_tuned")
    """Standard ones, `long_context`, and those of `[candidates]`."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Points of the metric by which a candidate may be worse and still count as as good."""
    floor: Share | None = None
    """Below this nothing is good enough; by default the best constant answer's score plus the margin."""
    race: Literal["exhaustive", "frugal"] = "exhaustive"
    """Every candidate on every question, or look by look and no more than the verdict needs (docs/science.md)."""
    folds: Annotated[int, Field(ge=2)] = 3
    seed: Annotated[int, Field(ge=0)] = 0
    test_questions: Positive | None = None
    """About how many questions are answered and scored, drawn by group from the seed; all without it."""
    train_questions: Positive | None = None
    """About how many questions may be learned from in each fold, drawn by group from the seed; all without it."""
    budget: str | None = None
    """`20m` or `5USD`: limits the work chosen from the plan."""
    batch_size: Positive = 8
    latency_requests: Positive = 50
    max_new_tokens: Positive = 48
    must_cite: bool = False
    max_p95_seconds: Annotated[float, Field(gt=0)] | None = None
    max_cost_per_1000: Amount | None = None
    """In the currency of `[prices]`, per 1,000 answers."""
    max_memory_gb: Annotated[float, Field(gt=0)] | None = None
    """GiB that a process which only answers may hold; setting it has it measured, one process a candidate."""
    max_staleness_hours: Annotated[float, Field(gt=0)] | None = None
    """Oldest that the facts in an answer may be; see `[upkeep]`."""
    max_staleness_loss: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Points of the metric that changed facts may cost before they are renewed; needs `upkeep.facts_changed_per_month`."""
    sweep: bool = False
    """Choose `[chunking]` and `[retrieval]` on the questions that are not scored, and write the choice into this file."""
    search: bool = False
    """Choose examples and instructions of untuned candidates on the dev part, and write the choice into `[chosen]`."""
    instructions: Annotated[tuple[Annotated[str, BeforeValidator(_inside)], ...], Strict(False)] = ()
    """search: files, one instruction each, as paths or globs relative to the workspace."""
    proposer: ModelName | None = None
    """search: the model that writes further instructions; it sees errors that all users and readers may."""
    reader: bool = False
    """Train the reader probe, once a model, where the budget holds it."""
    report_audience: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_readers)] | None = None
    """Who will read the report, each with the principals that they hold: it shows only questions, answers and passages that
    every one of them may see. Empty means no text at all; so does None, unless everything belongs to the one principal `local`.
    """


class Upkeep(Section):
    """How the assistant will be kept current; what is left out is not guessed."""

    sync_hours: Annotated[float, Field(ge=0)] | None = None
    """Longest time between two syncs of the documents."""
    refresh_hours: Annotated[float, Field(gt=0)] | None = None
    """Time between two trainings of the weights."""
    questions_per_day: Annotated[float, Field(gt=0)] | None = None
    facts_changed_per_month: Share | None = None
    """Share of the facts in the documents that change within 30 days."""


class ModelPrice(Section):
    input_per_million: Amount
    output_per_million: Amount


class Prices(Section):
    currency: Annotated[str, Field(min_length=1)] = "USD"
    core_hour: Amount = 0.04
    """One core of this machine for an hour."""
    models: dict[str, ModelPrice] = Field(default_factory=dict)
    """`provider:name` -> price per million tokens."""


class Config(Section):
    model: ModelName = "embedded:smollm2"
    embedder: ModelName = "embedded:minilm"
    metric: Annotated[str, Field(min_length=1)] = "f1"
    """The primary metric, fixed before the first look."""
    instruction: str = ""
    """What models are told to do; by default to answer in a few words, or with a label."""
    documents: str = "documents"
    """Folder, relative to the workspace; empty when the task has no documents."""
    questions: Annotated[str, Field(min_length=1)] = "questions.jsonl"
    """File, relative to the workspace."""
    access: Access = Access()
    ingest: Ingest = Ingest()
    chunking: Chunking = Chunking()
    index: Index = Index()
    retrieval: Retrieval = Retrieval()
    examples: Examples = Examples()
    training: Training = Training()
    dataset: Dataset = Dataset()
    scoring: Scoring = Scoring()
    decision: Decision = Decision()
    candidates: Annotated[dict[str, CandidateTable], AfterValidator(check_names), AfterValidator(check_starts)] = Field(
        default_factory=dict
    )
    """Candidates of your own; they race where `decision.candidates` names them."""
    chosen: dict[str, ChosenTable] = Field(default_factory=dict)
    """Candidate -> what a search chose for it."""
    prices: Prices = Prices()
    upkeep: Upkeep = Upkeep()

    @model_validator(mode="after")
    def _names_exist(self) -> Config:
        known = known_names(self.candidates)
        expected = ", ".join(repr(name) for name in known)
        faults: list[InitErrorDetails] = [
            {"type": "literal_error", "loc": ("decision", "candidates", n), "input": name, "ctx": {"expected": expected}}
            for n, name in enumerate(self.decision.candidates)
            if name not in known
        ]
        faults += [
            {"type": "literal_error", "loc": ("chosen", name), "input": name, "ctx": {"expected": expected}}
            for name in self.chosen
            if name not in known
        ]
        if faults:  # raised so that each fault has its own place in the file
            raise ValidationError.from_exception_data("Config", faults)
        return self


def load_config(path: Path) -> Config:
    """Read groundtune.toml. Raises NotFound without the file, else ConfigError naming file:line and key of every fault."""
    return read_toml(path, Config)


def load_readers(path: Path) -> Readers:
    """Read a sidecar file, which holds `read` and optionally `deny`. Raises as `load_config` does."""
    return read_toml(path, Readers)
