"""The shipped demo: its questions stand in its documents, its audiences hold, and its files come from its sources."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from groundtune.access.audience import may_read
from groundtune.access.policy import Policy
from groundtune.config import Config, load_config
from groundtune.dataset.check import check_evidence
from groundtune.dataset.read import read_questions
from groundtune.dataset.split import assign_groups
from groundtune.demo import copy_to
from groundtune.demo.build import built
from groundtune.errors import UsageError
from groundtune.ingest.parse import Parser
from groundtune.types import Caller, Document, Example

STAFF = Caller.of("staff")
MANAGEMENT = Caller.of("staff", "management")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "workspace"
    copy_to(folder)
    return folder


@pytest.fixture(scope="module")
def config(demo: Path) -> Config:
    return load_config(demo / "groundtune.toml")


@pytest.fixture(scope="module")
def documents(demo: Path) -> dict[str, Document]:
    root = demo / "documents"
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    with Parser() as parser:
        return {name: parser.parse(root / name, id=name) for name in names}


@pytest.fixture(scope="module")
def questions(demo: Path) -> tuple[Example, ...]:
    reading = read_questions(demo / "questions.jsonl")
    assert reading.problems == ()
    return reading.examples


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def unpadded(text: str) -> str:
    """Letter for letter but for the padding of table cells, which is the parser's."""
    return re.sub(r"[ -]+", " ", text)


def test_there_is_enough_of_everything(documents: dict[str, Document], questions: tuple[Example, ...]) -> None:
    formats = Counter(document.format for document in documents.values())
    assert formats.keys() == {"md", "html", "docx", "pdf"}
    assert min(formats.values()) >= 2
    assert len(documents) >= 14
    assert all(350 <= len(words(document.text)) <= 900 for document in documents.values())
    assert len(questions) >= 72
    unanswerable = sum(not question.answers for question in questions)
    assert 0.08 <= unanswerable / len(questions) <= 0.12
    assert {"fact", "table", "two_facts", "negation", "time", "unanswerable"} == {question.kind for question in questions}


def test_every_quote_stands_in_its_document_and_sections_are_many(
    documents: dict[str, Document], questions: tuple[Example, ...]
) -> None:
    checked = check_evidence(questions, lambda name: documents[name].text if name in documents else None)
    assert checked.problems == ()
    for question in questions:
        assert bool(question.answers) == bool(question.evidence), question.id
        for evidence in question.evidence:
            # Letter for letter but for the bars and the padding of table cells, which are the parser's.
            assert re.sub(r"[ |-]+", " ", evidence.quote) in re.sub(r"[ |-]+", " ", documents[evidence.document].text), (
                question.id
            )
    assert len({question.group for question in assign_groups(checked.examples) if question.evidence}) >= 45
    assert {evidence.document for question in questions for evidence in question.evidence} == documents.keys()


def test_answers_are_short_and_most_stand_in_the_quote(questions: tuple[Example, ...]) -> None:
    answerable = [question for question in questions if question.answers]
    assert all(len(words(answer)) <= 9 for question in answerable for answer in question.answers)
    assert all(len(words(min(question.answers, key=len))) <= 6 for question in answerable)
    quoted = [
        any(
            answer.casefold() in " ".join(evidence.quote for evidence in question.evidence).casefold()
            for answer in question.answers
        )
        for question in answerable
    ]
    assert sum(quoted) >= 0.9 * len(quoted)


def test_questions_do_not_copy_the_wording_of_the_evidence(questions: tuple[Example, ...]) -> None:
    for question in questions:
        asked = words(question.question)
        for evidence in question.evidence:
            quote = " ".join(words(evidence.quote))
            runs = [" ".join(asked[start : start + 5]) for start in range(len(asked) - 4)]
            assert not any(run in quote for run in runs), question.id


def test_two_audiences(documents: dict[str, Document], questions: tuple[Example, ...], config: Config) -> None:
    policy = Policy.from_config(config.access)
    audiences = {name: policy.audience_for(name, None) for name in documents}
    confidential = {name for name in documents if not may_read(audiences[name], STAFF)}
    assert confidential == {name for name in documents if name.startswith("management/")}
    assert len(confidential) >= 2
    assert all(may_read(audience, MANAGEMENT) for audience in audiences.values())
    assert not any(may_read(audience, Caller.of("management")) for audience in audiences.values())
    for question in questions:
        assert question.principals in (("staff",), ("staff", "management"))
        asker = Caller.of(*question.principals)
        assert all(may_read(audiences[evidence.document], asker) for evidence in question.evidence), question.id
    assert sum(question.principals != ("staff",) for question in questions) >= 8


def test_no_confidential_answer_stands_in_a_document_for_all(
    documents: dict[str, Document], questions: tuple[Example, ...]
) -> None:
    open_text = " ".join(document.text for name, document in documents.items() if not name.startswith("management/")).casefold()
    for question in questions:
        if any(evidence.document.startswith("management/") for evidence in question.evidence):
            for evidence in question.evidence:
                assert evidence.quote.casefold() not in open_text
    for secret in ("Sandpiper", "Ormsund", "Turnstone", "Sanderling", "89,600"):
        assert secret.casefold() not in open_text


def test_settings_keep_the_demo_small(config: Config) -> None:
    assert config.chunking.tokens <= 120
    assert config.retrieval.k <= 3
    assert config.decision.folds <= 3
    assert len(config.decision.candidates) == 5
    assert config.training.audience == ("staff",)


def test_copy_lists_what_it_wrote_and_names_another_model(tmp_path: Path) -> None:
    written = copy_to(tmp_path / "new" / "demo", model="fake:echo")
    assert {"groundtune.toml", "questions.jsonl", "documents/management/project-sandpiper.md"} <= set(written)
    assert load_config(tmp_path / "new" / "demo" / "groundtune.toml").model == "fake:echo"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_copy_refuses_to_overwrite(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "taken"
    kept = target / "mine.txt" if kind == "folder" else target
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(UsageError, match="taken"):
        copy_to(target)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]
    assert kept.read_text() == "mine"


def test_built_documents_come_from_their_sources() -> None:
    shipped = files("groundtune.demo") / "documents"
    made = built()
    assert len(made) >= 6
    for name, content in made.items():
        old = (shipped / name).read_bytes()
        if name.endswith(".docx"):  # the same parts; how they were compressed depends on the zlib at hand
            assert parts(content) == parts(old), name
        else:
            assert content == old, name


def parts(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}
