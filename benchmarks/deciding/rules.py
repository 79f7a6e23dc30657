"""Rules that choose a candidate, side by side with the product's verdict. What is fitted is fitted on the other tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.deciding.features import features_of
from benchmarks.deciding.probing import ANSWERABLE, CONTEXT, GOLD, HELD, NEAREST
from benchmarks.deciding.replay import Draws, constants
from benchmarks.deciding.table import RELAXED, Array, Codes, TaskTable
from benchmarks.deciding.trees import fit
from groundtune.decision.advise import Situation, advise

FALLBACK = {"rag": "prompt", "rag_tuned": "tuned"}
"""What stands for a retrieving candidate where there are no documents."""
FIXED = {"always prompt": "prompt", "always rag": "rag", "always tuned": "tuned", "always both": "rag_tuned"}
PROBES_ALONE = "probes alone"
_ORDER = ("rag_tuned", "tuned", "few_shot", "rag", "prompt")
"""Of candidates that the probes expect to be alike, the first: what learns most has most room above what was expected."""


def constant(draws: Draws, name: str) -> Codes:
    """[draw] The same candidate, or its fallback, each time."""
    return np.full(len(draws.order), place(draws.candidates, name))


def place(candidates: Sequence[str], name: str) -> int:
    return candidates.index(name if name in candidates else FALLBACK[name])


def folk(draws: Draws) -> Codes:
    """Documents -> both, else tune."""
    return constant(draws, "rag_tuned")  # which falls back to tuned


def at_random(draws: Draws, *, seed: int = 0) -> Codes:
    return np.asarray(np.random.default_rng([seed, 7]).integers(len(draws.candidates), size=len(draws.order)))


def best_seen(draws: Draws, n: int) -> Codes:
    """The highest mean on the drawn items, without any test."""
    return np.asarray(draws.scores[:, draws.drawn(n)].mean(axis=2).argmax(axis=0))


def questionnaire(draws: Draws, situation: Situation) -> Codes:
    """What `groundtune advise` would race first."""
    ranked = [one.name for one in advise(situation).candidates if one.race and one.name in draws.candidates]
    return constant(draws, ranked[0])


def probes(draws: Draws, n: int) -> Codes | None:
    """[draw] The candidate with the highest expectation; None where the probes did not run."""
    if draws.task.of(NEAREST) is None:
        return None
    found = expected(draws.task, draws.items[draws.drawn(n)], draws.candidates, constants(draws, n))
    order = [draws.candidates.index(name) for name in _ORDER if name in draws.candidates]
    return np.asarray(np.array(order)[found[:, order].argmax(axis=1)])


def expected(task: TaskTable, items: Codes, candidates: Sequence[str], constant: Array) -> Array:
    """[draw, candidate] What `decision.predictions` expects of each on items [draw, n], when none was raced before."""

    def values(probe: str) -> Array:
        row = task.of(probe)
        return (np.full(len(task.items), np.nan) if row is None else row)[items]

    mechanical = np.nan_to_num(values(CONTEXT))
    held = np.nan_to_num(values(HELD)) > 0
    answerable = np.nan_to_num(values(ANSWERABLE), nan=1.0) > 0
    gold, relaxed = _filled(values(GOLD), 0.5), _filled(values(RELAXED), 1.0)
    reading = np.where(answerable & held, np.maximum(mechanical, gold), mechanical)
    learned = np.where(answerable & held, (1 + relaxed) / 2, mechanical)
    labelled = np.maximum(np.nan_to_num(values(NEAREST)).mean(axis=1), constant)
    known = {
        "prompt": constant,
        "few_shot": labelled,
        "tuned": labelled,
        "rag": reading.mean(axis=1),
        "rag_tuned": learned.mean(axis=1),
    }
    return np.stack([known[name] for name in candidates], axis=1)


def _filled(rows: Array, otherwise: float) -> Array:
    """Gaps of [draw, item] take their draw's mean; a draw of gaps only takes `otherwise`."""
    seen = np.isfinite(rows)
    counts = seen.sum(axis=1, keepdims=True)
    means = np.where(counts > 0, np.nansum(rows, axis=1, keepdims=True) / np.maximum(counts, 1), otherwise)
    return np.where(seen, rows, means)


def features(task: TaskTable) -> Array:
    """[feature] Documents, training pairs, prompt tokens and a graded metric."""
    known = features_of(task)
    return np.array([known.documents, known.training_pairs, known.prompt_tokens, known.graded], dtype=np.float64)


def grown(draws: Mapping[str, Draws]) -> dict[str, Codes]:
    """Task -> the choice of the best depth-2 tree on the features of all the other tasks."""
    names, options = list(draws), _ORDER
    known = {name: features(one.task) for name, one in draws.items()}
    losses = {name: _losses(one, options) for name, one in draws.items()}
    found = {}
    for name in names:
        others = [other for other in names if other != name]
        if others:
            tree = fit(np.array([known[other] for other in others]), np.array([losses[other] for other in others]))
            found[name] = constant(draws[name], options[tree(known[name])])
    return found


def best_fixed(draws: Mapping[str, Draws]) -> dict[str, Codes]:
    """Task -> the candidate with the least mean regret on all the other tasks."""
    losses = {name: _losses(one, _ORDER) for name, one in draws.items()}
    found = {}
    for name, one in draws.items():
        others = [losses[other] for other in draws if other != name]
        if others:
            found[name] = constant(one, _ORDER[int(np.mean(others, axis=0).argmin())])
    return found


def _losses(draws: Draws, options: Sequence[str]) -> Array:
    """[option] Regret of each, or of its fallback, on all items."""
    means = draws.scores.mean(axis=1)
    return np.array([means.max() - means[place(draws.candidates, name)] for name in options])
