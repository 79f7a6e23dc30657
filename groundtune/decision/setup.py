"""Everything that is fixed before a race answers anything: synced documents, task, candidates and plan. It spends no budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import select

from groundtune.candidates.build import build, training_pairs
from groundtune.candidates.open import open_workshop, scoring_settings, weights_folder
from groundtune.candidates.recipes import candidate_named
from groundtune.candidates.workshop import Workshop
from groundtune.dataset.read import read_questions
from groundtune.decision.applicable import SAMPLE, Functions, about, fit, missing_model, obstacle, recipe, trial
from groundtune.decision.ledger import looks_before, warning
from groundtune.decision.plan import (
    Budget,
    LeftOut,
    Load,
    Plan,
    PlannedStage,
    choose,
    external_stages,
    measure_pace,
    measure_training_pace,
    price_of,
    stages_of,
)
from groundtune.decision.race import READER
from groundtune.decision.reader import Reader, reader, shares_questions
from groundtune.decision.schedule import schedule
from groundtune.decision.task import Task, prepare
from groundtune.errors import DataError
from groundtune.evaluation.baseline import best_constant
from groundtune.evaluation.statistics import minimum_detectable_effect, smallest_p
from groundtune.ingest.reading import stored_document
from groundtune.ingest.sync import SyncReport, sync
from groundtune.interfaces import Progress
from groundtune.models import load_embedder
from groundtune.scoring import metric as find_metric
from groundtune.store.tables import documents as documents_table
from groundtune.store.workspace import Workspace
from groundtune.types import LOCAL, Candidate, RetrievedContext, WholeDocuments


@dataclass(frozen=True)
class Setup:
    """A race that is ready to be run."""

    workspace: Workspace
    workshop: Workshop
    task: Task
    candidates: tuple[Candidate, ...]
    """Applicable ones, in the order of the configuration."""
    not_applicable: dict[str, str]
    """Candidate -> why it cannot be built from these data or on this machine."""
    synced: SyncReport | None
    notes: tuple[str, ...]
    models: Mapping[str, str] = field(default_factory=dict)
    """Candidate -> its model, those that are not applicable too."""
    trials: Mapping[str, float] = field(default_factory=dict)
    """Candidate that already runs -> seconds that its first answer took."""
    reader: Reader | None = None
    """The reader probe of the first retrieving candidate."""
    no_reader: str = ""
    """Why there is none; empty when there is."""


def set_up(
    workspace: Workspace, *, names: Sequence[str], functions: Functions | None = None, progress: Progress | None = None
) -> Setup:
    """Sync, read the questions, locate evidence, cut folds. Raises DataError and TooFewQuestions before anything is spent."""
    config = workspace.config
    embedder = load_embedder(config.embedder)
    synced = sync(workspace, embedder=embedder, progress=progress) if config.documents else None
    if synced is not None and not synced.documents:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in synced.failed[:3])
        raise DataError("none of the documents could be read.", subject=str(workspace.documents), remedy=reasons)
    rows = documents_with_text(workspace) if synced is not None else {}
    task = prepare(
        read_questions(workspace.questions),
        document_text=lambda name: stored_document(workspace, rows[name]).text if name in rows else None,
        documents=rows.keys(),
        metric=config.metric,
        principals=config.access.asked_by,
        folds_wanted=config.decision.folds,
        settings=scoring_settings(workspace),
        seed=config.decision.seed,
        test_questions=config.decision.test_questions,
        train_questions=config.decision.train_questions,
    )
    workshop = open_workshop(workspace, embedder=embedder, examples=task.examples, labels=task.labels)
    workshop.functions = functions or {}
    candidates: list[Candidate] = []
    not_applicable: dict[str, str] = {}
    notes = list(_notes(workspace, task, synced))
    models: dict[str, str] = {}
    trials: dict[str, float] = {}
    for name in dict.fromkeys(names):
        candidate = recipe(name, workshop.functions, config=config, label_task=bool(task.labels))
        models[name] = candidate.model
        reason = obstacle(candidate, task) or missing_model(candidate, workshop, config=config)
        if not reason and candidate.external is not None:
            trials[name], reason = trial(candidate, candidate.external, workshop, task)
            notes.append(about(candidate.external, name))
        elif not reason and isinstance(candidate.context, WholeDocuments):
            reason, note = fit(candidate, workshop, task)
            notes.append(note)
        if reason:
            not_applicable[name] = reason
            notes.append(f"{name} is not applicable: {reason}.")
        else:
            candidates.append(candidate)
    idle = [name for name in config.candidates if name not in models]
    if idle:
        notes.append(f"Not raced, because neither decision.candidates nor the call names them: {', '.join(idle)}.")
    shown = tuple(note for note in notes if note)
    probe, no_reader = _reader(workspace, workshop, task, candidates)
    return Setup(workspace, workshop, task, tuple(candidates), not_applicable, synced, shown, models, trials, probe, no_reader)


def _reader(workspace: Workspace, workshop: Workshop, task: Task, candidates: Sequence[Candidate]) -> tuple[Reader | None, str]:
    retrieving = [candidate for candidate in candidates if isinstance(candidate.context, RetrievedContext)]
    retrieving.sort(key=lambda candidate: candidate.name != "rag")
    if not retrieving or not task.has_evidence:
        return None, "it needs a candidate with retrieval and questions with evidence"
    tuned = candidate_named("rag_tuned", config=workspace.config)
    wanted = replace(retrieving[0], tuning=tuned.tuning, examples=None)
    if wanted.tuning is None:
        return None, "rag_tuned is not tuned"
    if reason := obstacle(wanted, task):
        return None, reason
    if shares_questions(task.examples):
        return None, "it was trained on questions of this task"
    folder, seed = weights_folder(workspace), workspace.config.training.seed
    return reader(wanted, workshop=workshop, tuning=wanted.tuning, folder=folder, seed=seed), ""


def floor_of(setup: Setup) -> float:
    """The mean score below which no candidate is good enough, by default the best constant answer's plus the margin."""
    decision, task = setup.workspace.config.decision, setup.task
    if decision.floor is not None:
        return decision.floor
    scored = [example for example in task.examples if example.id in set(task.test_ids)]
    return best_constant(scored, find_metric(task.metric, settings=task.settings)).score + decision.margin


def documents_with_text(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """The documents that have text, as the operator sees them: evidence is located for everybody, whoever asks."""
    chosen = select(documents_table).where(documents_table.c.status == "ok")
    with workspace.database.connect() as connection:
        return {row["id"]: dict(row) for row in connection.execute(chosen).mappings()}


def _notes(workspace: Workspace, task: Task, synced: SyncReport | None) -> tuple[str, ...]:
    notes: list[str] = []
    if workspace.config.access.single:
        notes.append(f"Every document and every question without principals belongs to the single principal {LOCAL!r}.")
    elif nameless := sum(not example.principals for example in task.examples):
        notes.append(
            f"{nameless} questions name no principals and access.questions is empty: they are asked as a stranger, "
            "and nobody may learn from them."
        )
    if synced is not None and synced.failed:
        notes.append(f"{len(synced.failed)} documents could not be read; groundtune sync lists them with the reasons.")
    if synced is not None and synced.unreadable:
        notes.append(
            f"{len(synced.unreadable)} documents match no access rule and are readable by nobody; groundtune sync lists them."
        )
    if task.has_documents and not task.has_evidence:
        notes.append(
            "No question has evidence that was found in a document, so the gold-evidence probe is off and groups are questions."
        )
    if task.scheme == "cross-fitted":
        notes.append(
            "Fewer than 300 questions: answers are out of fold and tuned candidates are trained once a fold. "
            "The figures are cross-fitted, not sealed."
        )
    if task.left_unused:
        notes.append(task.left_unused)
    if task.metric != "label_accuracy" and not task.has_documents and _look_like_labels(task):
        notes.append('The answers repeat like labels; if they are labels, race with metric = "label_accuracy".')
    if warning := task.grouping().warning:
        notes.append(warning)
    notes.append("One training seed: the claim is about these weights, not about the method.")
    return tuple(notes)


def _look_like_labels(task: Task) -> bool:
    """Few distinct answers for many questions."""
    answers = [example.answers for example in task.examples if example.answers]
    return len(answers) >= 5 * len(set(answers))


def plan_race(
    setup: Setup,
    *,
    budget: Budget | None,
    others: Mapping[str, tuple[PlannedStage, ...]] | None = None,
    not_done: Sequence[LeftOut] = (),
) -> Plan:
    """Count tokens of rendered prompts, time this machine for a few seconds, and choose what fits the budget.

    `others` are stages beside the candidates, and `not_done` what is known to be left out of them.
    """
    config, task, workshop = setup.workspace.config, setup.task, setup.workshop
    per_candidate, pairs = {}, {}
    for candidate in setup.candidates:
        if candidate.external is not None:
            per_candidate[candidate.name] = external_stages(
                candidate,
                items=len(task.test_ids),
                seconds=setup.trials[candidate.name],
                latency_requests=config.decision.latency_requests,
                concurrency=min(candidate.external.concurrency, config.decision.batch_size),
            )
            continue
        model = workshop.model(candidate.model)
        memory = setup.workspace.state / "pace.json"
        load = load_of(candidate, setup)
        pairs[candidate.name] = load.pairs
        pace = measure_pace(model, batch_size=config.decision.batch_size, memory=memory)
        pace = measure_training_pace(model, candidate, prompt_tokens=load.prompt_tokens, pace=pace, memory=memory)
        probed = candidate.name == "rag" and task.has_evidence
        per_candidate[candidate.name] = stages_of(
            load,
            pace=pace,
            prices=config.prices,
            local=model.local,
            latency_requests=config.decision.latency_requests,
            probe_items=len(task.test_ids) if probed else 0,
        )
    groups = task.grouping().groups
    again = warning(looks_before(setup.workspace, fingerprint=task.fingerprint) + 1)
    reading, off = _reader_stages(setup)
    others = others or {}
    per_candidate, frugality = schedule(config.decision, task, setup.candidates, per_candidate, pairs)
    stages, left_out = choose({**per_candidate, **others, **reading}, budget, last=(*others, READER))
    answering = {stage.candidate for stage in stages if stage.name == "answer"}
    stages = [stage for stage in stages if stage.name != "search" or stage.candidate in answering]
    frugality = frugality.of({stage.candidate for stage in stages})
    return Plan(
        stages=tuple(stages),
        left_out=(*left_out, *not_done, *off),
        currency=config.prices.currency,
        budget=budget.text if budget else None,
        items=len(task.test_ids),
        groups=groups,
        smallest_p=smallest_p(groups),
        mde=minimum_detectable_effect(groups, comparisons=len(setup.candidates) * (len(setup.candidates) - 1) // 2),
        scheme=task.scheme,
        notes=(*(str(problem) for problem in task.problems), *filter(None, [again, frugality.note]), *setup.notes),
        frugality=frugality,
    )


def _reader_stages(setup: Setup) -> tuple[dict[str, tuple[PlannedStage, ...]], list[LeftOut]]:
    """What the reader probe takes, after every candidate has its place; or why it is left out."""
    config, probe = setup.workspace.config, setup.reader
    if probe is None:
        return {}, [LeftOut(READER, setup.no_reader)]
    model = setup.workshop.model(probe.candidate.model)
    pace = measure_pace(model, batch_size=config.decision.batch_size, memory=setup.workspace.state / "pace.json")
    tokens = sum(model.count_tokens(message.content) for pair in probe.pairs for message in pair.messages)
    rate = pace.training_tokens_per_second or pace.prompt_tokens_per_second / 4
    training = 0.0 if probe.trained else tokens * config.training.epochs / rate
    if not config.decision.reader and not probe.trained:
        return {}, [LeftOut(READER, f"off; decision.reader = true trains it once, about {training / 60:.1f} min")]
    items = len(setup.task.test_ids)
    answering = items * tokens / max(1, len(probe.pairs)) / pace.prompt_tokens_per_second

    def stage(name: Literal["train", "probe"], seconds: float) -> PlannedStage:
        money = price_of(seconds, (0.0, 0.0), probe.candidate.model, config.prices, model.local)
        return PlannedStage(name, READER, seconds, money)

    return {READER: (*((stage("train", training),) if training else ()), stage("probe", answering))}, []


def load_of(candidate: Candidate, setup: Setup) -> Load:
    """Tokens of this candidate's prompts, counted over a few questions; its training pairs, counted on the first fold."""
    task, workshop = setup.task, setup.workshop
    by_id, fold = task.by_id(), task.folds[0]
    untuned = replace(candidate, tuning=None)
    assistant = build(untuned, workshop=workshop, train_examples=[by_id[item] for item in fold.train])
    tokens = [assistant.prompt_tokens(by_id[item]) for item in task.test_ids[:: max(1, len(task.test_ids) // SAMPLE)]]
    prompt_tokens = sum(tokens) / max(1, len(tokens))
    if candidate.tuning is None:
        return Load(candidate, items=len(task.test_ids), prompt_tokens=prompt_tokens)
    pairs = training_pairs(candidate, workshop=workshop, train_examples=[by_id[item] for item in fold.train], seed=0)
    if candidate.tuning.objective != "domain":
        return Load(candidate, len(task.test_ids), prompt_tokens, trainings=len(task.folds), pairs=len(pairs.pairs))
    count_tokens = workshop.model(candidate.model).count_tokens
    text_tokens = sum(count_tokens(pair.answer) for pair in pairs.pairs)  # the same in every fold, so trained once
    return Load(candidate, len(task.test_ids), prompt_tokens, trainings=1, pairs=len(pairs.pairs), text_tokens=text_tokens)
