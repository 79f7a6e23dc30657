"""`[candidates.NAME]` of groundtune.toml: recipes, and systems that already run. Knows keys; builds nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from groundtune.config.section import Amount, ModelName, Positive, Section, Share

STANDARD = ("prompt", "few_shot", "rag", "tuned", "rag_tuned")
"""The five that race unless something else is said."""

SHIPPED = (*STANDARD, "long_context")
"""Every candidate that needs no table of its own."""

_KINDS = ("base", "url", "command", "callable")
_RECIPE = ("prompt", "instruction", "max_new_tokens", "examples", "context", "tuning")
_EXTERNAL = ("version", "timeout", "attempts", "concurrency", "headers", "price_per_1000")


def _word(key: str) -> Any:
    """Lets `context = "whole"` stand for `context = { kind = "whole" }`."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class ExamplesTable(Section):
    kind: Literal["none", "nearest"] | None = None
    k: Positive | None = None
    choice: Literal["nearest", "spread"] | None = None


class ContextTable(Section):
    kind: Literal["none", "retrieved", "whole"] | None = None
    k: Positive | None = None
    """Chunks found; with `whole`, those whose documents are shown."""
    max_tokens: Positive | None = None
    """Model tokens that the context may take."""
    min_evidence: Amount | None = None
    """retrieved: evidence below which it abstains."""
    documents: Literal["all", "best"] | None = None
    """whole: all that the caller may read, where they fit, or only those of the best chunks."""


def _weighted(value: Any) -> Any:
    """["a", "b"] means {a = 1.0, b = 1.0}."""
    return dict.fromkeys(value, 1.0) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value


class TuningTable(Section):
    method: Literal["none", "full", "partial", "lora"] | None = None
    objective: Literal["sft", "raft", "domain", "dpo", "kto", "grpo"] | None = None
    """What is learned; by default answers from retrieved text (raft) with context, else answers (sft)."""
    start: str | None = None
    """The tuned candidate whose weights are tuned further."""
    data: Annotated[str, Field(min_length=1)] | None = None
    """dpo, kto: file of preferences, relative to the workspace; sft, raft, grpo: a dataset beside the questions, by its id or
    `newest`."""
    rewards: Annotated[dict[str, Annotated[float, Field(gt=0)]] | None, BeforeValidator(_weighted)] = None
    """grpo: metric -> weight; a list of metrics weighs them alike."""
    generations: Annotated[int, Field(ge=2)] | None = None
    """grpo: answers drawn for each prompt."""
    answer_tokens: Positive | None = None
    """grpo: longest drawn answer; by default max_new_tokens."""
    early_stop: bool | None = None
    """sft, raft: keep the best epoch by the task's metric on held-out examples."""
    patience: Positive | None = None
    """early_stop: epochs without a better score after which it ends."""
    sweep_minutes: Annotated[float, Field(gt=0)] | None = None
    """sft, raft: time for short trainings at several learning rates, the best of which is taken."""
    beta: Amount | None = None
    """dpo, kto, grpo: how strongly the start holds."""
    epochs: Positive | None = None
    learning_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    batch_size: Positive | None = None
    top_layers: Positive | None = None
    """partial: blocks that learn."""
    rank: Positive | None = None
    alpha: Positive | None = None
    max_length: Annotated[int, Field(ge=64)] | None = None
    distractors: Annotated[int, Field(ge=0)] | None = None
    gold_share: Share | None = None
    unanswerable_share: Share | None = None

    @model_validator(mode="after")
    def _belongs(self) -> TuningTable:
        wanted: dict[str, tuple[str, ...]] = {"rewards": ("grpo",), "generations": ("grpo",), "answer_tokens": ("grpo",)}
        wanted["beta"] = ("dpo", "kto", "grpo")
        for name, objectives in wanted.items():
            if getattr(self, name) is not None and self.objective not in objectives:
                raise ValueError(f"{name} belongs to objective = {' or '.join(map(repr, objectives))}")
        if self.data is not None and self.objective == "domain":
            raise ValueError("objective = 'domain' learns from the documents, and data names something else; leave it out")
        for name in ("early_stop", "patience", "sweep_minutes"):
            if getattr(self, name) is not None and self.objective not in (None, "sft", "raft"):
                raise ValueError(f"{name} belongs to objective = 'sft' or 'raft'")
        if self.sweep_minutes is not None and self.learning_rate is not None:
            raise ValueError("sweep_minutes chooses the learning rate, and learning_rate names it; keep one")
        if self.objective in ("dpo", "kto") and self.data is None:
            raise ValueError(f"objective = {self.objective!r} needs data, a file of preferences")
        if self.objective == "grpo" and not self.rewards:
            raise ValueError("objective = 'grpo' needs rewards, such as rewards = ['label_accuracy']")
        return self


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected an address such as 'http://localhost:8000/ask', found {value!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a password does not belong into this file; name the environment variable that holds it in headers")
    _ = parts.port  # raises ValueError when it is no port
    return value


def _reference(value: str) -> str:
    if not re.fullmatch(r"[\w.]+:[\w.]+", value):
        raise ValueError(f"expected 'package.module:function', found {value!r}")
    return value


_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, variable in value.items():
        if not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if not _VARIABLE.fullmatch(variable):
            raise ValueError(f"{name}: expected the name of the environment variable that holds its value, such as BOT_TOKEN")
    return value


class CandidateTable(Section):
    """Either a recipe (`base`) with some fields replaced, or one of `url`, `command` and `callable`."""

    base: str | None = None
    """The shipped candidate whose fields hold where nothing is said here."""
    url: Annotated[str, AfterValidator(_address)] | None = None
    command: Annotated[tuple[str, ...], Strict(False), Field(min_length=1)] | None = None
    """Program and arguments, run without a shell in the workspace's folder."""
    callable: Annotated[str, AfterValidator(_reference)] | None = None
    model: ModelName | None = None
    prompt: Literal["answer", "label"] | None = None
    instruction: str | None = None
    max_new_tokens: Positive | None = None
    examples: Annotated[ExamplesTable | None, _word("kind")] = None
    context: Annotated[ContextTable | None, _word("kind")] = None
    tuning: Annotated[TuningTable | None, _word("method")] = None
    version: str | None = None
    """external: raise it when its answers may have changed."""
    timeout: Annotated[float, Field(gt=0, le=3600)] | None = None
    """external: seconds that one attempt may take in all."""
    attempts: Annotated[int, Field(ge=1, le=10)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    headers: Annotated[dict[str, str], AfterValidator(_headers)] | None = None
    """url: header -> environment variable that holds its value."""
    price_per_1000: Amount | None = None
    """external: what 1,000 answers cost, in the currency of `[prices]`."""

    @model_validator(mode="after")
    def _one_kind(self) -> CandidateTable:
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"expected one of base, url, command and callable, found {found}")
        (kind,) = given
        if kind == "base" and self.base not in SHIPPED:
            near = difflib.get_close_matches(str(self.base), SHIPPED, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(SHIPPED)}"
            raise ValueError(f"there is no shipped candidate {self.base!r} to start from; {hint}")
        wrong = _EXTERNAL if kind == "base" else (*_RECIPE, "model")
        for name in wrong:
            if getattr(self, name) is not None:
                owner = "url, command or callable" if kind == "base" else "base"
                raise ValueError(f"{name} belongs to a candidate with {owner}, and this one has {kind}")
        for name in ("headers", "attempts"):
            if getattr(self, name) is not None and kind != "url":
                raise ValueError(f"{name} belongs to a candidate with url, and this one has {kind}")
        if self.tuning is not None and self.tuning.objective == "raft" and not self._retrieves():
            raise ValueError("tuning.objective = 'raft' learns from retrieved text, and this candidate retrieves none")
        if self.tuning is not None and self.tuning.objective in ("dpo", "kto", "grpo") and self._retrieves():
            raise ValueError(f"tuning.objective = {self.tuning.objective!r} learns from prompts without retrieved text")
        if self.timeout is not None and kind == "callable":
            raise ValueError("a callable cannot be stopped, so it has no timeout; use command for a limit")
        return self

    def _retrieves(self) -> bool:
        if self.context is not None and self.context.kind is not None:
            return self.context.kind == "retrieved"
        return self.base in ("rag", "rag_tuned") or (self.context is not None and self.base != "long_context")


class ChosenTable(Section):
    """What a search chose for a candidate, in place of its recipe's own."""

    instruction: Annotated[str, Field(min_length=1)] | None = None
    k: Positive | None = None
    """Examples shown."""
    choice: Literal["nearest", "spread"] | None = None


def check_names(tables: dict[str, CandidateTable]) -> dict[str, CandidateTable]:
    """Names must not be those of shipped candidates, so that a name says which recipe it is."""
    for name in tables:
        if name in SHIPPED:
            raise ValueError(f"{name!r} is a shipped candidate and keeps its recipe; choose another name, such as 'my_{name}'")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
            raise ValueError(f"{name!r} is no name of a candidate; use letters, digits, '_', '-' and '.'")
    return tables


def check_starts(tables: dict[str, CandidateTable]) -> dict[str, CandidateTable]:
    """What a candidate's tuning starts from must be tuned itself, and not start from the candidate."""
    for name in tables:
        seen = [name]
        while (start := _start(tables.get(seen[-1]))) is not None:
            if start not in tables and start not in ("tuned", "rag_tuned"):
                near = difflib.get_close_matches(start, ["tuned", "rag_tuned", *tables], n=1)
                hint = f"did you mean {near[0]!r}?" if near else "it must be tuned, rag_tuned or a tuned one of yours"
                raise ValueError(f"{seen[-1]}: its tuning starts from {start!r}, which is no tuned candidate; {hint}")
            if start in seen:
                raise ValueError(f"{name}: its tuning starts from itself ({' -> '.join([*seen, start])})")
            seen.append(start)
    return tables


def _start(table: CandidateTable | None) -> str | None:
    return table.tuning.start if table is not None and table.tuning is not None else None


def known_names(tables: Mapping[str, CandidateTable]) -> tuple[str, ...]:
    """Every name that a race may give: shipped ones, then those of the file."""
    return (*SHIPPED, *tables)
