"""Datasets of a workspace: gathered, checked, kept under a hash, withdrawn; and examples that a model writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from groundtune import build_dataset, check_dataset, erase, lineage, sync, train
from groundtune.cli.main import run
from groundtune.config import tree
from groundtune.dataset import formats, personal
from groundtune.dataset.build import Passage, Wish, proposal_of, wishes
from groundtune.dataset.kept import manifest_of
from groundtune.dataset.read import read_questions
from groundtune.errors import DataError, NotFound, UsageError, Withdrawn
from groundtune.models.fake import TOKEN
from groundtune.store.workspace import Workspace
from groundtune.types import Chunk, Generation, Message, Usage
from tests.firm import CONFIG, write_firm

DATASET = """
[dataset]
personal_kinds = []
[[dataset.files]]
path = "tickets.jsonl"
train = true
read = ["staff"]
[[dataset.files]]
path = "built.jsonl"
train = true
[[dataset.files]]
path = "bought.csv"
train = false
read = ["staff"]
[[dataset.documents]]
match = "trolley.md"
train = false
[[dataset.documents]]
match = "**"
train = true
"""
TICKETS = [
    {"id": "t1", "subject": "The lamp in the cellar flickers", "resolution": "Screw the bulb in."},
    {"id": "t2", "subject": "Where is the kettle kept?", "resolution": "In the attic."},
    {"id": "t3", "subject": "Nobody answers the door bell"},
    {"id": "t4", "subject": "My badge is broken since yesterday", "resolution": "password = abc123xyz opens it"},
]
BUILT = [
    {
        "id": "b1",
        "question": "Which team mends a broken ladder in a day?",
        "answers": ["team 2"],
        "evidence": [("ladder.md", "repaired by team 2 within a day")],
    },
    {
        "id": "b2",
        "question": "How many people carry one trolley about?",
        "answers": ["two"],
        "evidence": [("trolley.md", "two people carry it")],
    },
    {
        "id": "b3",
        "question": "What will the second plan be worth?",
        "answers": ["4 million"],
        "evidence": [("board/plans.md", "Plan 2 costs 4 million")],
    },
    {
        "id": "b4",
        "question": "What does the moon weigh in total?",
        "answers": ["much"],
        "evidence": [("ladder.md", "the moon weighs much")],
    },
]


@pytest.fixture
def firm(tmp_path: Path) -> Path:
    root = write_firm(tmp_path / "firm", config=CONFIG + DATASET)
    (root / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TICKETS))
    built = [
        row | {"evidence": [dict(zip(("document", "quote"), one, strict=True)) for one in row["evidence"]]} for row in BUILT
    ]
    (root / "built.jsonl").write_text("".join(json.dumps(row) + "\n" for row in built))
    (root / "bought.csv").write_text("prompt,completion\nSay hello to them,Hello\n")
    sync(root)
    return root


def test_from_files_to_a_hashed_manifest_and_back(firm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = check_dataset(firm, out=firm / "train.jsonl")
    found = {(one.check, one.example) for one in done.findings}
    assert found >= {
        ("schema", "t3"),
        ("schema", "b4"),
        ("source", "b2"),
        ("audience", "b3"),
        ("overlap", "t2"),
        ("secrets", "t4"),
    }
    assert "tickets.jsonl:3" in {one.origin for one in done.findings}
    assert [one.id for one in read_questions(firm / "train.jsonl").examples] == ["t1", "b1"]
    assert (done.read, done.kept) == (9, 2) and done.audience.clauses == {frozenset({"staff"})}
    with Workspace.open(firm) as workspace:
        manifest = manifest_of(workspace, done.id)
        assert [row["id"] for row in workspace.artefacts.get_json(manifest["rows"])] == ["t1", "b1"]
    assert manifest["documents"] == ["ladder.md"] and list(manifest["kept"]) == ["b1", "t1"]
    text = json.dumps(manifest)
    assert "bulb" not in text and "abc123xyz" not in text and str(firm) not in text
    assert {one["origin"] for one in manifest["findings"]} >= {"tickets.jsonl:3", "bought.csv:2"}
    assert check_dataset(firm).id == done.id

    assert run(["dataset", "check", "tickets.jsonl", "-w", str(firm), "--leave", "secrets:t4", "--all"]) == 0
    shown = capsys.readouterr().out
    assert "left " in shown and "t4: secrets" in shown and "2 of 4 examples kept" in shown

    (firm / "documents" / "ladder.md").unlink()
    erased = erase(["ladder.md"], root=firm)
    assert erased.datasets == (done.id,)
    with (
        Workspace.open(firm) as workspace,
        pytest.raises(Withdrawn, match="a document that it was learned from was erased"),
    ):
        manifest_of(workspace, done.id)
    assert not (firm / ".groundtune" / "artefacts" / done.id[:2] / done.id[2:]).exists()


def test_what_cannot_be_checked_is_said(firm: Path) -> None:
    with pytest.raises(UsageError, match="does not name this file"):
        check_dataset(firm, files=["other.jsonl"])
    with pytest.raises(UsageError, match="not of the form CHECK:ID"):
        check_dataset(firm, leave=["t1"])
    board = check_dataset(firm, users=["board"])
    assert board.counts["audience"]["dropped"] > 0 and board.kept == 0
    (firm / "groundtune.toml").write_text(CONFIG)
    with pytest.raises(UsageError, match=r"\[\[dataset.files\]\]"):
        check_dataset(firm)


def test_the_configuration_names_what_the_readers_and_detectors_know() -> None:
    assert formats.Format == tree.DatasetFormat
    assert set(personal.KINDS) == set(get_args(tree.PersonalKind))
    assert set(tree.Dataset().personal_kinds) == set(personal.DEFAULT_KINDS)


class Author:
    """Writes what its prompt's sentence makes easy; knows one thing by heart."""

    name, fingerprint, local, window = "test:author", "author 1", True, None

    def __init__(self, name: str = "", *, adapter: Path | None = None) -> None:
        del name, adapter

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        del max_new_tokens
        return [Generation(self._reply(said[-1].content), Usage(1, 1)) for said in conversations]

    def count_tokens(self, text: str) -> int:
        return len(TOKEN.findall(text))

    def _reply(self, prompt: str) -> str:
        if "Passage from" not in prompt:
            return "It is kept in the attic of the house." if "kettle" in prompt else "No idea."
        title = prompt.partition('Passage from "')[2].partition('"')[0]
        if "does not answer" in prompt:
            return f"Question: Which astronaut invented gravity boots beside {title}?"
        sentence = prompt.partition("in this sentence: ")[2].partition("\n")[0]
        answer = " ".join(sentence.rstrip(".").split()[-3:])
        about = " ".join(sentence.split()[1:4])
        return f"Question: What is told about {title} regarding {about}?\nAnswer: {answer}\nQuote: {sentence}"


def test_a_model_writes_examples_with_evidence(firm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundtune.verbs.dataset_writing.load_model", lambda name: Author(name))
    done = build_dataset(firm, out=firm / "new.jsonl", count=6, unanswerable=0.3)
    examples = read_questions(firm / "new.jsonl").examples
    assert len(examples) == done.written == 6 and done.kinds["unanswerable"] >= 1
    for one in examples:
        assert all("trolley" not in evidence.document and "board" not in evidence.document for evidence in one.evidence)
        for evidence in one.evidence:
            text = (firm / "documents" / evidence.document).read_text()
            assert evidence.quote in text and one.answers[0] in evidence.quote
    assert "test:author wrote" in done.statement
    with pytest.raises(UsageError, match="is there already"):
        build_dataset(firm, out=firm / "new.jsonl")


CHUNK = Chunk("a.md#0-60", "a.md", "The kettle stands in the attic. It weighs 3 kg and hums.", 0, 60)
WISH = Wish("w", Passage(CHUNK, "The kettle"), "fact", "The kettle stands in the attic.")
GOOD = {"Question": "Where does the kettle stand?", "Answer": "in the attic", "Quote": "The kettle stands in the attic."}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"Quote": '"the kettle  stands in the **attic**"'}, ""),
        ({"Question": ""}, "the reply holds no question"),
        ({"Question": "The kettle stands where"}, "the question is no question"),
        ({"Question": "What does the passage say about kettles?"}, "the question points at the passage"),
        ({"Quote": ""}, "the reply lacks an answer or a quote"),
        ({"Quote": "The kettle stands in the cellar."}, "the quote does not stand in the document"),
        ({"Answer": "in the cellar"}, "the answer does not stand in the quote"),
        ({"Question": "Does it stand in the attic?"}, "the question gives its answer away"),
    ],
)
def test_what_is_held_against_a_reply(changes: dict[str, str], reason: str) -> None:
    said: dict[str, Any] = GOOD | changes
    reply = "\n".join(f"{name}: {value}" for name, value in said.items() if value)
    proposal = proposal_of(WISH, reply, text=CHUNK.text)
    assert proposal.reason == reason and (proposal.example is None) == bool(reason)
    if not reason:
        assert proposal.example is not None and proposal.example.evidence[0].spans[0][0] == 0


def test_wishes_do_not_depend_on_the_order_of_the_passages() -> None:
    passages = [
        Passage(Chunk(f"a.md#{at}", "a.md", f"Number {at} stands in the attic of the house. ", 0, 9), "A") for at in range(20)
    ]
    asked = wishes(passages, count=10, unanswerable=0.2, seed=1)
    assert asked == wishes(passages[::-1], count=10, unanswerable=0.2, seed=1)
    assert sum(one.kind == "unanswerable" for one in asked) == 2 and len({one.kind for one in asked}) == 5


WITH_DATASET = """
[candidates.with_tickets]
base = "tuned"
tuning = { data = "newest" }
[candidates.raft_with_tickets]
base = "rag_tuned"
tuning = { data = "newest" }
"""


def test_weights_learn_from_a_dataset_beside_the_questions(firm: Path) -> None:
    settings = firm / "groundtune.toml"
    settings.write_text(settings.read_text() + WITH_DATASET)
    with pytest.raises(NotFound, match="groundtune dataset check"):
        train("with_tickets", root=firm)
    plain = train("tuned", root=firm)
    done = check_dataset(firm)
    for name in ("with_tickets", "raft_with_tickets"):
        made = train(name, root=firm)
        about = json.loads((made.adapter / "training.json").read_text())
        raft = name == "raft_with_tickets"  # which leaves out the ticket: it has no evidence, and no chunk holds its answer
        added = {one.rpartition("/")[2] for one in about["examples"] if one.startswith(done.id[:12])}
        assert about["dataset"] == done.id and added == ({"b1"} if raft else {"b1", "t1"})
        assert "ladder.md" in about["documents_of"][f"{done.id[:12]}/b1"]
        assert done.id in (made.adapter / "MODEL_CARD.md").read_text()
        walked = lineage(made.weights, root=firm, principals=["staff"], limit=0).came_from
        assert ("dataset", done.id) in {(one.kind, one.id) for one in walked.nodes}
    assert train("with_tickets", root=firm).pairs == plain.pairs + 2
    (firm / "documents" / "ladder.md").unlink()
    sync(firm)
    settings.write_text(settings.read_text().replace("newest", done.id[:8]))
    with pytest.raises(Withdrawn):
        train("with_tickets", root=firm)


def test_a_dataset_for_nobody_is_learned_by_nobody(firm: Path) -> None:
    check_dataset(firm)
    settings = firm / "groundtune.toml"
    settings.write_text(settings.read_text().replace('audience = ["staff"]', "audience = []") + WITH_DATASET)
    with pytest.raises(DataError, match="may be read by all of"):
        train("raft_with_tickets", root=firm)
