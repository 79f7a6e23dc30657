"""Progress calls drawn on standard error: bars with an estimate in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from groundtune.interfaces import Progress

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown(*, as_json: bool) -> Iterator[Progress]:
    """Hand out the callback; bars are drawn only in a terminal and never beside a JSON document."""
    if as_json or not sys.stderr.isatty():
        yield lines(lambda text: print(text, file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), speed_estimate_period=300) as bars:
        tasks: dict[str, int] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage.replace("[", r"\["), total=total)
            bars.update(bars.task_ids[tasks[stage]], completed=done, total=total)

        yield update


def lines(write: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> Progress:
    """A callback that writes a line when a stage ends and, in between, one every ten seconds with the time left."""
    started: dict[str, tuple[float, int]] = {}
    last = clock()
    ended: set[str] = set()

    def update(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = clock()
        begin, before = started.setdefault(stage, (now, done))
        if done >= total:
            if stage not in ended:
                ended.add(stage)
                last = now
                write(f"{stage}: {total} of {total} in {duration(now - begin)}")
            return
        ended.discard(stage)
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = f", about {duration((now - begin) / (done - before) * (total - done))} left" if done > before else ""
            write(f"{stage}: {done} of {total}{left}")

    return update


def duration(seconds: float) -> str:
    """`4 s`, `2 min 05 s` or `1 h 03 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
