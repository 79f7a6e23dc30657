"""What was learned from a document is withdrawn with it, in the same transaction, and whoever uses it refuses at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

import groundtune
from groundtune.access.audience import conjoin
from groundtune.access.learned import UsersNow, enter, losses, refuse_withdrawn, withdraw_erased
from groundtune.access.register import AccessRegister
from groundtune.candidates.build import build, training_pairs, tune
from groundtune.candidates.open import find_weights, remember_weights, weights_folder
from groundtune.candidates.standard import standard_candidate
from groundtune.cli.main import run
from groundtune.dataset.check import audience_of_example
from groundtune.dataset.findings import Gate
from groundtune.dataset.gate import check_dataset
from groundtune.dataset.kept import keep, manifest_of
from groundtune.decision.setup import Setup, set_up
from groundtune.errors import DataError, Withdrawn
from groundtune.store.database import Database
from groundtune.store.tables import learned, weights
from groundtune.store.workspace import Workspace
from groundtune.types import EVERYONE, NOBODY, Audience, Caller, Evidence, Example
from groundtune.verbs.knowledge import open_assistant
from tests.firm import THINGS, write_firm

STAFF, BOTH = Audience.of("staff"), Audience(frozenset({frozenset({"staff"}), frozenset({"board"})}))
NAMES = ("a.md", "b.md", "c.md")
principals = st.sampled_from(["a", "b", "c", EVERYONE])
some_audiences = st.builds(
    Audience, st.frozensets(st.frozensets(principals, max_size=3), max_size=3), st.frozensets(principals, max_size=1)
)
names = st.sampled_from(NAMES)
CALLERS = [Caller.of(*held) for size in range(4) for held in combinations("abc", size)]
"""Every caller there is over the few principals."""


def reads(audience: Audience, caller: Caller) -> bool:
    """The definition, one principal at a time."""
    met = [any(principal in clause for principal in caller.principals) for clause in audience.clauses]
    return len(met) > 0 and False not in met and not [p for p in caller.principals if p in audience.denied]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.at(tmp_path / "groundtune.db")
    yield opened
    opened.close()


def learn(database: Database, artefact: str, *documents: str, audience: Audience = STAFF) -> None:
    with database.begin() as connection:
        enter(database, connection, artefact, audience=audience, documents=documents)


def withdrawn(database: Database, artefact: str) -> bool:
    with database.connect() as connection:
        try:
            refuse_withdrawn(connection, artefact)
        except Withdrawn:
            return True
    return False


# --- the rule -----------------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    first=st.fixed_dictionaries(dict.fromkeys(NAMES, some_audiences)),
    made_of=st.frozensets(names, max_size=3),
    steps=st.lists(st.dictionaries(names, some_audiences, max_size=3), max_size=3),
)
def test_withdrawn_as_soon_as_somebody_who_could_read_a_document_then_may_not_any_more(
    database: Database, first: dict[str, Audience], made_of: frozenset[str], steps: list[dict[str, Audience]]
) -> None:
    register = AccessRegister(database)
    register.assign(first)
    learn(database, "weights:x", *made_of, audience=conjoin([first[name] for name in made_of]))
    lost: set[str] = set()
    for step in steps:
        register.assign(step)
        lost |= {
            name
            for name in made_of & step.keys()
            if any(reads(first[name], one) and not reads(step[name], one) for one in CALLERS)
        }
        with database.connect() as connection:
            assert {loss.document for loss in losses(connection).get("weights:x", ())} == lost
        assert withdrawn(database, "weights:x") == bool(lost)


def test_widening_withdraws_nothing_and_each_kind_of_narrowing_does(database: Database) -> None:
    register = AccessRegister(database)
    register.assign({"a.md": STAFF, "b.md": STAFF})
    learn(database, "weights:both", "a.md", "b.md")
    learn(database, "dataset:b", "b.md")
    for wider in (Audience.of("staff", "guests"), Audience.of(EVERYONE), STAFF):
        register.assign({"a.md": wider})
        assert not withdrawn(database, "weights:both")
    register.assign({"b.md": BOTH})
    assert withdrawn(database, "weights:both") and withdrawn(database, "dataset:b")
    register.assign({"a.md": NOBODY}, deleted=["a.md"])
    with database.connect() as connection:
        found = losses(connection)
    assert [(one.document, one.change, one.before, one.after) for one in found["weights:both"]] == [
        ("b.md", "narrowed", STAFF, BOTH),
        ("a.md", "deleted", STAFF, NOBODY),
    ]
    assert [one.document for one in found["dataset:b"]] == ["b.md"]
    register.assign({"b.md": STAFF})
    assert withdrawn(database, "dataset:b"), "it stays so until it is made again"
    learn(database, "dataset:b", "b.md")
    assert not withdrawn(database, "dataset:b")


def test_the_change_and_the_withdrawal_are_one_transaction(database: Database) -> None:
    register = AccessRegister(database)
    register.assign({"a.md": STAFF})
    learn(database, "weights:x", "a.md")
    commits: list[int] = []
    event.listen(database.engine, "commit", lambda _: commits.append(1))
    register.assign({"a.md": BOTH})
    assert len(commits) == 1 and withdrawn(database, "weights:x")


def test_what_narrowed_before_it_was_entered_is_refused(database: Database) -> None:
    AccessRegister(database).assign({"a.md": BOTH, "b.md": STAFF})
    for document in ("a.md", "unknown.md"):
        with pytest.raises(DataError, match="changed while it was being learned from"):
            learn(database, "weights:x", "b.md", document)
    with database.connect() as connection:
        assert connection.execute(select(learned)).all() == []


def test_the_cost_of_many_changes_is_a_query_for_five_hundred(database: Database) -> None:
    register = AccessRegister(database)
    many = [f"{number}.md" for number in range(10_000)]
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _u, statement, *_: statements.append(statement))

    def counted(audience: Audience) -> int:
        before = len(statements)
        register.assign(dict.fromkeys(many, audience))
        return len(statements) - before

    register.assign(dict.fromkeys(many, STAFF))
    nothing_learned = counted(Audience.of("x"))
    counted(STAFF)
    learn(database, "weights:all", *many)
    assert counted(BOTH) - nothing_learned <= 10_000 / 500 + 5
    with database.connect() as connection:
        assert len(losses(connection)["weights:all"]) == 10_000


def test_an_erased_document_is_not_even_named(database: Database) -> None:
    register = AccessRegister(database)
    register.assign({"a.md": STAFF, "b.md": STAFF})
    learn(database, "weights:x", "a.md", "b.md")
    register.assign({"a.md": NOBODY}, deleted=["a.md"])
    assert withdraw_erased(database, ["a.md"], made_of=["dataset:old"]) == ("dataset:old", "weights:x")
    with database.connect() as connection:
        found = losses(connection)
    assert {artefact: [(one.document, one.change) for one in lost] for artefact, lost in found.items()} == {
        "dataset:old": [("", "erased")],
        "weights:x": [("", "erased")],
    }
    users = UsersNow(database, "weights:x", audience=STAFF, documents=["b.md"])
    with pytest.raises(Withdrawn, match="a document that it was learned from was erased"):
        users()


def test_users_are_those_of_now_and_a_row_set_by_hand_counts(database: Database) -> None:
    register = AccessRegister(database)
    register.assign({"a.md": STAFF})
    users = UsersNow(database, "weights:x", audience=STAFF, documents=["a.md"])
    assert users() == STAFF
    register.assign({"a.md": BOTH})
    assert users() == BOTH, "never entered, and asked all the same"
    assert UsersNow(database, "weights:x", audience=STAFF, documents=["unknown.md"])() == NOBODY
    row = {"id": "x", "path": "x", "audience": "{}", "status": "withdrawn", "reason": "told to", "created": 0.0}
    with database.begin() as connection:
        connection.execute(weights.insert().values(row))
    with pytest.raises(Withdrawn, match="withdrawn: told to"):
        users()


def test_what_was_made_before_this_was_kept_is_brought_in(tmp_path: Path) -> None:
    path = tmp_path / "groundtune.db"
    first = Database.at(path)
    AccessRegister(first).assign({"a.md": STAFF})
    first.close()
    with sqlite3.connect(path) as raw:
        raw.executescript(
            """
            DROP TABLE learned; DROP TABLE withdrawals; UPDATE alembic_version SET version_num = '0002';
            INSERT INTO weights VALUES ('kept', 'w', '{}', 'ready', '', 0), ('lost', 'w', '{}', 'ready', '', 0);
            INSERT INTO lineage VALUES ('weights:kept', 'document:a.md', 'tuned on'),
              ('weights:lost', 'document:a.md', 'tuned on'), ('weights:lost', 'document:gone.md', 'tuned on'),
              ('parse', 'document:a.md', 'read');
            """
        )
    raw.close()
    again = Database.at(path)
    assert (withdrawn(again, "weights:kept"), withdrawn(again, "weights:lost")) == (False, True)
    with again.connect() as connection:
        assert {row.artefact for row in connection.execute(select(learned))} == {"weights:kept", "weights:lost"}
        assert connection.scalar(select(weights.c.status).where(weights.c.id == "lost")) == "withdrawn"
        assert [loss.document for loss in losses(connection)["weights:lost"]] == ["gone.md"]
    AccessRegister(again).assign({"a.md": BOTH})
    assert withdrawn(again, "weights:kept")
    again.close()


# --- what enters --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    read_by=st.fixed_dictionaries(dict.fromkeys(NAMES, some_audiences)),
    evidence=st.lists(st.frozensets(names, max_size=2), min_size=1, max_size=8),
    users=st.lists(st.sampled_from(CALLERS), min_size=1, max_size=3),
)
def test_no_dataset_holds_what_some_user_may_not_read(
    read_by: dict[str, Audience], evidence: list[frozenset[str]], users: list[Caller]
) -> None:
    examples = [
        Example(f"e{n}", f"What is thing {n * 7919}?", (f"{n * 104729}",), evidence=tuple(Evidence(name, "q") for name in some))
        for n, some in enumerate(evidence)
    ]
    gate = Gate(
        may_train=lambda _: "",
        audience_of=lambda one: audience_of_example(one, read_by.__getitem__),
        users=tuple(users),
        personal_kinds=(),
    )
    for kept in check_dataset(examples, gate=gate).kept:
        assert kept.evidence, "without evidence and asker nothing says who may see it"
        assert all(reads(read_by[one.document], user) for one in kept.evidence for user in users)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    with Workspace.open(write_firm(tmp_path_factory.mktemp("firm"))) as workspace:
        yield set_up(workspace, names=["tuned", "rag_tuned"])


FIRM = [*(f"{thing}.md" for thing in THINGS), "board/plans.md"]


@settings(deadline=None, max_examples=15)
@given(
    read_by=st.lists(some_audiences, min_size=len(FIRM), max_size=len(FIRM)),
    users=st.lists(principals, min_size=1, max_size=2, unique=True),
    name=st.sampled_from(["tuned", "rag_tuned"]),
)
def test_no_training_pair_holds_what_some_user_may_not_read(
    ready: Setup, read_by: list[Audience], users: list[str], name: str
) -> None:
    truth = dict(zip(FIRM, read_by, strict=True))
    AccessRegister(ready.workspace.database).assign(truth)
    workshop = replace(ready.workshop, trained_for=tuple(users))
    candidate = standard_candidate(name, config=ready.workspace.config)
    try:
        pairs = training_pairs(candidate, workshop=workshop, train_examples=ready.task.examples, seed=0)
    except DataError:  # nothing that all of them may read
        return
    words = {"board/plans.md": "Plan 1"} | {f"{thing}.md": f"The {thing}" for thing in THINGS}
    for pair in pairs.pairs:
        shown = " ".join(message.content for message in pair.messages)
        for document, word in words.items():
            if not all(reads(truth[document], Caller.of(user)) for user in users):
                assert document not in pair.documents and word not in shown
        assert all(reads(pairs.audience, Caller.of(user)) for user in users)


# --- who uses it --------------------------------------------------------------------------------------------------------


def narrow(root: Path, name: str) -> None:
    (root / "documents" / f"{name}.access.toml").write_text('read = [["staff"], ["board"]]\n', encoding="utf-8")


def test_open_assistants_refuse_at_once_and_training_again_goes_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, question, staff = write_firm(tmp_path), "Where is the kettle kept?", Caller.of("staff")
    first = groundtune.train("tuned", root=root)
    assert first.audience == STAFF
    with Workspace.open(root) as here, Workspace.open(root) as elsewhere:
        assistants = [open_assistant(workspace, candidate="tuned") for workspace in (here, elsewhere)]
        assert {assistant.ask(question, caller=staff).text for assistant in assistants} == {"in the attic"}
        narrow(root, "kettle.md")
        groundtune.sync(root)
        for assistant in assistants:
            for caller in (staff, Caller.of("staff", "board")):
                with pytest.raises(Withdrawn) as caught:
                    assistant.ask("Where is the ladder kept?", caller=caller)
                assert "may be read by fewer" in str(caught.value) and "groundtune train" in caught.value.remedy
                assert "kettle" not in str(caught.value), "whoever asks need not be allowed to know of it"
        with pytest.raises(Withdrawn):
            open_assistant(here, candidate="tuned")
    assert run(["ask", question, "--candidate", "tuned", "--as", "staff", "-w", str(root)]) == 6
    capsys.readouterr()
    assert run(["learned", "-w", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "kettle.md was narrowed" in shown and "staff; now board and staff" in shown

    second = groundtune.train("tuned", root=root)
    assert second.weights != first.weights and second.left_out == first.left_out + 3
    assert (
        groundtune.ask("Where is the ladder kept?", root=root, candidate="tuned", principals=["staff"]).text
        == "in the basement"
    )
    (root / "documents" / "ladder.md").unlink()
    groundtune.sync(root)
    with pytest.raises(Withdrawn, match="was deleted"):
        groundtune.ask("Where is the printer kept?", root=root, candidate="tuned", principals=["staff"])
    assert run(["learned", second.weights, "--json", "-w", str(root)]) == 0
    (one,) = json.loads(capsys.readouterr().out)["learned"]
    assert [(loss["document"], loss["change"]) for loss in one["losses"]] == [("ladder.md", "deleted")]
    assert one["audience"] == {"clauses": [["staff"]], "denied": []} and "printer.md" in one["documents"]
    assert run(["learned", "unknown", "-w", str(root)]) == 4
    assert groundtune.compact(root).weights == 2
    assert list((root / ".groundtune" / "weights").iterdir()) == []
    assert groundtune.compact(root).weights == 0


def test_weights_whose_document_narrows_while_they_are_trained_are_never_ready(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    groundtune.sync(root)

    def narrowing(stage: str, *_: Any) -> None:
        if stage == "train":
            with Workspace.open(root) as elsewhere:
                AccessRegister(elsewhere.database).assign({"kettle.md": BOTH})

    with pytest.raises(Withdrawn):
        groundtune.train("tuned", root=root, progress=narrowing)
    with Workspace.open(root) as workspace, workspace.database.connect() as connection:
        assert connection.execute(select(weights)).all() == []


def test_a_race_does_not_go_on_with_withdrawn_weights(tmp_path: Path) -> None:
    root = write_firm(tmp_path)

    def narrowing(stage: str, *_: Any) -> None:
        if stage.startswith("answer tuned"):
            with Workspace.open(root) as elsewhere:
                AccessRegister(elsewhere.database).assign({"kettle.md": BOTH})

    with pytest.raises(Withdrawn, match="groundtune train"):
        groundtune.decide(root, candidates=["prompt", "tuned"], progress=narrowing)
    narrow(root, "kettle.md")
    assert groundtune.decide(root, candidates=["prompt", "tuned"]).verdict is not None


def test_an_answer_that_was_being_written_does_not_leave(ready: Setup) -> None:
    workspace = ready.workspace
    AccessRegister(workspace.database).assign(dict.fromkeys(FIRM, STAFF))
    workshop = replace(ready.workshop, trained_for=("staff",))
    recipe = standard_candidate("tuned", config=workspace.config)
    made = tune(recipe, workshop=workshop, train_examples=ready.task.examples, folder=weights_folder(workspace), seed=3)
    remember_weights(workspace, made)
    assert find_weights(workspace, made.id).documents == made.documents
    pieces = build(recipe, workshop=workshop, train_examples=(), weights=made).stream(
        "Where is the kettle kept?", caller=Caller.of("staff")
    )
    next(pieces)
    AccessRegister(workspace.database).assign({"kettle.md": BOTH})
    with pytest.raises(Withdrawn):
        list(pieces)


def test_a_dataset_is_withdrawn_and_may_be_gathered_again(tmp_path: Path) -> None:
    with Workspace.open(write_firm(tmp_path)) as workspace:
        register = AccessRegister(workspace.database)
        register.assign({"kettle.md": STAFF})
        about: dict[str, Any] = {"manifest": {"documents": ["kettle.md"]}, "rows": [{"id": "1"}], "audience": STAFF}
        id = keep(workspace, documents=["kettle.md"], **about)
        assert manifest_of(workspace, id)["documents"] == ["kettle.md"]
        register.assign({"kettle.md": BOTH})
        with pytest.raises(Withdrawn, match="groundtune dataset check"):
            manifest_of(workspace, id)
        with pytest.raises(DataError):
            keep(workspace, documents=["kettle.md"], **about)
        groundtune.compact(workspace.root)
        assert not workspace.artefacts.path(id).exists()
        register.assign({"kettle.md": STAFF})
        assert keep(workspace, documents=["kettle.md"], **about) == id
        assert manifest_of(workspace, id)["documents"] == ["kettle.md"]
