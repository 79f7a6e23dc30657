"""Whole races, with the fake model, on disks that fill up, clocks that jump and files that rot: named errors, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import groundtune
from groundtune.cli.main import run
from groundtune.decision import decide as decide_module
from groundtune.decision.ledger import load_report
from groundtune.errors import NotFound, WorkspaceError
from groundtune.store import artefacts
from groundtune.store.tables import looks, runs
from groundtune.store.workspace import Workspace
from tests.firm import CONFIG, write_firm

RACE = CONFIG + 'folds = 2\ncandidates = ["few_shot", "tuned"]\n[prices]\ncore_hour = 0\n'
"""Reads, indexes, answers, trains; without what takes time, and without costs, which follow the measured seconds."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose race nothing disturbed."""
    root = write_firm(tmp_path_factory.mktemp("undisturbed"), config=RACE)
    groundtune.decide(root)
    return root


@pytest.fixture(scope="module")
def undisturbed(alone: Path) -> list[Any]:
    return results(alone)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_firm(tmp_path / "firm", config=RACE)


@pytest.fixture
def decided(alone: Path, tmp_path: Path) -> Path:
    """A copy of it, to do harm to."""
    return Path(shutil.copytree(alone, tmp_path / "decided"))


def results(root: Path) -> list[Any]:
    """Answers, scores, verdict and comparisons."""
    report = json.loads((root / "report.json").read_text(encoding="utf-8"))
    return [(root / report["scores"]).read_text(encoding="utf-8"), report["decision"], report["comparisons"]]


# --- disks --------------------------------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_again_and_again_costs_nothing(
    root: Path, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lowest call is replaced: after so many files, each twice as many as before, no more is brought to the disk."""
    fsync, left = os.fsync, [0]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(artefacts.os, "fsync", full)
    said = []
    for attempt in range(12):
        left[0] = 6 * 2**attempt
        try:
            groundtune.decide(root)
            break
        except WorkspaceError as error:
            said.append(str(error))
    assert len(said) >= 3
    assert all("the disk is full; nothing that was stored before is lost. Free some space" in text for text in said)
    assert results(root) == undisturbed
    assert json.loads((root / "report.json").read_text())["splits"]["looks"] == 1


def mounted(*words: str) -> bool:
    return subprocess.run(["mount", *words], check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with next to no room."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None or not mounted("-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)):
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_real_disk_that_is_full_and_then_read_only(
    small_disk: Path, undisturbed: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_firm(small_disk / "firm", config=RACE)
    for size in ("300k", "500k", "700k"):
        assert mounted("-o", f"remount,size={size}", str(small_disk))
        assert run(["decide", "-w", str(root)]) == WorkspaceError.exit_code
        said = capsys.readouterr().err
        assert "the disk is full" in said and "what to do: Free some space" in said, said
    assert mounted("-o", "remount,size=64m", str(small_disk))
    groundtune.decide(root)
    assert results(root) == undisturbed
    assert mounted("-o", "remount,ro", str(small_disk))
    for words in (["decide"], ["sync"], ["report"]):
        assert run([*words, "-w", str(root)]) == WorkspaceError.exit_code
        said = capsys.readouterr().err
        assert "cannot be written" in said and "what to do: Give this user the right" in said, said
    assert results(root) == undisturbed


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_what_the_disk_refuses_inside_a_workspace_is_named(root: Path, number: int) -> None:
    with pytest.raises(WorkspaceError, match=r"/somewhere: .*(space|right|disk)"), Workspace.open(root):
        raise OSError(number, os.strerror(number), "/somewhere")
    with pytest.raises(FileNotFoundError), Workspace.open(root):
        (root / "absent").read_bytes()


# --- clocks -------------------------------------------------------------------------------------------------------------

YEAR = 365 * 86400.0


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
def test_a_clock_that_jumps_changes_neither_order_nor_results(
    decided: Path, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + jump)
    again = groundtune.decide(decided)
    assert again.report is not None
    assert results(decided) == undisturbed
    with Workspace.open(decided) as workspace:
        assert load_report(workspace)["run"] == again.report["run"] == "decide-0002"
        with workspace.database.connect() as connection:
            assert all(seconds >= 0 for seconds in connection.scalars(select(runs.c.seconds)))
            assert list(connection.scalars(select(looks.c.run).order_by(looks.c.id))) == ["decide-0001", "decide-0002"]


def test_the_clock_jumps_while_a_race_runs(root: Path, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = time.time, [0]

    def jumping() -> float:
        calls[0] += 1
        return clock() + (-YEAR if calls[0] % 2 else YEAR)

    monkeypatch.setattr(time, "time", jumping)
    groundtune.decide(root)
    assert results(root) == undisturbed
    with Workspace.open(root) as workspace, workspace.database.connect() as connection:
        assert all(0 <= seconds < 600 for seconds in connection.scalars(select(runs.c.seconds)))


# --- what rots, and what is cut off at the very end ---------------------------------------------------------------------


def test_files_that_rot_are_made_again(decided: Path, undisturbed: list[Any]) -> None:
    state = decided / ".groundtune"
    artefact_files = [path for path in (state / "artefacts").rglob("*") if path.is_file()]
    for number, path in enumerate(artefact_files):
        path.write_bytes((b"", path.read_bytes()[:-1], b"[]")[number % 3])
    for path in (*state.glob("weights/*/adapter_model.safetensors"), *state.glob("weights/*/training.json")):
        path.write_bytes(path.read_bytes()[:20])
    for path in (state / "pace.json", *state.glob("runs/*/predictions.json"), *state.glob("index/*/made_from.json")):
        path.write_text('{"torn": ')
    with pytest.raises(NotFound, match="Run: groundtune decide"):
        groundtune.report(decided)
    groundtune.decide(decided)
    assert results(decided) == undisturbed
    assert [path.read_bytes() for path in artefact_files if path.exists() and len(path.read_bytes()) < 3] == []


def test_without_its_database_a_workspace_finds_its_weights_again(decided: Path, undisturbed: list[Any]) -> None:
    made = {path: path.stat().st_mtime_ns for path in decided.glob(".groundtune/weights/*/adapter_model.safetensors")}
    for path in decided.glob(".groundtune/groundtune.db*"):
        path.unlink()
    groundtune.decide(decided)
    assert results(decided) == undisturbed
    assert made and {path: path.stat().st_mtime_ns for path in made} == made


@pytest.mark.parametrize("step", ["write_report", "remember_run"])
def test_cut_off_between_its_look_and_its_end_a_run_looks_once(
    root: Path, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def cut(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    real: Callable[..., Any] = getattr(decide_module, step)
    monkeypatch.setattr(decide_module, step, cut)
    with pytest.raises(KeyboardInterrupt):
        groundtune.decide(root)
    monkeypatch.setattr(decide_module, step, real)
    report = groundtune.decide(root).report
    assert report is not None
    assert (report["run"], report["splits"]["looks"]) == ("decide-0001", 1)
    assert not any("look number" in note for note in report["notes"])
    assert results(root) == undisturbed
