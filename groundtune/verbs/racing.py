"""train, evaluate, decide, report: the race and what it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from groundtune.candidates.build import tune
from groundtune.candidates.forgetting import probe_forgetting
from groundtune.candidates.open import remember_run, remember_weights, weights_folder
from groundtune.candidates.recipes import candidate_named
from groundtune.config import FILE_NAME, STANDARD, Config, default_config_text, known_names
from groundtune.decision.decide import Decision, run_race
from groundtune.decision.decide import decide as decide_workspace
from groundtune.decision.ledger import load_report
from groundtune.decision.measures import candidate_reports
from groundtune.decision.plan import Plan
from groundtune.decision.report import ReportFiles, write_report
from groundtune.decision.setup import set_up
from groundtune.decision.training_plan import Estimate, TrainingPlan, note_estimate, plan_training, to_learn_from
from groundtune.errors import NotFound, UsageError
from groundtune.interfaces import Progress
from groundtune.store.workspace import Workspace
from groundtune.training.forgetting import Forgetting
from groundtune.types import Audience, CandidateReport


@dataclass(frozen=True, slots=True)
class TrainResult:
    candidate: str
    weights: str
    adapter: Path
    pairs: int
    left_out: int
    """Examples that some named user may not read, whose evidence no readable chunk holds, or that a race will ask."""
    problems: tuple[str, ...]
    """Rows of a file of preferences that could not be used, each with its line."""
    audience: Audience
    """Who may use the weights: every clause must be met."""
    seconds: float
    forgetting: Forgetting | None = None
    """General questions and prose before and after; None where `training.forgetting` is off."""
    estimate: Estimate | None = None
    """The plan against what it took; None where these weights had been trained before."""


def train(
    candidate: str,
    *,
    root: Path | str = ".",
    announce: Callable[[TrainingPlan], None] | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Weights of one tuned candidate for use: trained on every question of the train part, or on all when nothing is sealed.

    Below 300 questions a race is cross-fitted, so its own weights have each seen a part only; these see all, and are therefore
    not the weights that were measured. `announce` gets the plan before anything is spent; how far it was off, and what was
    forgotten, stand in the model card.
    """
    with Workspace.open(root) as workspace, workspace.lock():
        recipe = candidate_named(candidate, config=workspace.config)
        if recipe.tuning is None:
            tuned = ", ".join(name for name in STANDARD if "tuned" in name)
            raise UsageError(
                "it has no tuning, so there is nothing to train.", subject=candidate, remedy=f"Tuned ones are: {tuned}."
            )
        setup = set_up(workspace, names=[candidate], progress=progress)
        if candidate in setup.not_applicable:
            raise UsageError(f"{setup.not_applicable[candidate]}.", subject=candidate)
        planned = plan_training(setup, setup.candidates[0])
        if announce is not None:
            announce(planned)
        started = time.perf_counter()
        made = tune(
            setup.candidates[0],
            workshop=setup.workshop,
            train_examples=to_learn_from(setup),
            folder=weights_folder(workspace),
            seed=workspace.config.training.seed,
            progress=progress,
        )
        remember_weights(workspace, made)
        estimate = note_estimate(setup, planned, made)
        remember_run(workspace, verb=f"train {candidate}", content={"candidate": candidate, "weights": made.id})
        taken = time.perf_counter() - started
        forgot = probe_forgetting(workspace, setup.workshop, setup.candidates[0].model, made, progress=progress)
        return TrainResult(
            candidate=candidate,
            weights=made.id,
            adapter=made.adapter,
            pairs=made.pairs,
            left_out=len(made.unreadable) + len(made.without_gold) + len(made.withheld),
            problems=made.problems,
            audience=made.audience,
            seconds=taken,
            forgetting=forgot,
            estimate=estimate,
        )


def evaluate(
    candidate: str | None = None,
    *,
    root: Path | str = ".",
    questions: Path | str | None = None,
    progress: Progress | None = None,
) -> tuple[CandidateReport, ...]:
    """Scores, latency and cost of one candidate, or of all that are configured. Nothing is compared or decided."""
    with Workspace.open(root) as workspace, workspace.lock():
        if questions is not None:
            workspace.config = workspace.config.model_copy(update={"questions": str(Path(questions).resolve())})
        names = (candidate,) if candidate else workspace.config.decision.candidates
        setup = set_up(workspace, names=names, progress=progress)
        if candidate in setup.not_applicable:
            raise UsageError(f"{setup.not_applicable[candidate]}.", subject=candidate)
        outcome = run_race(setup, setup.candidates, progress=progress)
        return tuple(candidate_reports(setup, setup.candidates, outcome).values())


def decide(
    root: Path | str | None = None,
    *,
    documents: Path | str | None = None,
    questions: Path | str | None = None,
    out: Path | str | None = None,
    model: str | None = None,
    metric: str | None = None,
    candidates: Sequence[str | Callable[..., Any]] | None = None,
    budget: str | None = None,
    plan_only: bool = False,
    announce: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Race the candidates on the documents and questions, name a winner or say that the evidence names none.

    With `root`, a workspace. Without one, `questions` and `out` (and `documents`, if there are any): `out` becomes a
    workspace in which everything belongs to the one principal `local`. `announce` is called with the plan before anything is
    spent; repeating an interrupted call continues it. The report lies in the workspace: report.json, report.md, report.html.

    `candidates` are names, or Python functions that answer: `function(question)`, which get `history` and `principals` too
    where they have such parameters. Their answers are kept under the attribute `version` of the function, if it has one.
    """
    with _open(root, documents=documents, questions=questions, out=out) as workspace:
        changes: dict[str, object] = {"model": model, "metric": metric}
        changes["documents"] = str(Path(documents).resolve()) if documents is not None else None
        changes["questions"] = str(Path(questions).resolve()) if questions is not None else None
        update = {key: value for key, value in changes.items() if value is not None}
        workspace.config = _changed(workspace.config, update)
        names, functions = _named(candidates or workspace.config.decision.candidates, known_names(workspace.config.candidates))
        return decide_workspace(
            workspace,
            names=names,
            functions=functions,
            budget=budget,
            plan_only=plan_only,
            announce=announce,
            progress=progress,
        )


def _named(
    candidates: Sequence[str | Callable[..., Any]], taken: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, Callable[..., Any]]]:
    """The candidates' names, and the callables among them by theirs. Raises UsageError for a name that cannot stand."""
    names: list[str] = []
    functions: dict[str, Callable[..., Any]] = {}
    for candidate in candidates:
        if isinstance(candidate, str):
            names.append(candidate)
            continue
        name = getattr(candidate, "__name__", type(candidate).__name__)
        if not callable(candidate) or not name.isidentifier():
            raise UsageError("is neither a candidate's name nor a function with a name.", subject=repr(candidate))
        if name in taken or name in functions:
            raise UsageError("there is a candidate of this name already.", subject=name, remedy="Give the function another.")
        functions[name] = candidate
        names.append(name)
    return tuple(names), functions


def _changed(config: Config, update: dict[str, object]) -> Config:
    """The configuration with some top-level keys replaced. Raises UsageError naming the first value that is off."""
    try:
        return Config.model_validate(config.model_dump() | update)
    except ValidationError as error:
        fault = error.errors()[0]
        key, what = fault["loc"][0], fault["msg"].removeprefix("Value error, ")
        raise UsageError(f"{key}: {what}.", subject=str(update.get(str(key), ""))) from error


def report(root: Path | str = ".", *, run: str | None = None) -> ReportFiles:
    """Write the files of a decision again, by default of the newest. Raises NotFound when nothing was decided."""
    with Workspace.open(root) as workspace:
        return write_report(workspace, load_report(workspace, run))


def _open(
    root: Path | str | None, *, documents: Path | str | None, questions: Path | str | None, out: Path | str | None
) -> Workspace:
    """The workspace at `root`, or one in `out` for documents and questions that lie anywhere."""
    if root is not None:
        if out is not None:
            raise UsageError(
                "a workspace keeps its own reports.", subject=str(out), remedy="Give a workspace or --out, not both."
            )
        return Workspace.open(root)
    if questions is None or out is None:
        raise UsageError(
            "without a workspace, questions and a folder for the result are needed.",
            remedy="Give --questions FILE and --out DIR, and --documents DIR if there are documents; or run: groundtune init",
        )
    for path, wanted in ((questions, "file of questions"), (documents, "folder of documents")):
        if path is not None and not Path(path).exists():
            raise NotFound(f"there is no such {wanted}.", subject=str(path))
    if (Path(out) / FILE_NAME).exists():
        return Workspace.open(out)
    text = default_config_text(
        documents=str(Path(documents).resolve()) if documents is not None else "",
        questions=str(Path(questions).resolve()),
        single=True,
    )
    return Workspace.create(out, config_text=text)
