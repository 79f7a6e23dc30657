"""The search inside a candidate's own share: examples and instruction, by halving over the dev part. It asks no scored item."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.candidates.build import build
from groundtune.config import FILE_NAME, ChosenTable, with_keys
from groundtune.decision.applicable import recipe
from groundtune.decision.halving import Rung, Setting, halve, rounds
from groundtune.decision.plan import LeftOut, Plan, PlannedStage, measure_pace, price_of, stages_of
from groundtune.decision.proposing import PROPOSED, REPLY_TOKENS, SHOWN, Proposals, propose
from groundtune.decision.setup import Setup, load_of
from groundtune.decision.variants import PRESENT, can_vary, described, instructions_of, variants_of
from groundtune.evaluation.evaluate import evaluate
from groundtune.interfaces import LanguageModel, Progress
from groundtune.models import load_model
from groundtune.store.artefacts import write_whole
from groundtune.store.stages import digest
from groundtune.types import Candidate, Example, NearestExamples, Score

SEARCH = "examples and instructions"
RECORD = "search.json"
"""In the folder of a run: every variant of every rung with what it scored."""

FEWEST_DEV = 20
"""With fewer questions nothing is chosen."""

MOST_DEV = 200
"""So many answer the finest choice that a search makes; more would cost as much as the race."""

_PROPOSING_SECONDS = 20.0
"""Of one reply of a model that writes instructions, about."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search chose for one candidate, and what each variant scored."""

    candidate: str
    chosen: Setting
    """(examples, instruction); both as they are where nothing is better beyond the error of the comparison."""
    recipe: Candidate
    questions: int
    present: float
    """Mean score of the candidate as it is, on all questions of the search."""
    score: float
    """Of the choice; made and measured on the same questions, so a little too high."""
    error: float
    """Standard error of the best variant's difference to the candidate as it is, groups kept whole."""
    rungs: tuple[Rung, ...]
    instructions: Mapping[str, str]
    proposals: Proposals | None
    seconds: float


def name_of(candidate: str) -> str:
    """What the plan calls a candidate's search where it is left out."""
    return f"search of {candidate}"


def search_stages(setup: Setup) -> tuple[dict[str, tuple[PlannedStage, ...]], tuple[LeftOut, ...]]:
    """What the search of each candidate takes at most, or why there is none. Raises DataError for files of instructions."""
    config = setup.workspace.config
    if not config.decision.search:
        return {}, ()
    written = instructions_of(setup.workspace)
    writer = _writer(setup)
    if setup.task.scheme != "sealed test":
        return {}, (LeftOut(SEARCH, "every question is scored, so none is left to choose by; 300 questions leave a dev part"),)
    if len(setup.task.dev) < FEWEST_DEV:
        return {}, (LeftOut(SEARCH, f"the dev part has {len(setup.task.dev)} questions, {FEWEST_DEV} are needed"),)
    items = len(_dev(setup))
    planned: dict[str, tuple[PlannedStage, ...]] = {}
    for candidate in _searchable(setup):
        extra = {str(number): str(number) for number in range(PROPOSED)} if writer is not None else {}
        variants = variants_of(candidate, written | extra)
        if len(variants) == 1:
            continue
        model = setup.workshop.model(candidate.model)
        pace = measure_pace(model, batch_size=config.decision.batch_size, memory=setup.workspace.state / "pace.json")
        load = replace(load_of(_dearest(variants), setup), items=_answers(len(variants), items))
        (answer,) = (
            stage
            for stage in stages_of(load, pace=pace, prices=config.prices, local=model.local, latency_requests=0)
            if stage.name == "answer"
        )
        seconds, money = answer.seconds, answer.money
        if writer is not None:
            tokens = (float(load.prompt_tokens * (SHOWN + 1)), float(REPLY_TOKENS))
            seconds += _PROPOSING_SECONDS
            money += price_of(_PROPOSING_SECONDS, tokens, writer.name, config.prices, writer.local)
        planned[name_of(candidate.name)] = (PlannedStage("search", candidate.name, seconds, money),)
    return planned, () if planned else (LeftOut(SEARCH, "no candidate has examples, and no instructions are given"),)


def search(setup: Setup, plan: Plan, *, record: Path, progress: Progress | None = None) -> tuple[Setup, tuple[Searched, ...]]:
    """The race with the settings that were chosen, which are written into groundtune.toml so that `ask` has them too."""
    planned = {stage.candidate for stage in plan.stages if stage.name == "search"}
    if not planned:
        return setup, ()
    written, writer = instructions_of(setup.workspace), _writer(setup)
    found = tuple(
        search_one(setup, candidate, instructions=written, writer=writer, progress=progress)
        for candidate in _searchable(setup)
        if candidate.name in planned
    )
    rows = [asdict(one) | {"recipe": None, "instruction": one.recipe.instruction} for one in found]
    write_whole(record, (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode())
    return _with_choice(setup, found), found


def search_one(
    setup: Setup,
    candidate: Candidate,
    *,
    instructions: Mapping[str, str],
    writer: LanguageModel | None,
    progress: Progress | None = None,
) -> Searched:
    """Search one candidate on the dev part. The candidate as it is stays unless the best variant is better by more than one
    standard error of their difference."""
    started = time.perf_counter()
    bench = _Bench(setup, candidate.name, progress)
    present = bench.scores(candidate, _dev(setup))
    metric = setup.task.metric
    usable = [one for one in _dev(setup) if metric in present[one.id].metrics] or _dev(setup)
    proposals = None
    if writer is not None:
        proposals = propose(setup, candidate, writer, scores=[present[one.id] for one in usable], progress=progress)
        instructions = {**instructions, **{f"proposed {n}": text for n, text in enumerate(proposals.instructions, start=1)}}
    variants = variants_of(candidate, instructions)
    by_id = {one.id: one for one in usable}

    def results(setting: Setting, items: Sequence[str]) -> list[float]:
        scores = bench.scores(variants[setting], [by_id[item] for item in items])
        return [scores[item].metrics.get(metric, 0.0) for item in items]

    ids = [one.id for one in usable]
    rungs, finalists = halve(list(variants), ids, measure=lambda some, items: [results(one, items) for one in some])
    first, best = next(iter(variants)), finalists[0]
    before, after = np.array(results(first, ids)), np.array(results(best, ids))
    error = _standard_error(after - before, [one.group for one in usable])
    chosen = best if float((after - before).mean()) > error else first
    return Searched(
        candidate=candidate.name,
        chosen=chosen,
        recipe=variants[chosen],
        questions=len(ids),
        present=float(before.mean()),
        score=float((before if chosen == first else after).mean()),
        error=error,
        rungs=tuple(rungs),
        instructions=dict(instructions),
        proposals=proposals,
        seconds=time.perf_counter() - started,
    )


def told(one: Searched) -> str:
    """The choice and what the alternatives scored, for the report. It quotes no instruction."""
    last = {setting: (score, rung.items) for rung in one.rungs for setting, score in rung.settings}
    rows = sorted(last.items(), key=lambda row: (-row[1][1], -row[1][0]))
    scored = "; ".join(f"{described(setting)} {score:.3f} ({items})" for setting, (score, items) in rows)
    choice = f"Chosen: {described(one.chosen)}" if one.chosen != (PRESENT, PRESENT) else "It stays as it is"
    text = (
        f"{one.candidate}: {len(last)} variants were compared on {one.questions} questions of the dev part, not scored here. "
        f"{choice}; {one.present:.3f} before and {one.score:.3f} after, where a variant must win by more than {one.error:.3f}. "
        f"Scores, with the questions that each was measured on: {scored}."
    )
    wrote = one.proposals
    if wrote is None:
        return text
    withheld = f" ({wrote.withheld} more were withheld from it)" if wrote.withheld else ""
    refused = f"; not tried: {', '.join(dict.fromkeys(wrote.refused))}" if wrote.refused else ""
    written = f"{len(wrote.instructions)} instructions{refused}"
    return f"{text} {wrote.model} saw {wrote.shown} wrong answers{withheld} and wrote {written}."


def _writer(setup: Setup) -> LanguageModel | None:
    named = setup.workspace.config.decision.proposer
    return load_model(named) if named is not None else None


def _searchable(setup: Setup) -> list[Candidate]:
    """Untuned candidates with their own recipes: an earlier choice is made anew, so that a run that goes on chooses alike."""
    config = setup.workspace.config.model_copy(update={"chosen": {}})
    return [
        recipe(one.name, setup.workshop.functions, config=config, label_task=bool(setup.task.labels))
        for one in setup.candidates
        if can_vary(one)
    ]


def _dev(setup: Setup) -> list[Example]:
    """In an order that has nothing to do with the questions, the groups in one piece."""
    by_id = setup.task.by_id()
    order = sorted((by_id[item] for item in setup.task.dev), key=lambda one: (digest(one.group), one.id))
    return order[:MOST_DEV]


def _answers(variants: int, items: int) -> int:
    """Answers that a search asks for: what an earlier rung asked is known."""
    found = rounds(variants, items)
    return sum(many * (number - before) for (_, before), (many, number) in pairwise([(0, 0), *found]))


def _dearest(variants: Mapping[Setting, Candidate]) -> Candidate:
    """One with most examples."""
    return max(variants.values(), key=lambda one: (one.examples or NearestExamples(0)).k)


def _standard_error(differences: np.ndarray, groups: Sequence[str]) -> float:
    """Of the mean, items of one group counted as one draw; infinite with fewer than two groups."""
    names = sorted(set(groups))
    if len(names) < 2:
        return math.inf
    off = differences - differences.mean()
    sums = np.bincount([names.index(group) for group in groups], weights=off, minlength=len(names))
    return float(np.sqrt((sums**2).sum() * len(names) / (len(names) - 1)) / len(differences))


def _with_choice(setup: Setup, found: Sequence[Searched]) -> Setup:
    workspace = setup.workspace
    chosen = dict(workspace.config.chosen)
    for one in found:
        if keys := _keys(one):
            chosen[one.candidate] = ChosenTable.model_validate(keys)
        else:
            chosen.pop(one.candidate, None)
    if chosen != workspace.config.chosen:
        path = workspace.root / FILE_NAME
        text = with_keys(path.read_text(encoding="utf-8"), {"chosen": {one.candidate: _keys(one) for one in found}})
        write_whole(path, text.encode())
        workspace.config = workspace.config.model_copy(update={"chosen": chosen})
    recipes = {one.candidate: one.recipe for one in found}
    return replace(setup, candidates=tuple(recipes.get(one.name, one) for one in setup.candidates))


def _keys(one: Searched) -> dict[str, Any] | None:
    """What of the recipe is to be remembered; None where it stays as it is."""
    examples, instruction = one.chosen
    keys: dict[str, Any] = {"instruction": one.recipe.instruction} if instruction != PRESENT else {}
    if examples != PRESENT and one.recipe.examples is not None:
        keys |= {"k": one.recipe.examples.k, "choice": one.recipe.examples.choice}
    return keys or None


class _Bench:
    """What variants of one candidate answered on dev items, each asked once. Fold's training items are their examples."""

    def __init__(self, setup: Setup, name: str, progress: Progress | None) -> None:
        by_id = setup.task.by_id()
        self._setup, self._name, self._progress = setup, name, progress
        self._learned = [by_id[item] for item in setup.task.folds[0].train]
        self._known: dict[Candidate, dict[str, Score]] = {}

    def scores(self, variant: Candidate, items: Sequence[Example]) -> Mapping[str, Score]:
        """Item -> score, these items among others."""
        known = self._known.setdefault(variant, {})
        missing = [one for one in items if one.id not in known]
        if missing:
            workspace, task = self._setup.workspace, self._setup.task
            assistant = build(variant, workshop=self._setup.workshop, train_examples=self._learned)
            found = evaluate(
                assistant,
                missing,
                candidate=self._name,
                metrics=(task.metric,),
                stages=workspace.stages,
                key=assistant.fingerprint,
                batch_size=workspace.config.decision.batch_size,
                settings=task.settings,
                progress=self._report,
            )
            known.update({one.item: one for one in found})
        return known

    def _report(self, _: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(name_of(self._name), done, total)
