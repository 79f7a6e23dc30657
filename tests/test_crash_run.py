"""`kill -9` at boundaries of stages, with the fake model: the race that goes on comes to the same as one left alone."""

from __future__ import annotations

from pathlib import Path

import groundtune
from benchmarks.crash_run import Attempt, Kill, attempt, results_of, schedule, seed_cache, write_task

KILLS = (Kill("embed", 1), Kill("train rag_tuned 1", 3), Kill("answer rag_tuned 2", 4))


def test_a_race_that_is_killed_again_and_again_comes_to_the_same(tmp_path: Path) -> None:
    write_task(tmp_path / "killed", model="fake:extract")
    write_task(tmp_path / "alone", model="fake:extract")
    ended = [attempt(tmp_path / "killed", kill, home=tmp_path / "cache") for kill in KILLS]
    assert all(one.killed for one in ended)
    assert [one.place for one in ended] == ["elsewhere", "training", "answering"]
    assert not attempt(tmp_path / "killed", None, home=tmp_path / "cache").killed
    groundtune.decide(tmp_path / "alone")
    assert results_of(tmp_path / "killed") == results_of(tmp_path / "alone")


def test_a_schedule_has_twenty_kills_of_every_kind_and_is_drawn_by_its_seed() -> None:
    planned = schedule(seed=3, step_seconds=5.0, run_seconds=100.0)
    kills = [kill for race in planned for kill in race]
    assert len(kills) == 20
    assert sum(kill.stage.startswith("train") for kill in kills) >= 5
    assert sum(kill.stage.startswith(("answer", "probe")) for kill in kills) >= 5
    assert (
        planned
        == schedule(seed=3, step_seconds=5.0, run_seconds=100.0)
        != schedule(seed=4, step_seconds=5.0, run_seconds=100.0)
    )


def test_a_stage_that_was_over_is_no_training() -> None:
    assert Attempt(True, "train rag_tuned 1/2", 5, 6, 1.0, {}).place == "training"
    assert Attempt(True, "train rag_tuned 1/2", 6, 6, 1.0, {}).place == "elsewhere"
    assert Attempt(True, "", 0, 0, 1.0, {}).place == "elsewhere"


def test_a_seeded_cache_holds_no_tuned_weights(tmp_path: Path) -> None:
    for name in ("models/m-1", "served/abc-base-2", "served/abc-tuned-2"):
        (tmp_path / "from" / name).mkdir(parents=True)
        (tmp_path / "from" / name / "weights").write_text(name)
    home = seed_cache(tmp_path / "from", tmp_path / "to")
    assert sorted(path.parent.name for path in home.rglob("weights")) == ["abc-base-2", "m-1"]
    assert seed_cache(tmp_path / "from", tmp_path / "to") == home
