from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from groundtune import __version__
from groundtune.store import stages as stages_module
from groundtune.store.artefacts import Artefacts
from groundtune.store.database import Database
from groundtune.store.stages import Stages, digest
from groundtune.store.tables import stages as table


def opened(folder: Path) -> Stages:
    return Stages(Database.at(folder / "groundtune.db"), Artefacts(folder / "artefacts"))


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    made = opened(tmp_path)
    yield made
    made.database.close()


class Counted:
    """A step that says how often it ran and with what."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def once(self) -> Any:
        self.calls.append(None)
        return {"value": (1, 2.5), "call": len(self.calls)}

    def batch(self, ids: list[str]) -> list[Any]:
        self.calls.append(ids)
        return [f"{name}!" for name in ids]


def test_the_digest_is_sha256_of_canonical_json() -> None:
    # echo -n '{"a":[1,2],"b":"x"}' | sha256sum
    assert digest({"b": "x", "a": (1, 2)}) == "d0f56dda38d34376527524ddd98f7ec117d5cbfb240f86e11bfb9d2d01a717d9"


def test_a_step_runs_once_for_a_key_and_returns_the_same_json_each_time(stages: Stages, tmp_path: Path) -> None:
    step = Counted()
    first = stages.run("parse", version=1, key={"a": 1, "b": 2}, make=step.once)
    assert first == {"value": [1, 2.5], "call": 1}
    assert stages.run("parse", version=1, key={"b": 2, "a": 1}, make=step.once) == first
    later = opened(tmp_path)
    assert later.run("parse", version=1, key={"a": 1, "b": 2}, make=step.once) == first
    later.database.close()
    assert len(step.calls) == 1


def test_stage_version_and_every_part_of_the_key_matter(stages: Stages) -> None:
    step = Counted()
    for stage, version, key in [
        ("a", 1, {}),
        ("b", 1, {}),
        ("a", 2, {}),
        ("a", 1, {"x": 1}),
        ("a", 1, {"x": 1.5}),
        ("a", 1, {"y": 1}),
    ]:
        stages.run(stage, version=version, key=key, make=step.once)
    assert len(step.calls) == 6


@pytest.mark.parametrize("value", [None, [], {}, "", 0, False])
def test_empty_results_are_results(stages: Stages, value: Any) -> None:
    step = Counted()
    for _ in range(2):
        assert stages.run("a", version=1, key={}, make=lambda: step.calls.append(1) or value) == value
    assert len(step.calls) == 1


def test_what_made_an_artefact_is_recorded(stages: Stages) -> None:
    stages.run("parse", version=7, key={"a": 1}, make=lambda: "text")
    with stages.database.connect() as connection:
        row = connection.execute(select(table)).one()
    assert (row.stage, row.version, row.key) == ("parse", 7, digest({"stage": "parse", "version": 7, "key": {"a": 1}}))
    assert stages.artefacts.get_json(row.artefact) == "text"
    packages = json.loads(row.packages)
    assert packages["groundtune"] == __version__ and {"python", "numpy", "lancedb"} <= set(packages)
    assert 0 <= row.seconds < 60 and row.created > 1.7e9


def test_a_step_that_fails_is_not_remembered(stages: Stages) -> None:
    with pytest.raises(ZeroDivisionError):
        stages.run("a", version=1, key={}, make=lambda: 1 / 0)
    assert stages.run("a", version=1, key={}, make=lambda: "well") == "well"


@pytest.mark.parametrize("harm", ["unlink", "damage"])
def test_a_lost_or_damaged_artefact_is_made_again(stages: Stages, harm: str) -> None:
    step = Counted()
    for _ in range(2):
        stages.run("a", version=1, key={}, make=step.once)
        with stages.database.connect() as connection:
            path = stages.artefacts.path(connection.scalar(select(table.c.artefact)) or "")
        path.unlink() if harm == "unlink" else path.write_bytes(b"{}")
    assert stages.run("a", version=1, key={}, make=step.once) == {"value": [1, 2.5], "call": 3}
    assert stages.run("a", version=1, key={}, make=step.once)["call"] == 3


def test_an_artefact_without_its_row_is_harmless(stages: Stages) -> None:
    stages.run("a", version=1, key={}, make=lambda: "text")
    with stages.database.begin() as connection:
        connection.execute(delete(table))  # as after a crash between the two
    assert stages.run("a", version=1, key={}, make=lambda: "text") == "text"


# --- map ------------------------------------------------------------------------------------------------------------------


def test_items_are_sorted_cut_in_fixed_batches_and_each_batch_is_kept(stages: Stages) -> None:
    step, seen = Counted(), []
    items = {"c": 3, "a": 1, "e": 5, "b": 2, "d": 4}

    def mapped(**changes: Any) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "version": 1,
            "key": {"k": 1},
            "items": items,
            "batch_size": 2,
            "compute": step.batch,
            **changes,
        }
        return stages.map("embed", **settings)

    results = mapped(progress=lambda *args: seen.append(args))
    assert list(results.items()) == [(name, f"{name}!") for name in "abcde"]
    assert step.calls == [["a", "b"], ["c", "d"], ["e"]]
    assert seen == [("embed", 2, 5), ("embed", 4, 5), ("embed", 5, 5)]
    assert mapped(items=dict(sorted(items.items()))) == results
    assert len(step.calls) == 3
    step.calls.clear()
    mapped(items={**items, "d": 40})
    assert step.calls == [["c", "d"]]
    step.calls.clear()
    mapped(items={**items, "f": 6})
    assert step.calls == [["e", "f"]]
    step.calls.clear()
    mapped(batch_size=5)
    mapped(key={"k": 2})
    mapped(version=2)
    assert len(step.calls) == 1 + 3 + 3
    assert mapped(items={}) == {}


def test_one_result_an_item_or_nothing_is_stored(stages: Stages) -> None:
    with pytest.raises(ValueError, match="1 results for a batch of 2"):
        stages.map("embed", version=1, key={}, items={"a": 1, "b": 2}, batch_size=2, compute=lambda ids: ids[:1])
    with stages.database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(table)) == 0


def test_more_batches_than_one_query_takes_are_found_again(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages_module, "_IN", 7)
    step = Counted()
    items = dict.fromkeys((f"{number:04}" for number in range(60)), 0)
    stages.map("embed", version=1, key={}, items=items, batch_size=2, compute=step.batch)
    assert len(stages.map("embed", version=1, key={}, items=items, batch_size=2, compute=step.batch)) == 60
    assert len(step.calls) == 30


# --- crashes and other processes ------------------------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys
from pathlib import Path
from groundtune.store import artefacts, database, stages

folder, moment, log = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[1]) / "log"
left = int(sys.argv[3])

def die_at(name):
    global left
    if name == moment:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

def compute(ids):
    with log.open("a") as file:
        file.write(" ".join(ids) + "\\n")
    die_at("computed")
    return [[name, len(name)] for name in ids]

class Dying(artefacts.Artefacts):
    def put_bytes(self, data):
        sha = super().put_bytes(data)
        die_at("artefact")
        return sha

class DyingDatabase(database.Database):
    def insert_new(self, connection, table, rows):
        super().insert_new(connection, table, rows)
        die_at("row, not committed")

made = stages.Stages(DyingDatabase.at(folder / "groundtune.db"), Dying(folder / "artefacts"))
items = {f"item {n}": n for n in range(10)}
results = made.map("x", version=1, key={}, items=items, batch_size=3, compute=compute, progress=lambda *_: die_at("progress"))
print(sorted(results.items()))
"""


def program(folder: Path, moment: str, left: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), moment, str(left)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("moment", ["computed", "artefact", "row, not committed", "progress"])
def test_a_run_that_is_killed_continues_where_it_was(tmp_path: Path, moment: str) -> None:
    assert program(tmp_path, moment, 2).returncode == -signal.SIGKILL
    end = program(tmp_path, "never", 0)
    assert end.returncode == 0, end.stderr
    assert end.stdout == f"{sorted((f'item {n}', [f'item {n}', 6]) for n in range(10))}\n"
    computed = (tmp_path / "log").read_text().splitlines()
    again = [batch for batch in set(computed) if computed.count(batch) > 1]
    assert len(set(computed)) == 4
    assert again == ([] if moment == "progress" else ["item 6 item 7 item 8"])  # only the batch that was under way


RIVAL = """
import os, sys
from pathlib import Path
from groundtune.store import stages as stages_module
from groundtune.store.artefacts import Artefacts
from groundtune.store.database import Database
from groundtune.store.stages import Stages

folder = Path(sys.argv[1])
made = Stages(Database.at(folder / "groundtune.db"), Artefacts(folder / "artefacts"))

def make():
    print("computing", flush=True)
    sys.stdin.readline()  # until the other one computes too
    return os.getpid()

print(made.run("x", version=1, key={}, make=make))
"""


def test_two_processes_that_compute_one_key_at_once_end_with_one_result(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RIVAL, str(tmp_path)]
    rivals = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for rival in rivals:
        assert rival.stdout is not None and rival.stdout.readline() == "computing\n"
    results = {rival.communicate("\n", timeout=60)[0] for rival in rivals}
    assert [rival.returncode for rival in rivals] == [0, 0]
    assert len(results) == 1 and results <= {f"{rival.pid}\n" for rival in rivals}
