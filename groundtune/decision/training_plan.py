"""What one training will take on this machine and data, and how far that was off. Spends seconds, trains nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select

from groundtune.candidates.build import training_pairs
from groundtune.candidates.open import weights_folder
from groundtune.candidates.workshop import Weights
from groundtune.decision.plan import measure_pace, measure_training_pace, remember_training_pace
from groundtune.decision.setup import Setup
from groundtune.evaluation.statistics import minimum_detectable_effect
from groundtune.store.tables import weights as weights_table
from groundtune.training.card import amend_card, load_card
from groundtune.training.plan import count_pairs, estimate
from groundtune.types import Candidate, Example, Tuning

_SHOWN = 3
"""Earlier estimates that a plan shows."""
_OF_MEMORY = 0.9
"""Share of the memory above which a training is not expected to fit."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A plan against what the training took. Seconds and bytes."""

    estimated: float
    taken: float
    ratio: float
    """Taken by estimated."""
    tokens_estimated: int
    tokens_taken: int
    memory_estimated: int | None
    memory_taken: int


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training will take."""

    candidate: str
    model: str
    pairs: int
    too_long: int
    """Pairs that will be left out as longer than `max_length`."""
    tokens: int
    """Non-padding tokens over all epochs."""
    steps: int
    seconds: float
    """Of the steps; loading and saving not counted."""
    tokens_per_second: float
    memory_bytes: int | None
    """Peak; as seen in the training that gave the pace. None where none was seen."""
    memory_here: int
    """What this machine has, bytes."""
    items: int
    groups: int
    scheme: str
    mde: float
    """Smallest difference of the metric between two candidates that the scored questions find with 80 % power."""
    earlier: tuple[Mapping[str, Any], ...]
    """The last estimates for this model: weights and the fields of `Estimate`, newest first."""
    first_seconds: float = 0.0
    """Before that: to train the weights that it starts from, as if they were not there, and to sweep learning rates."""
    warning: str = ""


def to_learn_from(setup: Setup) -> list[Example]:
    """The train part of a sealed split; every question where nothing is sealed."""
    by_id = setup.task.by_id()
    sealed = setup.task.scheme == "sealed test"
    return [by_id[item] for item in setup.task.folds[0].train] if sealed else list(setup.task.examples)


def plan_training(setup: Setup, candidate: Candidate) -> TrainingPlan:
    """Count the tokens of the very pairs, and time this machine for two steps unless a training was seen before.

    Raises DataError where the training would, and as `measure_training`.
    """
    workspace, task, tuning = setup.workspace, setup.task, candidate.tuning or Tuning()
    model, seed = setup.workshop.model(candidate.model), workspace.config.training.seed
    pairs = training_pairs(candidate, workshop=setup.workshop, train_examples=to_learn_from(setup), seed=seed)
    counted = count_pairs(candidate.model, pairs.pairs, tuning, seed=seed, count_tokens=model.count_tokens)
    memory = workspace.state / "pace.json"
    pace = measure_pace(model, batch_size=workspace.config.decision.batch_size, memory=memory)
    fitting = [pair for pair in pairs.pairs if pair.id not in counted.too_long]
    mean = counted.tokens / counted.pairs
    pace = measure_training_pace(model, candidate, prompt_tokens=mean, pace=pace, memory=memory, pairs=fitting)
    rate = pace.training_tokens_per_second or pace.prompt_tokens_per_second
    groups = task.grouping().groups
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    peak = pace.training_memory_bytes
    tight = peak is not None and peak > _OF_MEMORY * here
    return TrainingPlan(
        candidate=candidate.name,
        model=candidate.model,
        pairs=counted.pairs,
        too_long=len(counted.too_long),
        tokens=counted.tokens * tuning.epochs,
        steps=counted.steps,
        seconds=60 * estimate(counted.tokens, tuning, tokens_per_second=rate),
        tokens_per_second=rate,
        memory_bytes=peak,
        memory_here=here,
        items=len(task.test_ids),
        groups=groups,
        scheme=task.scheme,
        mde=minimum_detectable_effect(groups),
        earlier=tuple(_earlier(setup, candidate.model)),
        first_seconds=60 * tuning.sweep_minutes + (_whole(plan_training(setup, tuning.start)) if tuning.start else 0.0),
        warning="it may not fit into memory; lower training.batch_size or training.max_length" if tight else "",
    )


def _whole(plan: TrainingPlan) -> float:
    return plan.first_seconds + plan.seconds


def note_estimate(setup: Setup, planned: TrainingPlan, made: Weights) -> Estimate | None:
    """Write into the card how far the plan was off, and keep the pace; None for weights that had been trained before."""
    result = made.result
    if result.remembered or not planned.seconds:
        return None
    workspace = setup.workspace
    remember_training_pace(setup.workshop.model(planned.model), result, memory=workspace.state / "pace.json")
    found = Estimate(
        estimated=planned.seconds,
        taken=result.seconds,
        ratio=result.seconds / planned.seconds,
        tokens_estimated=planned.tokens,
        tokens_taken=result.tokens,
        memory_estimated=planned.memory_bytes,
        memory_taken=result.peak_memory_bytes,
    )
    amend_card(made.adapter, "plan", asdict(found))
    return found


def _earlier(setup: Setup, model: str) -> list[Mapping[str, Any]]:
    chosen = select(weights_table.c.id).where(weights_table.c.status == "ready").order_by(weights_table.c.created.desc())
    with setup.workspace.database.connect() as connection:
        ids = list(connection.scalars(chosen))
    found: list[Mapping[str, Any]] = []
    for id in ids:
        folder = weights_folder(setup.workspace) / id
        card = load_card(folder) if folder.is_dir() else {}
        if card.get("plan") and card["base"]["model"] == model and len(found) < _SHOWN:
            found.append({"weights": id, **card["plan"]})
    return found
