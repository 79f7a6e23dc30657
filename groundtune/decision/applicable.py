"""Which candidates can race here, and why others cannot. It puts a few questions to what already runs; it scores none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from groundtune.candidates.build import build, build_external
from groundtune.candidates.recipes import candidate_named, external_candidate
from groundtune.candidates.workshop import Workshop
from groundtune.config import Config
from groundtune.decision.task import Task
from groundtune.errors import MissingExtra, ModelFailure, NotFound, UsageError
from groundtune.evaluation.evaluate import blind
from groundtune.training.rates import PREFERENCES
from groundtune.training.trainer import TRAINERS
from groundtune.types import Candidate, External, WholeDocuments

SAMPLE = 8
"""Questions whose prompts are rendered to count tokens for the plan."""


_TRIALS = 3
"""Questions put to a system that already runs before it counts as not answering."""

Functions = Mapping[str, Callable[..., Any]]
"""Candidate -> the Python callable that answers for it."""


def obstacle(candidate: Candidate, task: Task) -> str:
    """Why these data or this machine cannot have the candidate; empty when they can."""
    if candidate.context is not None and not task.has_documents:
        return "there are no documents to retrieve from"
    if candidate.prompt == "label" and not task.labels:
        return "its prompt lists labels, and this is no label task"
    if candidate.tuning is None:
        return ""
    if candidate.tuning.objective == "domain" and not task.has_documents:
        return "there are no documents to learn from"
    if isinstance(candidate.context, WholeDocuments):
        return "tuning on whole documents is not built"
    if candidate.examples is not None:
        return "tuning on prompts with examples is not built"
    provider = candidate.model.partition(":")[0]
    if provider not in TRAINERS:
        return f"the weights of {candidate.model} are not on this machine, so they cannot be tuned here"
    if provider != "fake" and (find_spec("torch") is None or find_spec("peft") is None):
        return "tuning needs the extra train, which is not installed; groundtune doctor says how to"
    if provider != "fake" and candidate.tuning.objective in PREFERENCES and find_spec("trl") is None:
        return "tuning on preferences needs the extra preferences, which is not installed; groundtune doctor says how to"
    return ""


def recipe(name: str, functions: Functions, *, config: Config, label_task: bool) -> Candidate:
    """A recipe of the configuration, or the one that wraps a callable, whose `version` is its attribute, if it has one."""
    function = functions.get(name)
    if function is None:
        return candidate_named(name, config=config, label_task=label_task)
    place = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', type(function).__qualname__)}"
    version = str(getattr(function, "version", ""))
    return external_candidate(name, External("callable", (place,), version=version, concurrency=1))


def missing_model(candidate: Candidate, workshop: Workshop, *, config: Config) -> str:
    """Why a model that only this candidate names cannot be had. The configured model must be there: its absence is an error."""
    if candidate.external is not None or candidate.model == config.model:
        return ""
    try:
        workshop.model(candidate.model)
    except MissingExtra as error:
        return f"{error.message.rstrip('.')}; groundtune doctor says how to install it"
    except (UsageError, NotFound, ModelFailure) as error:
        return str(error).rstrip(".")
    return ""


def trial(candidate: Candidate, external: External, workshop: Workshop, task: Task) -> tuple[float, str]:
    """(seconds of an answer, why it cannot race): a few questions are put to it, until one gets a usable reply."""
    kinds: list[str] = []
    try:
        assistant = build_external(candidate, external, workshop=workshop)
        for item in task.test_ids[:: max(1, len(task.test_ids) // _TRIALS)][:_TRIALS]:
            started = time.perf_counter()
            answer = assistant([blind(task.by_id()[item])])[0]
            if answer.text:
                return time.perf_counter() - started, ""
            kinds.append(answer.reason)
    except (UsageError, NotFound, ModelFailure) as error:
        return 0.0, str(error).rstrip(".")
    return 0.0, f"{len(kinds)} questions got no usable reply: {', '.join(dict.fromkeys(kinds))}"


def about(external: External, name: str) -> str:
    """What a race cannot know of a system that it did not build."""
    version = f"version {external.version!r}" if external.version else "no version"
    return (
        f"{name} already runs: whether it has seen these questions, whom it shows what, and what set it up are its own. "
        f"Its answers are kept under {version}; change that when it changes."
    )


def fit(candidate: Candidate, workshop: Workshop, task: Task) -> tuple[str, str]:
    """(why it cannot race, note): how much of the documents fits the model's window, over a few questions."""
    model = workshop.model(candidate.model)
    context = candidate.context
    limit = context.max_tokens if isinstance(context, WholeDocuments) else None
    if model.window is None and limit is None:
        wanted = f'[candidates.NAME] base = "{candidate.name}" and context = {{ max_tokens = ... }}'
        return f"the window of {candidate.model} is not known; name what documents may take: {wanted}", ""
    by_id = task.by_id()
    assistant = build(candidate, workshop=workshop, train_examples=[by_id[item] for item in task.folds[0].train])
    found = [assistant.documents_shown(by_id[item]) for item in task.test_ids[:: max(1, len(task.test_ids) // SAMPLE)]]
    found = [(shown, readable) for shown, readable in found if readable]
    asked = [(shown, readable) for shown, readable in found if shown]
    room = f"{limit} tokens" if limit is not None else f"the window of {candidate.model}, {model.window} tokens"
    if not asked:
        return f"no document fits {room}", ""
    if all(shown == readable for shown, readable in asked):
        return "", f"{candidate.name} shows every document that the asker may read; they fit {room}."
    shown, readable = (sum(counts) / len(asked) for counts in zip(*asked, strict=True))
    return "", (
        f"{candidate.name} shows {shown:.1f} of {readable:.1f} readable documents on average: not all are shown within {room}, "
        "so the documents of the best hits are, the best first and none cut."
    )
