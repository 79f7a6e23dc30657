"""lineage: from documents to answers and back, for those only who may read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import groundtune
from groundtune.candidates.open import newest
from groundtune.cli.main import run
from groundtune.errors import NotFound, UsageError
from groundtune.store.workspace import Workspace
from groundtune.verbs.tracing import Node
from tests.firm import SECRET, write_firm

STAFF, BOARD = ("staff",), ("staff", "board")


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synced, raced, trained, and asked once."""
    root = write_firm(tmp_path_factory.mktemp("firm"))
    groundtune.decide(root, candidates=["rag", "tuned"])
    groundtune.train("rag_tuned", root=root)
    return root


@pytest.fixture(scope="module")
def weights(firm: Path) -> str:
    """Those of `rag_tuned`."""
    with Workspace.open(firm) as workspace:
        return str(newest(workspace, verb="train rag_tuned")["weights"])


def walked(node: Node) -> Iterator[Node]:
    yield node
    for below in node.nodes:
        yield from walked(below)


def names(node: Node) -> set[str]:
    return {f"{one.kind}:{one.id}" for one in walked(node)}


def path_to(node: Node, name: str) -> list[str]:
    """Relations from the root to the first node of that name."""
    for below in node.nodes:
        if f"{below.kind}:{below.id}" == name:
            return [below.relation]
        if found := path_to(below, name):
            return [below.relation, *found]
    return []


def test_a_document_leads_over_chunk_and_example_to_weights_and_decision(firm: Path, weights: str) -> None:
    found = groundtune.lineage("kettle.md", root=firm, principals=STAFF, limit=0)
    assert found.came_from.nodes == ()
    assert path_to(found.led_to, "example:kettle-1") == ["read as", "cut into", "evidence for"]
    assert f"weights:{weights}" in names(found.led_to)
    assert path_to(found.led_to, "decision:decide-0001")
    scored = {one.id for one in walked(found.led_to) if one.kind == "answer"}
    assert {"decide-0001/rag/kettle-1", "decide-0001/tuned/kettle-1"} <= scored


def test_an_answer_of_ask_leads_back_to_its_document(firm: Path, weights: str) -> None:
    answer = groundtune.ask("Where is the ladder kept?", root=firm, principals=STAFF, candidate="rag")
    assert answer.id
    up = groundtune.lineage(answer.id, root=firm, principals=STAFF).came_from
    assert path_to(up, "document:ladder.md") == ["shown", "cut from", "read from"]
    chunk = answer.context[0]
    down = groundtune.lineage(chunk, root=firm, principals=STAFF, limit=0).led_to
    assert f"answer:{answer.id}" in names(down)
    tuned = groundtune.ask("Where is the ladder kept?", root=firm, principals=STAFF, candidate="rag_tuned")
    assert path_to(groundtune.lineage(tuned.id, root=firm, principals=STAFF).came_from, f"weights:{weights}") == [
        "answered with"
    ]
    assert f"answer:{tuned.id}" in names(groundtune.lineage(weights, root=firm, principals=STAFF, limit=0).led_to)


def test_a_streamed_answer_is_named_too(firm: Path) -> None:
    pieces = groundtune.ask_stream("Where is the ladder kept?", root=firm, principals=STAFF, candidate="rag")
    assert list(pieces)
    assert groundtune.lineage(pieces.answer.id, root=firm, principals=STAFF).came_from.nodes


def test_both_ways_agree(firm: Path) -> None:
    """What lies below a document has the document above it."""
    down = groundtune.lineage("printer.md", root=firm, principals=STAFF, limit=0).led_to
    for name in sorted(names(down) - {"document:printer.md"}):
        if not name.startswith(("answer:decide", "vectors:", "parse:")):
            assert "document:printer.md" in names(groundtune.lineage(name, root=firm, principals=STAFF, limit=0).came_from), (
                name
            )


def test_weights_name_what_they_learned(firm: Path, weights: str) -> None:
    up = groundtune.lineage(weights, root=firm, principals=STAFF, limit=0).came_from
    assert path_to(up, "example:kettle-1") == ["learned"]
    assert path_to(up, "model:fake:extract") == ["tuned from"]
    assert path_to(up, "document:kettle.md") == ["learned", "evidence in", "cut from", "read from"]
    few = groundtune.lineage(weights, root=firm, principals=STAFF, limit=3).came_from
    assert (len(few.nodes), few.left_out) == (3, len(up.nodes) - 3)


def test_weights_that_went_on_from_others_name_them(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    with (root / "groundtune.toml").open("a", encoding="utf-8") as file:
        file.write('\n[candidates.further]\nbase = "tuned"\ntuning = { start = "tuned", epochs = 1 }\n')
    made = groundtune.train("further", root=root).weights
    up = groundtune.lineage(made, root=root, principals=STAFF).came_from
    (before,) = (node for node in up.nodes if node.kind == "weights")
    assert before.relation == "tuned further from"
    assert "example:kettle-1" in names(before)
    down = groundtune.lineage(before.id, root=root, principals=STAFF).led_to
    assert path_to(down, f"weights:{made}") == ["tuned further into"]


def test_what_may_not_be_read_is_not_named(firm: Path) -> None:
    """To staff the board's plans, and whatever came out of them, do not exist; a stranger is told nothing at all."""
    plans = "board/plans.md"
    for name in (plans, "board-1", f"{plans}#0-10", "decide-0001/rag/board-1", f"document:{plans}"):
        with pytest.raises(NotFound, match="there is no such thing, or you may not know of it"):
            groundtune.lineage(name, root=firm, principals=STAFF)
    with pytest.raises(NotFound, match="there is no such thing, or you may not know of it"):
        groundtune.lineage("no such thing", root=firm, principals=STAFF)
    known = names(groundtune.lineage("decide-0001", root=firm, principals=STAFF, limit=0).came_from)
    assert not [name for name in known if "board" in name]
    assert "answer:decide-0001/rag/kettle-1" in known
    assert SECRET not in str(groundtune.lineage("decide-0001", root=firm, principals=STAFF, limit=0))
    board = names(groundtune.lineage("decide-0001", root=firm, principals=BOARD, limit=0).came_from)
    assert "answer:decide-0001/rag/board-1" in board
    assert groundtune.lineage("decide-0001", root=firm).came_from.nodes == ()


def test_permissions_are_those_of_now(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    groundtune.sync(root)
    asked = groundtune.ask("Where is the kettle kept?", root=root, principals=STAFF, candidate="rag")
    (root / "documents" / "kettle.md.access.toml").write_text('read = ["board"]\n')
    groundtune.sync(root)
    with pytest.raises(NotFound):
        groundtune.lineage(asked.id, root=root, principals=STAFF)
    assert groundtune.lineage("kettle.md", root=root, principals=BOARD).led_to.nodes


def test_a_secret_copy_neither_shows_nor_hides_the_way(tmp_path: Path) -> None:
    """Two documents of one content share a stored parse; the reader of one walks through it and never meets the other."""
    root = write_firm(tmp_path)
    (root / "documents" / "board" / "copy.md").write_bytes((root / "documents" / "kettle.md").read_bytes())
    groundtune.sync(root)
    found = groundtune.lineage("kettle.md", root=root, principals=STAFF, limit=0)
    assert path_to(found.led_to, "example:kettle-1") == ["read as", "cut into", "evidence for"]
    parse = found.led_to.nodes[0].id
    assert "board" not in str(found) + str(groundtune.lineage(parse, root=root, principals=STAFF, limit=0))
    assert "document:board/copy.md" in names(groundtune.lineage(parse, root=root, principals=BOARD, limit=0).came_from)


def test_an_erased_document_leaves_no_line(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    groundtune.sync(root)
    asked = groundtune.ask("Where is the kettle kept?", root=root, principals=STAFF, candidate="rag")
    weights = groundtune.train("tuned", root=root).weights
    assert groundtune.lineage(weights, root=root, principals=STAFF).came_from.nodes
    (root / "documents" / "kettle.md").unlink()
    groundtune.erase(["kettle.md"], root=root)
    for name in ("kettle.md", "kettle-1", f"document:kettle.md#{asked.context[0].rpartition('#')[2]}"):
        with pytest.raises(NotFound):
            groundtune.lineage(name, root=root, principals=BOARD)
    withdrawn = groundtune.lineage(weights, root=root, principals=STAFF).came_from
    assert withdrawn.about == "withdrawn: a document that it was learned from was erased"
    with Workspace.open(root) as workspace, workspace.database.connect() as connection:
        told = connection.exec_driver_sql("SELECT child, parent, relation FROM lineage").all()
    assert not [row for row in told if "kettle" in str(row)]


def test_a_name_of_two_things_asks_which(tmp_path: Path) -> None:
    root = write_firm(
        tmp_path, extra=[{"id": "kettle.md", "question": "A kettle?", "answers": ["yes"], "principals": ["staff"]}]
    )
    groundtune.sync(root)
    with pytest.raises(UsageError, match=r"document:kettle\.md, example:kettle\.md"):
        groundtune.lineage("kettle.md", root=root, principals=STAFF)
    assert groundtune.lineage("example:kettle.md", root=root, principals=STAFF).led_to.kind == "example"


def test_the_command_draws_a_tree(firm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lineage", "example:kettle-1", "-w", str(firm), "--as", "staff"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "example kettle-1"
    assert told[1] == "came from"
    assert told[2].startswith("└─ evidence in: chunk kettle.md#")
    assert "  └─ read from: document kettle.md  The kettle (md)" in "\n".join(told)
    assert run(["lineage", "example:kettle-1", "-w", str(firm), "--as", "staff", "--json"]) == 0
    assert '"came_from"' in capsys.readouterr().out


def test_a_large_sync_writes_lines_in_bulk(tmp_path: Path) -> None:
    """A line a parse and one a batch of vectors, whatever the number of chunks."""
    root = write_firm(tmp_path)
    groundtune.sync(root)
    with Workspace.open(root) as workspace, workspace.database.connect() as connection:
        lines = connection.exec_driver_sql("SELECT relation, count(*) FROM lineage GROUP BY relation").all()
    assert dict(lines) == {"parse": 7, "embed": 7}
