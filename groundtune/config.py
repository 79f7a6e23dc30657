"""groundtune.toml <-> one typed tree. Knows the file's keys and lines; knows nothing of what the values will do."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, model_validator

from groundtune.errors import ConfigError, NotFound
from groundtune.types import EVERYONE, LOCAL

FILE_NAME = "groundtune.toml"

StandardCandidate = Literal["prompt", "few_shot", "rag", "tuned", "rag_tuned"]


class _Section(BaseModel):
    """A table of the file: values of exactly the declared types, nothing undeclared, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _clauses(value: Any) -> Any:
    """["a", "b"] means any of them: one clause. [["a", "b"], ["c"]] means one of each inner list."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of principals, found {_shown(value)}")
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


def _principal(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a principal (a string that is not empty), found {_shown(value)}")
    return value


def _glob(value: Any) -> Any:
    """Refuses globs that look right and match nothing: a rule that silently does not apply lets a later one apply."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a glob such as 'hr/**', found {_shown(value)}")
    if "\\" in value:
        raise ValueError(f"{value!r} holds a backslash; folders are separated by '/', and [*] matches a star itself")
    parts = value.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{value!r} can match no document id; ids look like 'hr/pay.md', a whole folder is 'hr/**'")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(f"{value!r}: '**' must stand alone between slashes, as in 'hr/**' or '**/*.md'")
    if re.sub(r"\[!?\]?[^\]/]*\]", "", value).count("["):
        raise ValueError(f"{value!r}: '[' without its ']'; [[] matches the bracket itself")
    return value


def _model_name(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s:]+:\S.*", value):
        raise ValueError(f"expected 'provider:name', for example 'embedded:smollm2', found {_shown(value)}")
    return value


Strings = Annotated[tuple[str, ...], Strict(False)]
Principal = Annotated[str, BeforeValidator(_principal)]
Principals = Annotated[tuple[Principal, ...], Strict(False)]
ModelName = Annotated[str, BeforeValidator(_model_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Readers(_Section):
    """Who may read: what a rule and a sidecar file say alike."""

    read: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_clauses)]
    """Clauses: a caller needs one principal of every clause. Empty means nobody."""
    deny: Principals = ()
    """A caller that holds one of these may not read, whatever `read` says."""


class AccessRule(Readers):
    """One rule of `[access]`; the first whose glob matches a document id applies."""

    match: Annotated[str, BeforeValidator(_glob)]
    """Glob over document ids; see `groundtune.access.policy`."""


class Access(_Section):
    rules: Annotated[tuple[AccessRule, ...], Strict(False)] = ()
    questions: Principals = ()
    """Principals of the questions that name none."""
    single: bool = False
    """Everything belongs to the one principal `local`; there are no rules then."""

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Access:
        if self.single and self.rules:
            raise ValueError("single = true gives everything to 'local', so rules would be ignored; keep one of the two")
        return self


class Chunking(_Section):
    tokens: Annotated[int, Field(ge=16)] = 220
    """Longest chunk, in the embedder's tokens."""
    overlap: Annotated[int, Field(ge=0)] = 0
    """Tokens that neighbouring chunks share."""

    @model_validator(mode="after")
    def _moves_on(self) -> Chunking:
        if self.overlap >= self.tokens:
            raise ValueError(f"overlap ({self.overlap}) must be smaller than tokens ({self.tokens})")
        return self


class Retrieval(_Section):
    k: Positive = 3
    """Chunks given to the model."""
    rrf_k: Positive = 60
    """Constant of reciprocal rank fusion."""
    max_tokens: Positive = 600
    """Model tokens that the chunks may take together."""


class Examples(_Section):
    k: Positive = 4
    """Nearest training examples in a few-shot prompt."""


class Training(_Section):
    epochs: Positive = 3
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
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


class Decision(_Section):
    candidates: Annotated[tuple[StandardCandidate, ...], Strict(False), Field(min_length=1)] = get_args(StandardCandidate)
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Points of the metric by which a candidate may be worse and still count as as good."""
    floor: Share | None = None
    """Below this nothing is good enough; by default the best constant answer's score plus the margin."""
    folds: Annotated[int, Field(ge=2)] = 3
    seed: Annotated[int, Field(ge=0)] = 0
    budget: str | None = None
    """`20m` or `5USD`: limits the work chosen from the plan."""
    batch_size: Positive = 8
    latency_requests: Positive = 50
    max_new_tokens: Positive = 48
    must_cite: bool = False
    max_p95_seconds: Annotated[float, Field(gt=0)] | None = None
    max_cost_per_1000: Amount | None = None
    """In the currency of `[prices]`, per 1,000 answers."""


class ModelPrice(_Section):
    input_per_million: Amount
    output_per_million: Amount


class Prices(_Section):
    currency: Annotated[str, Field(min_length=1)] = "USD"
    core_hour: Amount = 0.04
    """One core of this machine for an hour."""
    models: dict[str, ModelPrice] = Field(default_factory=dict)
    """`provider:name` -> price per million tokens."""


class Config(_Section):
    model: ModelName = "embedded:smollm2"
    embedder: ModelName = "embedded:minilm"
    metric: Annotated[str, Field(min_length=1)] = "f1"
    """The primary metric, fixed before the first look."""
    documents: Annotated[str, Field(min_length=1)] = "documents"
    """Folder, relative to the workspace."""
    questions: Annotated[str, Field(min_length=1)] = "questions.jsonl"
    """File, relative to the workspace."""
    access: Access = Access()
    chunking: Chunking = Chunking()
    retrieval: Retrieval = Retrieval()
    examples: Examples = Examples()
    training: Training = Training()
    decision: Decision = Decision()
    prices: Prices = Prices()


def load_config(path: Path) -> Config:
    """Read groundtune.toml. Raises NotFound without the file, else ConfigError naming file:line and key of every fault."""
    return _read(path, Config)


def load_readers(path: Path) -> Readers:
    """Read a sidecar file, which holds `read` and optionally `deny`. Raises as `load_config` does."""
    return _read(path, Readers)


Model = TypeVar("Model", bound=_Section)


def _read(path: Path, model: type[Model]) -> Model:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise NotFound("there is no such file.", subject=str(path), remedy="Run: groundtune init") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}.", subject=str(path)) from error
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text.", subject=f"{path}:{line}", remedy="Save the file as UTF-8.") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, line = _syntax(str(error), text)
        raise ConfigError(f"is not TOML: {what}.", subject=f"{path}:{line}", remedy="Correct that line.") from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply.", subject=f"{path}:1") from error
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        faults = sorted((_line(text, fault["loc"]), *_explain(dict(fault), model)) for fault in error.errors())
        (line, what, remedy), *others = faults
        rest = "".join(f"\n{path}:{number}: {other} {help_}".rstrip() for number, other, help_ in others)
        raise ConfigError(what, subject=f"{path}:{line}", remedy=remedy + rest) from error


def _syntax(message: str, text: str) -> tuple[str, int]:
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    if found:
        return message[: found.start()], int(found[1])
    return message.removesuffix(" (at end of document)"), text.rstrip("\n").count("\n") + 1


def _line(text: str, where: Sequence[str | int]) -> int:
    """1-based line of the statement that first names the key, or of its nearest enclosing table.

    The statement is the one that ends the shortest prefix of the file that parses and holds the key. Holding a key never
    stops being true as the prefix grows, so bisection finds it; a prefix that ends inside a value is shortened until it parses.
    """
    lines = text.split("\n")
    while where:
        low, high = 0, len(lines)  # the prefix of `low` lines lacks the key, that of `high` lines holds it
        if not _holds(tomllib.loads(text), where):
            where = where[:-1]
            continue
        while True:
            middle, tree = _parsable(lines, low, (low + high) // 2)
            if middle > low and _holds(tree, where):
                high = middle
            elif (following := _next_parsable(lines, middle, high))[0] >= high or _holds(following[1], where):
                return middle + 1
            else:
                low = following[0]
    return 1


def _parsable(lines: list[str], low: int, count: int) -> tuple[int, dict[str, Any]]:
    """The longest prefix of at most `count` and more than `low` lines that parses; `low` and nothing when there is none."""
    for size in range(count, low, -1):
        try:
            return size, tomllib.loads("\n".join(lines[:size]))
        except tomllib.TOMLDecodeError:
            continue
    return low, {}


def _next_parsable(lines: list[str], after: int, high: int) -> tuple[int, dict[str, Any]]:
    for size in range(after + 1, high):
        try:
            return size, tomllib.loads("\n".join(lines[:size]))
        except tomllib.TOMLDecodeError:
            continue
    return high, {}


def _holds(tree: Any, where: Sequence[str | int]) -> bool:
    for step in where:
        if isinstance(step, int):
            if not isinstance(tree, list) or step >= len(tree):
                return False
        elif not isinstance(tree, dict) or step not in tree:
            return False
        tree = tree[step]
    return True


_EXPECTED = {
    "string_type": "a string in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def _explain(fault: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    """(what is wrong, what to do) for one fault that pydantic found."""
    kind, where, value = fault["type"], fault["loc"], fault["input"]
    name = _dotted(where)
    if kind == "extra_forbidden":
        return f"unknown key {name!r}.", _nearest(where, model)
    if kind == "missing":
        return f"{_dotted(where[:-1]) or 'the file'} lacks the key {str(where[-1])!r}.", "Add it."
    if kind == "value_error":
        return f"{name}: {fault['ctx']['error']}.", ""
    if kind == "literal_error":
        close = difflib.get_close_matches(str(value), get_args(StandardCandidate), n=1, cutoff=0.4)
        hint = f"Did you mean {close[0]!r}?" if close else ""
        return f"{name}: expected {fault['ctx']['expected']}, found {_shown(value)}.", hint
    if kind in _EXPECTED:
        return f"{name}: expected {_EXPECTED[kind]}, found {_shown(value)}.", ""
    return f"{name}: {fault['msg'][:1].lower()}{fault['msg'][1:]}, found {_shown(value)}.", ""


def _dotted(where: Sequence[str | int]) -> str:
    name = ""
    for step in where:
        if isinstance(step, int):
            name += f"[{step}]"
        else:
            bare = step if re.fullmatch(r"[A-Za-z0-9_-]+", step) else f'"{step}"'
            name += f".{bare}" if name else bare
    return name


def _shown(value: Any) -> str:
    kinds = {bool: "the boolean", str: "the string", int: "the number", float: "the number"}
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{kinds.get(type(value), 'a list' if isinstance(value, list | tuple) else 'a table')} {text}"


def _nearest(where: Sequence[str | int], model: type[BaseModel]) -> str:
    """The nearest known key: among its siblings first, then in the whole file."""
    unknown = str(where[-1])
    table = re.sub(r"\[\d+\]", "", _dotted(where[:-1]))
    known = list(_keys(model))
    siblings = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == table]
    near = difflib.get_close_matches(unknown, siblings, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {f'{table}.{near[0]}' if table else near[0]!r}?".replace("''", "'")
    leaves = {key.rpartition(".")[2]: key for key in reversed(known)}
    elsewhere = difflib.get_close_matches(unknown, list(leaves), n=1, cutoff=0.75)
    if elsewhere:
        return f"Did you mean {leaves[elsewhere[0]]!r}?"
    return f"Known here: {', '.join(sorted(siblings))}." if siblings else ""


def _keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield above + name
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _keys(inner, f"{above}{name}.")


def default_config_text(
    *, documents: str = "documents", questions: str = "questions.jsonl", model: str = "embedded:smollm2", single: bool = False
) -> str:
    """The groundtune.toml that `init` writes: the keys that a team will edit, each explained, and an explicit `[access]`."""
    return _TEMPLATE.format(
        documents=_quoted(documents),
        questions=_quoted(questions),
        model=_quoted(model),
        access=_SINGLE if single else _RULES,
    )


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'


_RULES = f"""\
# Who may read what. The first rule whose glob matches a document's path (below the documents folder) applies; a document that
# no rule matches is readable by nobody, and `groundtune sync` lists it.
#   read = ["hr", "board"]             whoever is hr or board
#   read = [["staff"], ["hr", "it"]]   whoever is staff and also hr or it
#   deny = ["intern"]                  but never an intern
# A file `NAME.access.toml` beside a document, holding `read` and `deny`, beats the rules.
questions = []   # principals of the questions that name none; every caller is also "{EVERYONE}"

# Put narrower rules above this one.
[[access.rules]]
match = "**"
read = ["{EVERYONE}"]
"""

_SINGLE = f"""\
# Everything belongs to the single principal "{LOCAL}": whoever asks with it reads every document. To tell people apart, remove
# this line and write rules:
#   [[access.rules]]
#   match = "hr/**"
#   read = ["hr"]
single = true
questions = ["{LOCAL}"]
"""

_TEMPLATE = """\
# Groundtune workspace. Keys that are left out have the values shown in comments. Unknown keys are errors.

model = {model}   # provider:name; see `groundtune models`
embedder = "embedded:minilm"
metric = "f1"   # the primary metric; fix it before the first look
documents = {documents}   # folder
questions = {questions}   # one JSON object a line: question, answers, ...

[access]
{access}
[chunking]
# tokens = 220     # longest chunk, in the embedder's tokens

[retrieval]
# k = 3            # chunks given to the model
# max_tokens = 600 # model tokens that they may take together

[training]
# audience = ["everyone"]   # who will use tuned weights; only examples that they may read enter

[decision]
# candidates = ["prompt", "few_shot", "rag", "tuned", "rag_tuned"]
# margin = 0.05    # points of the metric that count as "worse"
# budget = "20m"   # or "5USD": limits the work chosen from the plan

[prices]
# currency = "USD"
# core_hour = 0.04 # one core of this machine for an hour
# [prices.models."openai:NAME"]
# input_per_million = 0.15
# output_per_million = 0.60
"""
