"""doctor: what is installed, missing and astray is told with the command for it; the pace is measured once and remembered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

import groundtune
from groundtune.cli.main import run
from groundtune.config import Config
from groundtune.config.knowledge import Index, Ingest
from groundtune.decision.plan import Pace
from groundtune.installation import install_command, requirements
from groundtune.store.workspace import Workspace
from groundtune.verbs import machine_checks
from groundtune.verbs.machine import Checkup, doctor
from groundtune.verbs.machine_checks import Finding, machine
from groundtune.verbs.pace import _in_a_minute
from tests.firm import CONFIG, write_firm

RACE = CONFIG + 'candidates = ["prompt", "rag", "tuned"]\n'


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUNDTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_firm(tmp_path / "firm", config=RACE)


def found(checkup: Checkup, check: str) -> Finding:
    return next(finding for finding in checkup.findings if finding.check == check)


# --- the machine --------------------------------------------------------------------------------------------------------


def test_what_pyproject_asks_for_is_looked_for() -> None:
    asked = requirements()
    assert {"numpy", "typer", "kreuzberg"} <= set(asked[""])
    assert "lancedb" in asked["lance"]
    assert {"torch", "peft", "transformers"} <= set(asked["train"])
    installed = machine_checks.installed_packages()
    assert installed[""]["numpy"] and installed["dev"]["pytest"] == pytest.__version__


def absent(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    before = machine_checks._version
    monkeypatch.setattr(machine_checks, "_version", lambda name: "" if name in packages else before(name))


def test_only_what_the_configuration_needs_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "torch", "openvino")
    plain = {finding.check: finding for finding in machine(Config(model="fake:extract", embedder="fake:hash"))}
    assert not plain["extra train"].ok and not plain["extra train"].needed
    wanted = {finding.check: finding for finding in machine(Config())}
    assert wanted["extra train"].needed
    assert wanted["extra train"].detail == "lacks torch; wanted by tuned, rag_tuned"
    assert wanted["extra train"].remedy == f"Run: {install_command('train')}"
    assert wanted["extra openvino"].detail.endswith("wanted by embedded:minilm, embedded:smollm2")
    assert wanted["packages"].ok


def test_scans_want_tesseracts_data_and_passwords_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "lancedb", "msoffcrypto-tool")
    monkeypatch.setattr(machine_checks, "data_folder", lambda languages: None if "deu" in languages else Path("/tessdata"))
    plain = Config(model="fake:extract", embedder="fake:hash")
    reading = Ingest(languages=("eng", "deu"), passwords="passwords.txt")
    found = {finding.check: finding for finding in machine(plain.model_copy(update={"ingest": reading}))}
    assert (found["scans"].ok, found["scans"].needed) == (False, False)
    assert found["scans"].detail.endswith("deu is missing") and "tesseract-ocr-deu" in found["scans"].remedy
    assert found["extra passwords"].detail == "lacks msoffcrypto-tool; wanted by ingest.passwords"
    assert found["extra lance"].needed
    light = {finding.check: finding for finding in machine(plain.model_copy(update={"index": Index(backend="sqlite")}))}
    assert not light["extra lance"].needed and not light["extra passwords"].needed
    assert light["scans"].detail == "read in eng"


def test_a_server_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    missing = next(one for one in machine(Config(model="openai:big", embedder="fake:hash")) if one.check == "openai:big")
    assert (missing.ok, missing.needed) == (False, True)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
    assert next(one for one in machine(Config(model="openai:big")) if one.check == "openai:big").ok


def test_memory_and_cores_are_those_that_this_process_may_use() -> None:
    free, total = machine_checks.memory()
    assert 0 < free <= total <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 1 <= machine_checks.cores() <= (os.cpu_count() or 1)


def test_it_works_where_nothing_optional_is_installed(root: Path) -> None:
    """In a process that finds no engine: as packages and as modules."""
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "from groundtune.verbs import machine_checks\n"
        "absent = {'openvino', 'openvino_genai', 'openvino_tokenizers', 'torch', 'transformers', 'peft', 'gguf'}\n"
        "find, known = PathFinder.find_spec, machine_checks._version\n"
        "PathFinder.find_spec = lambda name, *more: None if name.partition('.')[0] in absent else find(name, *more)\n"
        "machine_checks._version = lambda name: '' if name.replace('-', '_') in absent else known(name)\n"
        "from groundtune.cli.main import run\n"
        "first = run(['doctor', '--json', '--no-measure'])\n"
        f"second = run(['doctor', '--json', '-w', {str(root)!r}])\n"
        "assert not absent & set(sys.modules)\n"
        "sys.exit(f'{first} {second}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "8 0", done.stderr
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(done.stdout)
    second, _ = decoder.raw_decode(done.stdout[end:].lstrip())
    lacking = {one["check"]: one["remedy"] for one in first["findings"] if one["needed"] and not one["ok"]}
    assert lacking.keys() >= {"extra openvino", "extra train", "embedded:minilm", "embedded:smollm2"}
    assert lacking["extra openvino"] == f"Run: {install_command('openvino')}"
    assert (first["ok"], second["ok"], second["pace"]["model"]) == (False, True, "fake:extract")


# --- the pace -----------------------------------------------------------------------------------------------------------


def test_the_pace_is_measured_once_and_again_when_asked(root: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def pace(model: object, *, batch_size: int) -> Pace:
        measured.append(f"at {batch_size}")
        return Pace(1400.0, 60.0, 700.0, 30.0)

    monkeypatch.setattr("groundtune.verbs.pace.measure", pace)
    assert doctor(root, measure=False).no_pace == "not measured yet; doctor --measure does it"
    first = doctor(root).pace
    assert doctor(root).pace == first
    assert measured == ["at 4"]
    doctor(root, measure=True)
    assert len(measured) == 2
    (own_cache / "pace.json").write_text('{"torn')
    assert doctor(root).pace is not None and len(measured) == 3


def test_minutes_follow_from_the_rates() -> None:
    """700 tokens of prompt and 30 of answer: 0.5 + 0.5 s in a batch, 1 + 1 s alone; 730 trained at 146 a second: 5 s."""
    rates = asdict(Pace(1400.0, 60.0, 700.0, 30.0, 146.0))
    pace = _in_a_minute(Config(), {"pace": rates, "measured": "2026-01-01", "seconds": 3.0, "load": 0.5})
    assert (pace.prompt_tokens, pace.answers_per_minute, pace.seconds_alone, pace.examples_per_minute) == (700, 60.0, 2.0, 12.0)


def test_a_server_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Workspace.create(tmp_path / "served", config_text='model = "openai:big"\nembedder = "fake:hash"\n').close()
    assert "runs on a server" in doctor(tmp_path / "served").no_pace


# --- the workspace ------------------------------------------------------------------------------------------------------


def test_a_new_workspace_waits_for_its_first_sync(root: Path) -> None:
    checkup = doctor(root, measure=False)
    assert checkup.ok
    assert found(checkup, "documents").detail.startswith("7 files, 7 new, 0 changed, 0 removed")
    assert found(checkup, "documents").remedy == f"Run: groundtune sync -w {root}"
    assert found(checkup, "index").detail == "nothing was synced yet"
    assert found(checkup, "questions").detail == "24 questions in questions.jsonl"


def test_a_synced_workspace_is_in_step_until_its_documents_change(root: Path) -> None:
    groundtune.sync(root)
    checkup = doctor(root, measure=False)
    assert all(finding.ok for finding in checkup.findings if finding.check in ("documents", "index", "database", "writer"))
    assert "chunks of 7 documents" in found(checkup, "index").detail
    (root / "documents" / "kettle.md").write_text("# The kettle\n\nIt is gone.\n")
    (root / "documents" / "ladder.md").unlink()
    os.utime(root / "documents" / "printer.md", (1, 1))
    assert "6 files, 0 new, 1 changed, 1 removed" in found(doctor(root, measure=False), "documents").detail


def test_who_writes_is_told(root: Path) -> None:
    with Workspace.open(root) as workspace, workspace.lock():
        assert found(doctor(root, measure=False), "writer").detail == f"process {os.getpid()} writes it now"
    assert found(doctor(root, measure=False), "writer").detail == "nobody writes it now"


def test_parts_are_weighed(root: Path) -> None:
    groundtune.sync(root)
    disk = doctor(root, measure=False).disk
    assert disk["workspace: documents"] == sum(file.stat().st_size for file in (root / "documents").rglob("*.md"))
    assert disk["workspace: database"] > 0 and disk["workspace: index"] > 0 and disk["workspace: weights"] == 0


@pytest.mark.parametrize(
    ("file", "content", "check", "said"),
    [
        ("groundtune.toml", "modle = 'a:b'\n", "workspace", "groundtune.toml:1"),
        (".groundtune/groundtune.db", "no database " * 500, "workspace", "is damaged"),
        ("questions.jsonl", "{not json\n", "questions", "none can be used"),
    ],
)
def test_what_is_broken_is_a_finding_with_a_remedy(root: Path, file: str, content: str, check: str, said: str) -> None:
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(content)
    checkup = doctor(root, measure=False)
    assert not checkup.ok
    assert said in found(checkup, check).detail
    assert found(checkup, check).remedy


def test_the_command_prints_and_ends_with_8_when_something_is_needed(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "ok  python: 3." in text and "ok  pace of fake:extract" in text and "trains on" in text
    assert "workspace: weights: 0.0 MiB" in text
    absent(monkeypatch, "numpy")
    assert run(["doctor", "--no-measure"]) == 8
    assert f"NOT packages: lacks numpy\n      what to do: Run: {install_command()}\n" in capsys.readouterr().out
