"""From a candidate's name to its recipe: shipped ones and those of `[candidates]`. Reads the configuration, builds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel

from groundtune.candidates.standard import standard_candidate
from groundtune.config import STANDARD, CandidateTable, Config, known_names
from groundtune.errors import UsageError
from groundtune.types import Candidate, External, NearestExamples, RetrievedContext, Tuning, WholeDocuments

T = TypeVar("T")


def candidate_named(name: str, *, config: Config, label_task: bool = False) -> Candidate:
    """The recipe of a shipped candidate or of one in `[candidates]`. Raises UsageError with the nearest name.

    `label_task` makes the template that lists the labels the default one. What a search chose for it holds.
    """
    recipe = _named(name, config=config, label_task=label_task)
    chosen = config.chosen.get(name)
    if chosen is None:
        return recipe
    examples = None if recipe.examples is None else _changed(recipe.examples, chosen)
    return replace(recipe, instruction=chosen.instruction or recipe.instruction, examples=examples)


def _named(name: str, *, config: Config, label_task: bool) -> Candidate:
    if name in config.candidates:
        return _own(name, config.candidates[name], config=config, label_task=label_task)
    if name == "long_context":
        return replace(standard_candidate("prompt", config=config, label_task=label_task), name=name, context=WholeDocuments())
    if name not in STANDARD:
        known = known_names(config.candidates)
        near = get_close_matches(name, known, n=1) or list(known)
        raise UsageError("no such candidate.", subject=name, remedy=f"Did you mean {near[0]}? Known: {', '.join(known)}.")
    return standard_candidate(name, config=config, label_task=label_task)


def external_candidate(name: str, external: External) -> Candidate:
    """The candidate that wraps something that already runs."""
    return Candidate(name, f"external:{name}", external=external)


def _own(name: str, table: CandidateTable, *, config: Config, label_task: bool) -> Candidate:
    if table.base is None:
        return external_candidate(name, _external(table))
    base = _named(table.base, config=config, label_task=label_task)
    context = _context(base.context, table, config=config)
    own = replace(
        base,
        name=name,
        model=table.model or base.model,
        prompt=table.prompt or base.prompt,
        instruction=table.instruction if table.instruction is not None else base.instruction,
        max_new_tokens=table.max_new_tokens or base.max_new_tokens,
        examples=_examples(base.examples, table, config=config),
        context=context,
        tuning=_tuning(base.tuning, table, context=context, config=config),
    )
    return own if own.tuning is None else replace(own, tuning=_further(own, own.tuning, table, config, label_task))


def _external(table: CandidateTable) -> External:
    common = _given(table, of=External, leave_out=("headers",))
    headers = tuple(sorted((table.headers or {}).items()))
    if table.url is not None:
        return External("http", (table.url,), headers=headers, **common)
    if table.command is not None:
        return External("command", table.command, **{"concurrency": 2, **common})
    # Python code is asked one question at a time unless its owner says that it bears more.
    return External("callable", (str(table.callable),), **{"concurrency": 1, **common})


def _examples(base: NearestExamples | None, table: CandidateTable, *, config: Config) -> NearestExamples | None:
    if table.examples is None:
        return base
    if table.examples.kind == "none":
        return None
    return _changed(base or NearestExamples(config.examples.k, config.examples.choice), table.examples)


def _context(
    base: RetrievedContext | WholeDocuments | None, table: CandidateTable, *, config: Config
) -> RetrievedContext | WholeDocuments | None:
    if table.context is None:
        return base
    kind = table.context.kind or ("whole" if isinstance(base, WholeDocuments) else "retrieved")
    if kind == "none":
        return None
    if kind == "whole":
        return _changed(base if isinstance(base, WholeDocuments) else WholeDocuments(), table.context)
    retrieval = config.retrieval
    retrieved = RetrievedContext(k=retrieval.k, max_tokens=retrieval.max_tokens, min_evidence=retrieval.min_evidence)
    return _changed(base if isinstance(base, RetrievedContext) else retrieved, table.context)


def _tuning(
    base: Tuning | None, table: CandidateTable, *, context: RetrievedContext | WholeDocuments | None, config: Config
) -> Tuning | None:
    """What is trained on follows the context, unless the table says it: retrieved text (raft) with as many sources as serving
    shows, or none (sft)."""
    if table.tuning is not None and table.tuning.method == "none":
        return None
    if base is None and table.tuning is None:
        return None
    base = base or standard_candidate("tuned", config=config).tuning or Tuning()
    sources = context.k - 1 if isinstance(context, RetrievedContext) else base.distractors
    base = replace(base, objective="raft" if isinstance(context, RetrievedContext) else "sft", distractors=sources)
    return base if table.tuning is None else replace(base, **_given(table.tuning, of=Tuning, leave_out=("start", "rewards")))


def _further(own: Candidate, tuning: Tuning, table: CandidateTable, config: Config, label_task: bool) -> Tuning:
    """With what it starts from, what it is rewarded for, and drawn answers as long as those of service."""
    if table.tuning is None:
        return tuning
    start = candidate_named(table.tuning.start, config=config, label_task=label_task) if table.tuning.start else None
    if start is not None and (start.tuning is None or start.model != own.model):
        what = "it is not tuned" if start.tuning is None else f"it is of another model, {start.model}"
        raise UsageError(f"tuning cannot start from {start.name}: {what}.", subject=own.name)
    return replace(
        tuning,
        start=start,
        rewards=tuple(sorted((table.tuning.rewards or {}).items())),
        answer_tokens=table.tuning.answer_tokens or own.max_new_tokens,
    )


def _changed(value: T, table: BaseModel) -> T:
    """A recipe's part with the fields that the table names."""
    changes = _given(table, of=type(value))
    return replace(value, **changes)  # type: ignore[type-var]  # every part is a frozen dataclass


def _given(table: BaseModel, *, of: type, leave_out: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """The fields of a dataclass that a table gives a value."""
    names = {field.name for field in fields(of)} - set(leave_out)
    return {name: value for name in sorted(names) if (value := getattr(table, name, None)) is not None}
