"""groundtune.candidates: from a recipe to an assistant and to training pairs, with the fake model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from groundtune.answer.prompts import render_prompt
from groundtune.candidates.build import build, training_pairs, tune
from groundtune.candidates.open import find_weights, remember_weights, weights_folder
from groundtune.candidates.standard import STANDARD, standard_candidate
from groundtune.decision.setup import Setup, set_up
from groundtune.errors import DataError, NotFound
from groundtune.store import lineage
from groundtune.store.workspace import Workspace
from groundtune.types import NOT_IN_DOCUMENTS, Audience, Caller
from tests.firm import write_firm


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    with Workspace.open(write_firm(tmp_path_factory.mktemp("firm"))) as workspace:
        yield set_up(workspace, names=STANDARD)


def test_the_five_differ_only_in_which_fields_are_present(ready: Setup) -> None:
    config = ready.workspace.config
    made = {name: standard_candidate(name, config=config) for name in STANDARD}
    present = {name: (bool(one.examples), bool(one.context), one.tuning and one.tuning.objective) for name, one in made.items()}
    assert present == {
        "prompt": (False, False, None),
        "few_shot": (True, False, None),
        "rag": (False, True, None),
        "tuned": (False, False, "sft"),
        "rag_tuned": (False, True, "raft"),
    }
    bare = {replace(one, name="", examples=None, context=None, tuning=None) for one in made.values()}
    assert len(bare) == 1


def test_training_shows_as_many_sources_as_serving(ready: Setup) -> None:
    candidate = standard_candidate("rag_tuned", config=ready.workspace.config)
    assert candidate.context is not None
    assert candidate.tuning is not None
    assert candidate.tuning.distractors + 1 == candidate.context.k


def test_a_training_prompt_is_the_prompt_of_service(ready: Setup) -> None:
    """The same words for the same hits: what a pair shows renders again, byte for byte, as service renders it."""
    config = ready.workspace.config
    candidate = standard_candidate("tuned", config=config)
    examples = [example for example in ready.task.examples if example.principals == ("staff",)]
    pairs = training_pairs(candidate, workshop=ready.workshop, train_examples=examples, seed=0)
    by_id = {pair.id: pair for pair in pairs.pairs}
    assert by_id
    for example in examples:
        if example.id in by_id:
            assert by_id[example.id].messages == render_prompt(candidate, example.question, history=example.history)


def test_a_prompt_that_is_too_long_loses_distractors_and_is_counted(ready: Setup) -> None:
    config = ready.workspace.config
    candidate = standard_candidate("rag_tuned", config=config)
    assert candidate.tuning is not None
    tight = replace(candidate, tuning=replace(candidate.tuning, max_length=110))
    roomy = training_pairs(candidate, workshop=ready.workshop, train_examples=ready.task.examples, seed=0)
    squeezed = training_pairs(tight, workshop=ready.workshop, train_examples=ready.task.examples, seed=0)
    assert roomy.distractors_dropped == 0
    assert squeezed.distractors_dropped > 0
    assert len(squeezed.pairs) == len(roomy.pairs)


def test_epochs_are_scored_by_the_tasks_metric_and_one_answer_for_all_is_said(ready: Setup, tmp_path: Path) -> None:
    tuned = standard_candidate("tuned", config=ready.workspace.config)
    assert tuned.tuning is not None
    assert ready.workshop.metric == ready.workspace.config.metric
    candidate = replace(tuned, tuning=replace(tuned.tuning, early_stop=True, sweep_minutes=1.0))
    made = training_pairs(candidate, workshop=ready.workshop, train_examples=ready.task.examples, seed=0)
    for pair in made.pairs:
        assert pair.example is not None
        assert (pair.answer in pair.example.answers) if pair.example.answers else pair.answer == NOT_IN_DOCUMENTS
    weights = tune(candidate, workshop=ready.workshop, train_examples=ready.task.examples, folder=tmp_path, seed=0)
    about = json.loads((weights.adapter / "training.json").read_text())
    assert about["sweep"]["rate"] == about["tuning"]["learning_rate"]
    alike = [replace(example, answers=("yes",)) for example in ready.task.examples]
    said = training_pairs(tuned, workshop=ready.workshop, train_examples=alike, seed=0).problems
    assert said == (f"all {len(made.pairs)} answers are 'yes'; the weights will give it to every question.",)


def test_domain_learns_the_documents_that_the_users_may_read(ready: Setup, tmp_path: Path) -> None:
    """Not the questions: every fold's weights are the same ones."""
    tuned = standard_candidate("tuned", config=ready.workspace.config)
    assert tuned.tuning is not None
    candidate = replace(tuned, tuning=replace(tuned.tuning, objective="domain"))
    made = training_pairs(candidate, workshop=ready.workshop, train_examples=ready.task.examples, seed=0)
    retriever = ready.workshop.retriever
    assert retriever is not None
    readable = retriever.readable_documents(caller=Caller.of(*ready.workshop.trained_for))
    assert [pair.id for pair in made.pairs] == readable
    assert made.pairs[0].answer == retriever.document(readable[0], caller=Caller.of(*ready.workshop.trained_for)).text
    assert made == training_pairs(candidate, workshop=ready.workshop, train_examples=(), seed=0)
    weights = tune(candidate, workshop=ready.workshop, train_examples=(), folder=tmp_path, seed=0)
    assert weights.documents == tuple(readable)
    bare = replace(ready.workshop, retriever=None)
    with pytest.raises(DataError, match="it learns from documents, and there are none"):
        training_pairs(candidate, workshop=bare, train_examples=(), seed=0)


def test_preferences_go_on_from_another_candidates_weights(ready: Setup, tmp_path: Path) -> None:
    """Rows that the users may not read, or that ask what will be asked, stay out; what the start learned comes along."""
    tuned = standard_candidate("tuned", config=ready.workspace.config)
    assert tuned.tuning is not None
    examples = [example for example in ready.task.examples if example.principals == ("staff",)]
    learned, asked = examples[0], examples[-1]
    rows = [
        {"id": "new", "prompt": "Is it far?", "chosen": "no", "rejected": "yes, very", "principals": ["staff"]},
        {"id": "secret", "prompt": "Who is paid most?", "chosen": "me", "rejected": "you", "principals": ["nobody we know"]},
        {"id": "learned", "prompt": learned.question, "chosen": "a", "rejected": "b", "principals": ["staff"]},
        {"id": "asked", "prompt": asked.question, "chosen": "a", "rejected": "b", "principals": ["staff"]},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"prompt": "half a row"}])), encoding="utf-8")
    workshop = replace(ready.workshop, folder=tmp_path)
    candidate = replace(tuned, tuning=replace(tuned.tuning, objective="dpo", data="rows.jsonl", start=tuned))
    pairs = training_pairs(candidate, workshop=workshop, train_examples=[learned], seed=0)
    assert [pair.id for pair in pairs.pairs] == ["new", "learned"]
    assert (pairs.unreadable, pairs.withheld) == (("secret",), ("asked",))
    assert "rows.jsonl:5" in pairs.problems[0]
    assert pairs.pairs[0].messages == render_prompt(candidate, "Is it far?")
    (tmp_path / "bare.jsonl").write_text(json.dumps({"prompt": "Is it near?", "chosen": "yes", "rejected": "no"}))
    bare = replace(candidate, tuning=replace(candidate.tuning, data="bare.jsonl"))
    with pytest.raises(DataError, match="none of the preferences may be read by all of"):
        training_pairs(bare, workshop=replace(workshop, asked_by=()), train_examples=(), seed=0)
    by_staff = training_pairs(bare, workshop=replace(workshop, asked_by=("staff",)), train_examples=(), seed=0)
    assert [pair.audience for pair in by_staff.pairs] == [Audience.of("staff")]
    first = tune(tuned, workshop=workshop, train_examples=[learned], folder=tmp_path / "weights", seed=0)
    made = tune(candidate, workshop=workshop, train_examples=[learned], folder=tmp_path / "weights", seed=0)
    assert made.documents == first.documents != ()
    assert first.audience.clauses <= made.audience.clauses
    assert len(list((tmp_path / "weights").iterdir())) == 2
    assistant = build(candidate, workshop=workshop, train_examples=(), weights=made)
    assert assistant.ask(learned.question, caller=Caller.of("staff")).text in ("a", learned.answers[0])


def test_weights_are_found_again_with_their_audience_and_lineage(ready: Setup) -> None:
    candidate = standard_candidate("tuned", config=ready.workspace.config)
    made = tune(
        candidate,
        workshop=ready.workshop,
        train_examples=ready.task.examples,
        folder=weights_folder(ready.workspace),
        seed=0,
    )
    remember_weights(ready.workspace, made)
    found = find_weights(ready.workspace, made.id)
    assert (found.audience, found.documents, found.result.digest) == (made.audience, made.documents, made.result.digest)
    assert f"weights:{made.id}" in lineage.descendants(ready.workspace.database, "document:kettle.md")
    assistant = build(candidate, workshop=ready.workshop, train_examples=(), weights=found)
    assert assistant.ask("Where is the kettle kept?", caller=Caller.of("staff")).text == "in the attic"
    with pytest.raises(NotFound, match="groundtune train"):
        find_weights(ready.workspace, "unknown")


def test_weights_come_with_tuned_candidates_only(ready: Setup) -> None:
    config = ready.workspace.config
    with pytest.raises(DataError):
        build(standard_candidate("tuned", config=config), workshop=ready.workshop, train_examples=())
    with pytest.raises(DataError):
        training_pairs(standard_candidate("rag", config=config), workshop=ready.workshop, train_examples=(), seed=0)


def test_the_same_pairs_settings_and_seed_are_the_same_weights(ready: Setup, tmp_path: Path) -> None:
    candidate = standard_candidate("rag_tuned", config=ready.workspace.config)
    ids = {
        tune(candidate, workshop=ready.workshop, train_examples=examples, folder=tmp_path, seed=seed).id
        for examples, seed in (
            (ready.task.examples, 0),
            (ready.task.examples[::-1], 0),
            (ready.task.examples, 1),
        )
    }
    assert len(ids) == 2
