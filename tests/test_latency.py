"""Latency with a clock that the test turns: who is asked what, in which order, and what is counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from groundtune.errors import DataError
from groundtune.evaluation.latency import measure_latency
from groundtune.types import Answer, Example

EXAMPLES = [Example(f"q{number}", "?", ("secret",)) for number in (2, 0, 1)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[tuple[str, str]] = []

    def __call__(self) -> float:
        return self.now

    def takes(self, name: str, seconds: Callable[[int], float]) -> Callable[[Example], Answer]:
        def respond(example: Example) -> Answer:
            assert not example.answers
            self.asked.append((name, example.id))
            self.now += seconds(sum(one == name for one, _ in self.asked))
            return Answer("x")

        return respond


def test_seconds_are_wall_time_after_the_warm_up() -> None:
    clock = Clock()
    respondents = {
        "slow": clock.takes("slow", lambda call: 100.0 if call <= 2 else float(call)),
        "fast": clock.takes("fast", lambda _: 0.5),
    }
    measured = measure_latency(respondents, EXAMPLES, requests=101, warm_up=2, clock=clock)
    slow = measured["slow"]
    assert (slow.p50, slow.mean, slow.p95, slow.requests) == (53.0, 53.0, 98.0, 101)
    assert measured["fast"].p95 == 0.5


def test_candidates_are_interleaved_on_the_same_questions_and_take_turns_to_go_first() -> None:
    clock = Clock()
    seen: list[tuple[str, int, int]] = []
    respondents = {name: clock.takes(name, lambda _: 1.0) for name in ("a", "b")}
    measure_latency(
        respondents,
        EXAMPLES,
        requests=4,
        warm_up=0,
        clock=clock,
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    assert clock.asked == [
        ("a", "q0"), ("b", "q0"), ("b", "q1"), ("a", "q1"), ("a", "q2"), ("b", "q2"), ("b", "q0"), ("a", "q0"),
    ]  # fmt: skip
    assert seen == [("latency", done, 4) for done in (1, 2, 3, 4)]


def test_nothing_to_time() -> None:
    with pytest.raises(DataError):
        measure_latency({"a": lambda _: Answer("x")}, [])
    assert measure_latency({}, EXAMPLES) == {}
