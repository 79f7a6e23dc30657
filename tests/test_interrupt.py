"""Interrupts of the real program: it says how to go on, leaves no child and no lock, and goes on there."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import groundtune
from groundtune.cli import main
from groundtune.cli.interrupt import Interrupts, children
from groundtune.store.workspace import Workspace
from tests.firm import CONFIG, write_firm

BOT = CONFIG.replace("latency_requests = 2", 'latency_requests = 2\ncandidates = ["bot"]') + (
    '[candidates.bot]\ncommand = ["sh", "-c", "echo $$ > bot.pid; exec sleep 600"]\ntimeout = 600\n'
)
"""A race that hangs in a command, which has a session of its own."""


def started(root: Path, *words: str) -> subprocess.Popen[str]:
    """The program, once its command hangs."""
    os.mkfifo(root / "bot.pid")
    command = [sys.executable, "-m", "groundtune.cli.main", "decide", "-w", str(root), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bot_of(root: Path) -> int:
    """Waits until the command runs: its end of the pipe is opened then."""
    return int((root / "bot.pid").read_text())


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A firm; children are not started deaf to SIGINT, as those of a shell's background job are."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield write_firm(tmp_path, config=BOT)
    signal.signal(signal.SIGINT, before)


def running(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_says_how_to_go_on_and_leaves_nothing_running(root: Path, number: signal.Signals, code: int) -> None:
    process = started(root)
    bot = bot_of(root)
    with Workspace.open(root) as workspace:
        assert workspace.writer == f"process {process.pid}"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    command = shlex.join([sys.executable, "-m", "groundtune.cli.main", "decide", "-w", str(root)])
    assert (process.returncode, out) == (code, ""), err
    assert err.endswith(f"error: interrupted; every finished step is kept.\nwhat to do: To go on, run again: {command}\n")
    assert "Traceback" not in err
    assert not running(bot)
    with Workspace.open(root) as workspace:
        assert workspace.writer == ""


# --- in one process: what the two ears of the watch do ------------------------------------------------------------------


class End(Exception):
    """In place of the end of the process."""


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> tuple[Interrupts, list[str], Callable[..., None]]:
    """A watch that is fed by hand: `feed(signal, ...)` runs its thread's loop to the end of the signals."""
    said: list[str] = []
    interrupts = Interrupts(farewell=lambda code: f"farewell {code}", say=said.append)

    def feed(*numbers: int) -> None:
        read, write = os.pipe()
        os.write(write, bytes(numbers))
        os.close(write)
        try:
            interrupts._watch(read)
        finally:
            os.close(read)

    def ended(code: int) -> None:
        said.append(f"ended {code}")
        raise End

    monkeypatch.setattr("groundtune.cli.interrupt.end_at_once", ended)
    monkeypatch.setattr("groundtune.cli.interrupt.PATIENCE_SECONDS", 0.0)
    return interrupts, said, feed


def test_who_is_busy_in_native_code_is_heard_at_once(heard: tuple[Interrupts, list[str], Callable[..., None]]) -> None:
    interrupts, said, feed = heard
    feed(signal.SIGTERM)
    assert said == ["stopping after the step under way; interrupt again to end at once"]
    assert interrupts.code == 143


def test_two_signals_together_are_one_request(heard: tuple[Interrupts, list[str], Callable[..., None]]) -> None:
    _, said, feed = heard
    feed(signal.SIGTERM, signal.SIGTERM, signal.SIGCHLD)
    assert len(said) == 1


def test_the_second_request_ends_at_once(
    heard: tuple[Interrupts, list[str], Callable[..., None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, said, feed = heard
    monkeypatch.setattr("groundtune.cli.interrupt.SAME_REQUEST_SECONDS", 0.0)
    with pytest.raises(End):
        feed(signal.SIGINT, signal.SIGINT)
    assert said[1:] == ["farewell 130", "ended 130"]


def test_an_interrupt_after_the_end_changes_no_exit_code(heard: tuple[Interrupts, list[str], Callable[..., None]]) -> None:
    interrupts, said, feed = heard
    interrupts.closing(0)
    with pytest.raises(End):
        feed(signal.SIGINT)
    assert said == ["ended 0"]


def test_only_the_first_signal_raises(heard: tuple[Interrupts, list[str], Callable[..., None]]) -> None:
    interrupts, _, _ = heard
    with pytest.raises(KeyboardInterrupt):
        interrupts._interrupt(signal.SIGTERM, None)
    interrupts._interrupt(signal.SIGINT, None)
    assert (interrupts.interrupted, interrupts.code) == (True, 143)


def test_children_are_known() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children()
        child.kill()


@pytest.mark.parametrize(
    ("started_as", "words"),
    [
        ("/nowhere/bin/groundtune", ["/nowhere/bin/groundtune"]),
        (main.__file__, [sys.executable, "-m", "groundtune.cli.main"]),
        ("/usr/bin/pytest", ["groundtune"]),
    ],
)
def test_the_command_that_goes_on_is_the_one_that_was_typed(started_as: str, words: list[str]) -> None:
    assert main.program(started_as) == words
    assert groundtune.__version__
