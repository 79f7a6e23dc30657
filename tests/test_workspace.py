from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundtune.config import default_config_text
from groundtune.errors import ConfigError, NotFound, UsageError, WorkspaceError
from groundtune.store.artefacts import PARTIAL
from groundtune.store.workspace import Workspace

NOBODY_USER = 65534


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "work", config_text=default_config_text()) as made:
        yield made


def test_a_workspace_is_made_closed_and_opened_again(tmp_path: Path) -> None:
    text = default_config_text(documents="handbook", questions="/elsewhere/q.jsonl")
    with Workspace.create(tmp_path / "deep" / "work", config_text=text) as made:
        assert made.stages.run("x", version=1, key={}, make=lambda: 1) == 1
    with Workspace.open(tmp_path / "deep" / "work") as again:
        assert again.config == made.config
        assert again.documents == tmp_path / "deep" / "work" / "handbook"
        assert again.questions == Path("/elsewhere/q.jsonl")
        assert again.stages.run("x", version=1, key={}, make=lambda: 2) == 1


def test_a_workspace_without_documents_never_takes_its_own_folder_for_them(tmp_path: Path) -> None:
    with (
        Workspace.create(tmp_path, config_text=default_config_text(documents="", single=True)) as made,
        pytest.raises(NotFound, match="has no documents"),
    ):
        _ = made.documents


def test_a_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Workspace.create(".", config_text="") as made:
        monkeypatch.chdir("/")
        assert made.root == tmp_path.resolve()


def test_a_folder_without_configuration_is_not_a_workspace(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(NotFound, match="groundtune init"):
            Workspace.open(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_is_never_made_over_another(workspace: Workspace) -> None:
    before = (workspace.root / "groundtune.toml").read_text()
    with pytest.raises(UsageError, match="is a workspace already"):
        Workspace.create(workspace.root, config_text="")
    assert (workspace.root / "groundtune.toml").read_text() == before


def test_a_faulty_configuration_makes_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"groundtune\.toml:1"):
        Workspace.create(tmp_path / "work", config_text="modle = 'a:b'")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("")
    with pytest.raises(WorkspaceError, match="work"):
        Workspace.create(tmp_path / "work", config_text="")
    (tmp_path / "groundtune.toml").write_text("")
    (tmp_path / ".groundtune").write_text("")
    with pytest.raises(WorkspaceError, match=r"\.groundtune"):
        Workspace.open(tmp_path)


def test_the_state_is_private_and_never_under_version_control(workspace: Workspace) -> None:
    assert stat.S_IMODE(workspace.state.stat().st_mode) == 0o700
    assert (workspace.state / ".gitignore").read_text() == "*\n"


@pytest.fixture
def foreign(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder in which this test may read and not write, also when it runs as root."""
    folder = Path(tempfile.mkdtemp())
    Workspace.create(folder, config_text="").close()
    root = os.geteuid() == 0
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if root:
        os.seteuid(NOBODY_USER)
    yield folder
    if root:
        os.seteuid(0)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
        path.unlink() if path.is_file() else None
    for path in sorted([folder, *folder.rglob("*")], reverse=True):
        path.rmdir()


def test_a_read_only_folder_is_named(foreign: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"cannot be written\. Give this user the right"):
        Workspace.create(foreign / "inner", config_text="")
    with (
        pytest.raises(WorkspaceError, match=r"cannot be written\. Give this user the right"),
        Workspace.open(foreign) as opened,
    ):
        opened.database.set_setting("index_version", 1)


HOLDER = """
import sys
from groundtune.store.workspace import Workspace
with Workspace.open(sys.argv[1]) as workspace, workspace.lock():
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("end", ["returns", "is killed"])
def test_a_second_writer_is_told_who_the_first_is(workspace: Workspace, end: str) -> None:
    command = [sys.executable, "-c", HOLDER, str(workspace.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        with pytest.raises(WorkspaceError, match=f"is being written by process {holder.pid}"), workspace.lock():
            pass
        if end == "is killed":
            holder.kill()
        holder.communicate("\n", timeout=60)
    with workspace.lock():
        pass


def test_the_holder_may_lock_again_and_no_other_thread(workspace: Workspace) -> None:
    refused: list[BaseException] = []

    def other() -> None:
        try:
            with workspace.lock():
                pass
        except WorkspaceError as error:
            refused.append(error)

    def in_a_thread() -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    with workspace.lock():
        with workspace.lock():
            in_a_thread()
        in_a_thread()
        with (
            Workspace.open(workspace.root) as second,
            pytest.raises(WorkspaceError, match=f"process {os.getpid()}"),
            second.lock(),
        ):
            pass
    assert len(refused) == 2
    in_a_thread()
    assert len(refused) == 2


def test_the_note_of_a_dead_process_stops_nobody_even_if_its_id_is_taken_again(workspace: Workspace) -> None:
    """The lock is the system's; process 1 runs everywhere."""
    (workspace.state / "writer.pid").write_text("1 elsewhere")
    assert workspace.writer == ""
    with workspace.lock():
        assert (workspace.state / "writer.pid").read_text().split() == [str(os.getpid()), platform.node()]


def test_a_writer_on_another_machine_is_named_with_it(workspace: Workspace) -> None:
    with workspace.lock():
        (workspace.state / "writer.pid").write_text("4711 thatmachine")
        assert workspace.writer == "process 4711 on thatmachine"
        (workspace.state / "writer.pid").unlink()
        assert workspace.writer == "another process"


def test_what_a_killed_writer_left_half_written_is_removed_by_the_next(workspace: Workspace) -> None:
    folder = workspace.state / "artefacts" / "ab"
    folder.mkdir(parents=True)
    old, future, fresh = (folder / f"{PARTIAL}{name}" for name in ("old", "future", "fresh"))
    for path in (old, future, fresh, folder / "whole"):
        path.write_text("x")
    os.utime(old, (1, 1))
    os.utime(future, (2e9, 2e9))  # written before the clock was put back
    with workspace.lock():
        assert sorted(path.name for path in folder.iterdir()) == [fresh.name, "whole"]


def test_an_error_inside_frees_the_lock(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), workspace.lock(), workspace.lock():
        raise ZeroDivisionError
    with workspace.lock():
        pass
