"""What the command line prints and how it ends, on the real program; verbs are replaced only to raise what they may raise."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

import groundtune
from groundtune import errors
from groundtune.cli import output, progress, results
from groundtune.cli.main import COMMANDS, GROUPS, run
from groundtune.installation import install_command

TREE = [
    (errors.UsageError("no."), 2),
    (errors.ConfigError("no.", subject="groundtune.toml:3"), 2),
    (errors.DataError("no.", subject="questions.jsonl:7"), 3),
    (errors.TooFewQuestions("no.", needed=20), 3),
    (errors.BadDocument("no.", subject="a.pdf", reason="empty"), 3),
    (errors.NotFound("no.", remedy="Look elsewhere."), 4),
    (errors.MissingExtra("torch", extra="train", wanted_by="training"), 5),
    (errors.AccessDenied("no."), 6),
    (errors.Withdrawn("no."), 6),
    (errors.ModelFailure("no."), 7),
    (errors.WorkspaceError("no."), 8),
]

CALLS = [[name] for name in COMMANDS if name not in GROUPS] + [[name, inner] for name in GROUPS for inner in GROUPS[name]]


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def refuse() -> NoReturn:
        raise error

    monkeypatch.setattr(groundtune, "models", refuse, raising=False)


@pytest.mark.parametrize(("error", "code"), TREE, ids=lambda value: type(value).__name__)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int) -> None:
    raising(monkeypatch, error)
    assert run(["models"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err


def test_the_tree_in_errors_is_covered() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GroundtuneError)}
    assert {type(error) for error, _ in TREE} == kinds - {errors.GroundtuneError}, "a new kind needs a line in TREE"


def test_an_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, errors.DataError("an answer is missing.", subject="questions.jsonl:7", remedy="Add `answers`."))
    assert run(["models"]) == 3
    printed = capsys.readouterr()
    assert printed.err == "error: questions.jsonl:7: an answer is missing.\nwhat to do: Add `answers`.\n"


def test_an_error_is_one_json_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, errors.MissingExtra("torch", extra="train", wanted_by="training"))
    assert run(["models", "--json"]) == 5
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "MissingExtra"
    assert error["remedy"] == f"Run: {install_command('train')}"
    assert error["exit_code"] == 5


def test_a_defect_shows_its_traceback_only_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ZeroDivisionError("division by zero"))
    assert run(["models"]) == 1
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert "groundtune --debug models" in printed
    assert run(["--debug", "models"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_what_the_machine_refuses_is_no_defect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/data/x"))
    assert run(["models"]) == 8
    assert capsys.readouterr().err.startswith("error: /data/x: No space left on device")


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert run(["models", "--json"]) == 130
    printed = capsys.readouterr()
    assert "run again: groundtune models --json" in printed.err
    assert json.loads(printed.out)["error"]["exit_code"] == 130


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["asc"], "Did you mean 'ask'?"),
        (["ask"], "Missing argument"),
        (["ask", "a", "--candidat", "x"], "--candidate"),
        (["search", "a", "-k", "none"], "-k"),
        (["search", "a", "-k", "0"], "-k"),
    ],
)
def test_a_wrong_call_ends_with_2(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert run(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert "what to do: See: groundtune" in printed.err


@pytest.mark.parametrize("words", CALLS)
def test_every_command_has_help_and_json(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--json" in text
    options = [line for line in text.splitlines() if line.startswith("  -")]
    assert options
    assert all(line.split("  ")[-1].strip() or line for line in options)


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "from groundtune.cli import output; [output.line(str(n)) for n in range(100_000)]"
    pipe = f'set -o pipefail; {sys.executable} -c "{code}" | head -n 1'
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@dataclass(frozen=True)
class Nested:
    path: Path
    names: frozenset[str]
    values: tuple[float, ...]
    more: Any = None


def test_json_form() -> None:
    value = Nested(Path("a/b"), frozenset({"z", "a"}), (1.0, float("nan"), float("inf")), {"é": None})
    assert output.plain(value) == {"path": "a/b", "names": ["a", "z"], "values": [1.0, None, None], "more": {"é": None}}
    with pytest.raises(TypeError, match="object has no JSON form"):
        output.plain(object())


def test_table_sets_numbers_right() -> None:
    drawn = output.table(("name", "f1"), [("prompt", "0.1"), ("rag_tuned", "10.25")])
    assert drawn.splitlines() == ["name          f1", "---------  -----", "prompt       0.1", "rag_tuned  10.25"]


def test_lines_now_and_then_with_the_time_left() -> None:
    now, written = [0.0], list[str]()
    show = progress.lines(written.append, clock=lambda: now[0])
    for second in range(26):
        now[0] = float(second)
        show("embed", second * 2, 100)
    now[0] = 50.0
    show("embed", 100, 100)
    show("embed", 100, 100)
    assert written == [
        "embed: 20 of 100, about 40 s left",
        "embed: 40 of 100, about 30 s left",
        "embed: 100 of 100 in 50 s",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3780, "1 h 03 min")])
def test_duration(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def test_results_name_what_was_not_applicable() -> None:
    reports = [
        {
            "name": "prompt",
            "metrics": {"exact_match": 0.25, "f1": 0.5},
            "intervals": {"f1": {"low": 0.4, "high": 0.6}},
            "latency": {"p50": 0.1, "p95": 0.2},
            "cost": {"per_1000_answers": 0.01, "currency": "USD"},
        },
        {"name": "rag", "metrics": {}, "not_applicable": "there are no documents"},
    ]
    text = results.candidates(reports, metric="f1")
    assert text.splitlines()[0].split() == ["candidate", "f1", "exact_match", "p50", "s", "p95", "s", "USD/1000"]
    assert "0.500 [0.400, 0.600]" in text
    assert text.splitlines()[-1] == "rag: not applicable: there are no documents"


def test_an_inconclusive_verdict_names_its_provisional_choice() -> None:
    text = results.verdict(
        {"kind": "inconclusive", "winner": None, "provisional": "rag", "reason": "too close.", "further_questions": 120}
    )
    assert "winner: none (provisional choice: rag)" in text
    assert "about 120" in text
