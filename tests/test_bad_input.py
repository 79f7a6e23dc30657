"""What a person gets wrong, through the command line: each is a clear error with its exit code, and nothing good is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from groundtune.cli.main import run
from groundtune.installation import install_command

CONFIG = """\
model = "fake:extract"
embedder = "fake:hash"

[access]
questions = ["staff"]
[[access.rules]]
match = "**"
read = ["staff"]
"""
TOPICS = ("boiler", "fence", "garden", "harbour", "lantern", "mill", "orchard", "pump", "quarry", "roof", "stable", "tower")


def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": topic,
            "question": f"Who keeps the {topic}?",
            "answers": [f"{topic.title()}man"],
            "evidence": [{"document": f"{topic}.md", "quote": f"The {topic} is kept by {topic.title()}man"}],
        }
        for topic in TOPICS
    ]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    for topic in TOPICS:
        text = f"# The {topic}\n\nThe {topic} is kept by {topic.title()}man, who lives beside it.\n"
        (tmp_path / "documents" / f"{topic}.md").write_text(text)
    (tmp_path / "groundtune.toml").write_text(CONFIG)
    write(tmp_path, rows())
    return tmp_path


def write(workspace: Path, lines: list[dict[str, Any] | str]) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (workspace / "questions.jsonl").write_text(text + "\n")


class Said:
    """Runs a command in a workspace and keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], workspace: Path) -> None:
        self._capsys, self._workspace = capsys, workspace
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        code = run([*words, "-w", str(self._workspace)])
        self.out, self.err = self._capsys.readouterr()
        assert "Traceback" not in self.err
        assert code == 0 or self.err.count("error: ") == 1
        return code


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], workspace: Path) -> Said:
    return Said(capsys, workspace)


def test_a_workspace_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(capsys, tmp_path / "absent")
    for words in (("sync",), ("search", "x"), ("ask", "x"), ("train", "tuned"), ("evaluate",), ("decide",), ("report",)):
        assert said(*words) == 4
        assert "groundtune.toml" in said.err
        assert "groundtune init" in said.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[retrieval]\nkk = 3", ("groundtune.toml:10", "retrieval.kk", "retrieval.k")),
        ("[retrieval]\nk = 'three'", ("groundtune.toml:10", "retrieval.k", "whole number")),
        ("[retrieval", ("groundtune.toml:9", "TOML")),
        ("[decision]\ncandidates = ['rga']", ("groundtune.toml:10", "rag")),
    ],
    ids=["unknown key", "wrong type", "no TOML", "unknown candidate"],
)
def test_configuration(workspace: Path, said: Said, line: str, words: tuple[str, ...]) -> None:
    (workspace / "groundtune.toml").write_text(CONFIG + line + "\n")
    assert said("sync") == 2
    for word in words:
        assert word in said.err


@pytest.mark.parametrize(
    ("name", "code"),
    [("embedded:nothing", 4), ("emebdded:smollm2", 4), ("smollm2", 2)],
    ids=["name", "provider", "no provider"],
)
def test_a_model_that_does_not_exist(said: Said, name: str, code: int) -> None:
    assert said("decide", "--model", name, "--candidate", "prompt") == code
    assert name in said.err


def test_a_metric_and_a_candidate_that_do_not_exist(said: Said) -> None:
    assert said("decide", "--metric", "f2", "--candidate", "prompt") == 2
    assert "f1" in said.err
    assert said("decide", "--candidate", "promt") == 2
    assert "prompt" in said.err


def test_a_budget_that_is_none(said: Said) -> None:
    assert said("decide", "--budget", "soon") == 2
    assert "20m" in said.err


def test_missing_files(workspace: Path, said: Said) -> None:
    (workspace / "questions.jsonl").rename(workspace / "kept")
    assert said("decide", "--candidate", "prompt") == 4
    assert "questions.jsonl" in said.err
    (workspace / "kept").rename(workspace / "questions.jsonl")
    (workspace / "documents").rename(workspace / "elsewhere")
    assert said("sync") == 4
    assert "documents" in said.err


def test_an_empty_folder(workspace: Path, said: Said) -> None:
    for path in (workspace / "documents").iterdir():
        path.unlink()
    assert said("sync") == 3
    assert "documents" in said.err


def test_bad_documents_are_named_and_lose_no_good_one(workspace: Path, said: Said) -> None:
    documents = workspace / "documents"
    (documents / "nothing.pdf").write_bytes(b"")
    (documents / "cut.docx").write_bytes(b"PK\x03\x04\x14\x00\x06\x00" + b"\x00" * 200)
    (documents / "picture.pdf").write_bytes(b"%PDF-1.7\n1 0 obj\n<<")
    assert said("sync") == 0
    for name in ("nothing.pdf", "cut.docx", "picture.pdf"):
        assert f"not read: {name}: " in said.out
    assert f"{len(TOPICS)} documents" in said.out
    assert said("search", "lantern", "--as", "staff") == 0
    assert "lantern.md" in said.out


def test_a_document_that_nobody_may_read_is_listed(workspace: Path, said: Said) -> None:
    (workspace / "groundtune.toml").write_text(CONFIG.replace('"**"', '"[a-p]*"'))
    assert said("sync") == 0
    assert "readable by nobody: tower.md" in said.out
    assert said("search", "tower", "--as", "staff") == 0
    assert "tower.md" not in said.out


def test_bad_rows_are_named_and_lose_no_good_one(workspace: Path, said: Said) -> None:
    stray = {**rows()[0], "id": "stray", "evidence": [{"document": "boiler.md", "quote": "Nobody wrote this sentence"}]}
    write(workspace, [*rows(), '{"id": "broken", "question": ', rows()[0], {"question": "No answers?"}, stray])
    assert said("decide", "--candidate", "prompt", "--candidate", "rag", "--json") == 0
    decided = json.loads(said.out)["report"]
    problems = "\n".join(decided["task"]["problems"])
    for place in ("questions.jsonl:13", "questions.jsonl:14", "questions.jsonl:15", "questions.jsonl:16"):
        assert place in problems
    assert decided["task"]["questions"] >= len(TOPICS)


def test_too_few_questions(workspace: Path, said: Said) -> None:
    write(workspace, list(rows()[:3]))
    assert said("decide", "--candidate", "prompt", "--json") == 3
    error = json.loads(said.out)["error"]
    assert error["kind"] == "TooFewQuestions"
    assert "at least" in error["remedy"]


def test_a_missing_extra_names_the_install_command(workspace: Path) -> None:
    """In a process that finds neither engine, as where the extras are not installed."""
    (workspace / "groundtune.toml").write_text(CONFIG.replace("fake:extract", "embedded:smollm2"))
    code = (
        "from importlib.machinery import PathFinder\n"
        "find, absent = PathFinder.find_spec, {'openvino', 'openvino_genai', 'torch', 'transformers'}\n"
        "PathFinder.find_spec = lambda name, *more: None if name.partition('.')[0] in absent else find(name, *more)\n"
        "from groundtune.cli.main import main\n"
        f"main(['decide', '--candidate', 'prompt', '-w', {str(workspace)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert f"what to do: Run: {install_command('openvino')}\n" in done.stderr
    assert "Traceback" not in done.stderr
