"""The benchmarks of learning: what their rows and ratios say of given measurements."""

from __future__ import annotations

from importlib import import_module

import pytest

from benchmarks import canaries, learning, throughput
from benchmarks.cells import Cell, Done
from groundtune.types import Score


def done(cell: Cell, values: list[float], **training: float) -> Done:
    scores = tuple(
        Score(cell.candidate, f"q{place}", f"g{place}", "", 0, 0, "", {"f1": value}) for place, value in enumerate(values)
    )
    return Done(cell, scores, 60.0, 10 if training else 0, training)


TRAINING = {"seconds": 120.0, "tokens": 24_000, "peak_memory_bytes": 3e9, "loss_first": 2.0, "loss_last": 0.5}


def test_a_row_says_whether_tuning_beats_the_untuned_model() -> None:
    before = done(Cell("viggo", "prompt"), [0.1, 0.2] * 20)
    after = done(Cell("viggo", "tuned"), [0.7, 0.9] * 20, **TRAINING)
    row = learning.row_figures(before, after, metric="f1")
    assert (row["before"], row["after"], row["gain"]) == pytest.approx((0.15, 0.8, 0.65))
    assert row["beats_untuned"] is True and row["items"] == 40
    assert (row["tokens_per_s"], row["training_minutes"], row["peak_memory_gb"]) == (200.0, 2.0, 3.0)
    same = learning.row_figures(before, done(Cell("viggo", "tuned"), [0.2, 0.1] * 20, **TRAINING), metric="f1")
    assert same["beats_untuned"] is False


def test_what_is_not_done_is_listed_and_the_untuned_candidate_comes_first() -> None:
    cells = learning.cells()
    assert len(set(cells)) == len(cells)
    for row in learning.ROWS:
        assert cells.index(Cell(row.task, row.against)) < cells.index(row.cell)
    figures = learning.figures_of({}, {})
    assert figures["rows_done_count"] == 0 and "viggo-tuned" in str(figures["missing"])


def test_ratios_are_taken_within_a_pair() -> None:
    def run(tokens_per_s: float, peak: float, loss: float) -> dict[str, float]:
        return {"tokens_per_s": tokens_per_s, "peak_mb": peak, "held_out_loss": loss, "tokens": 100}

    pairs = [
        {"kind": "chats", "number": number, "groundtune": run(ours, 300.0, 2.02), "trl": run(theirs, 400.0, 2.0)}
        for number, (ours, theirs) in enumerate([(200.0, 100.0), (60.0, 20.0), (150.0, 100.0)])
    ]
    figures, goals = throughput.summary(pairs, pairs=3)
    assert (figures["chats_ratio"], figures["chats_ratio_least"], figures["chats_pairs"]) == (2.0, 1.5, 3)
    assert figures["chats_loss_apart"] == pytest.approx(0.01)
    met = {one.name: one.met for one in goals}
    assert met["chats_ratio"] and met["chats_peak_in_times_of_trl"] and not met["raft_pairs"]


def test_canaries_of_other_readers_are_as_many_and_told_apart() -> None:
    planted = canaries.canaries(seed=3)
    assert planted == canaries.canaries(seed=3)
    assert len({one.place for one in planted}) == len(planted) == 2 * canaries.EACH * len(canaries.LEVELS)
    assert all(len(one.code) == 6 and one.code.isdigit() for one in planted)
    assert sum(one.repetitions for one in planted if one.included) == sum(
        one.repetitions for one in planted if not one.included
    )


def test_the_child_that_trains_finds_both_trainers() -> None:
    pytest.importorskip("torch")
    assert set(import_module("benchmarks.throughput_child").TRAINERS) == set(throughput.TRAINERS)
