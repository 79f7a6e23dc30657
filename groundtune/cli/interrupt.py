"""Ctrl-C and its kin: the first ends the run in order, a later one ends the process at once. Knows signals, no command.

Both are safe: whatever is finished is stored, and an end at once is what `kill -9` does, which every stage survives.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

SAME_REQUEST_SECONDS = 1.0
"""Signals this close together are one request: `timeout` and some supervisors send two."""

PATIENCE_SECONDS = 0.5
"""After this the user is told that the request was heard: a step in native code may take many seconds."""


class Interrupts:
    """Watches the signals of this process from `install` to its end."""

    def __init__(self, *, farewell: Callable[[int], str], say: Callable[[str], None]) -> None:
        """`farewell(exit code)` is the message of an end at once; `say` prints a line, from any thread."""
        self._farewell = farewell
        self._say = say
        self._number = 0
        self._closing: int | None = None
        self._raised = threading.Event()

    @property
    def code(self) -> int:
        """Exit code of an interrupted run: 128 and the signal's number, as shells have it."""
        return 128 + (self._number or signal.SIGINT)

    @property
    def interrupted(self) -> bool:
        return self._raised.is_set()

    def install(self) -> None:
        """Take the signals over; one that this process was started to ignore (nohup) stays ignored."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(read,), name="interrupts", daemon=True).start()

    def closing(self, code: int) -> None:
        """The run is over and ends with this code: from now on a signal only makes it end sooner."""
        self._closing = code

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        """In the main thread, which may have been in native code until now."""
        if not self._raised.is_set():
            self._raised.set()
            self._number = number
            if self._closing is None:
                raise KeyboardInterrupt

    def _watch(self, read: int) -> None:
        """In a thread of its own: signals arrive here at once, whatever the main thread does."""
        first = 0.0
        while data := os.read(read, 1):
            if data[0] not in SIGNALS:
                continue
            self._number = self._number or data[0]
            if self._closing is not None:
                end_at_once(self._closing)
            if not first:
                first = time.monotonic()
                if not self._raised.wait(PATIENCE_SECONDS):
                    self._say("stopping after the step under way; interrupt again to end at once")
            elif time.monotonic() - first >= SAME_REQUEST_SECONDS:
                self._say(self._farewell(self.code))
                end_at_once(self.code)


def end_at_once(code: int) -> None:
    """End this process without unwinding, and its children with it."""
    for child in children():
        with suppress(OSError):
            group = os.getpgid(child)
            os.kill(child, signal.SIGKILL)
            if group == child:  # a command with a session of its own, and what it started
                os.killpg(group, signal.SIGKILL)
    os._exit(code)


def children() -> list[int]:
    """Process ids of this process's children, as Linux lists them; elsewhere none, and they end when their pipe closes."""
    found: list[int] = []
    for task in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text(encoding="ascii").split())
    return found
