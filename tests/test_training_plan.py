"""plan: what a training would take is counted on its very pairs, and how far that was off is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import groundtune
import groundtune.training.plan as module
from groundtune.cli.main import run
from groundtune.errors import DataError, UsageError
from groundtune.models.weights import torch_model
from groundtune.training.card import load_card
from groundtune.training.data import TrainingPair
from groundtune.training.plan import count_pairs
from groundtune.training.trainer import TrainingResult, train
from groundtune.types import Audience, Message, Tuning
from tests import tiny
from tests.firm import write_firm

TUNING = Tuning(epochs=2, batch_size=2, rank=2, max_length=64)
PAIRS = [
    TrainingPair(str(n), (Message("user", "the hand " * n),), "and " * (1 + n % 2), Audience.of("everyone"))
    for n in range(1, 12)
]


def words(text: str) -> int:
    return len(text.split())


def test_tokens_and_steps_are_those_of_the_training(tmp_path: Path) -> None:
    model = f"hf:{tiny.folder(tmp_path / 'base')}"
    counted = count_pairs(model, PAIRS, TUNING, seed=3, count_tokens=words)
    done = train(model, PAIRS, TUNING, out=tmp_path / "out", seed=3)
    assert (counted.tokens * TUNING.epochs, counted.steps) == (done.tokens, done.steps)
    assert (counted.pairs, counted.too_long) == (done.pairs, done.too_long)
    assert counted.too_long
    _, tokens = torch_model(model)
    kept = [sum(map(len, tokens.render_pair(pair.messages, pair.answer.strip()))) for pair in PAIRS]
    assert counted.tokens == sum(length for length in kept if length <= TUNING.max_length)
    with pytest.raises(DataError, match="longer than"):
        count_pairs(model, PAIRS[-1:], replace(TUNING, max_length=64), seed=3, count_tokens=words)


def test_the_pace_is_taken_on_some_of_the_very_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def spy(model: str, pairs: list[TrainingPair], *rest: object, **options: object) -> TrainingResult:
        seen.append([pair.id for pair in pairs])
        return train(model, pairs, *rest, **options)

    monkeypatch.setattr(module, "train", spy)
    done = module.measure_training("fake:extract", TUNING, prompt_tokens=20, pairs=PAIRS)
    assert seen == [["1", "3", "6", "9"]]  # two batches of two, of eleven pairs
    assert done.pairs == 4
    module.measure_training("fake:extract", TUNING, prompt_tokens=20, pairs=PAIRS[:3])  # too few: made up
    assert seen[1] == ["0", "1", "2", "3"]


def test_the_plan_is_held_against_what_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_firm(tmp_path)
    (planned,) = groundtune.plan(["tuned"], root=root)
    assert (planned.candidate, planned.pairs, planned.earlier) == ("tuned", 19, ())
    assert planned.scheme == "cross-fitted"
    assert 0 < planned.mde <= 1
    announced = []
    result = groundtune.train("tuned", root=root, announce=announced.append)
    assert announced[0].tokens == planned.tokens
    assert result.estimate is not None
    assert result.estimate.tokens_estimated == result.estimate.tokens_taken
    assert result.estimate.ratio == pytest.approx(result.estimate.taken / result.estimate.estimated)
    assert load_card(result.adapter)["plan"]["ratio"] == result.estimate.ratio
    again = groundtune.train("tuned", root=root)
    assert again.estimate is None
    assert load_card(result.adapter)["plan"]["ratio"] == result.estimate.ratio
    assert run(["plan", "-w", str(root)]) == 0
    told = capsys.readouterr().out
    assert "rag_tuned" in told
    assert f"before: weights {result.weights}: " in told
    assert "independent groups (cross-fitted)" in told


def test_only_what_is_tuned_can_be_planned(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    with pytest.raises(UsageError, match="rag: it has no tuning"):
        groundtune.plan(["rag", "tuned"], root=root)


def test_what_comes_before_is_counted(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    tables = """
[candidates.further]
base = "tuned"
tuning = { start = "tuned" }

[candidates.again]
base = "tuned"
tuning = { start = "further", sweep_minutes = 2 }
"""
    with (root / "groundtune.toml").open("a", encoding="utf-8") as file:
        file.write(tables)
    plain, further, again = groundtune.plan(("tuned", "further", "again"), root=root)
    assert plain.first_seconds == 0
    assert further.first_seconds == pytest.approx(plain.seconds)
    assert again.first_seconds == pytest.approx(120 + further.first_seconds + further.seconds)
