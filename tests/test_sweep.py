"""Retrieval settings chosen by evidence: halving, the choice, what each option is worth, and what a race makes of it."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import groundtune
from groundtune.answer import retrieval
from groundtune.answer.prompts import pack
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.cli.main import run
from groundtune.config import Config, load_config
from groundtune.config.write import with_keys
from groundtune.decision import choosing
from groundtune.decision.axes import Axis, Choice, axes_of, changed, settings_of
from groundtune.decision.bench import Bench, shown_share
from groundtune.decision.choosing import SWEEP, choose_settings
from groundtune.decision.halving import FEWEST, halve, rounds
from groundtune.decision.ledger import looks_before
from groundtune.decision.setup import Setup, documents_with_text, set_up
from groundtune.decision.sweep import Swept, sweep
from groundtune.errors import DataError
from groundtune.models.fake import FakeEmbedder
from groundtune.store.workspace import Workspace
from groundtune.types import Caller, Chunk, Evidence, Example, Hit
from tests.firm import CONFIG, rows, write_firm, write_questions

SQLITE = CONFIG + '[index]\nbackend = "sqlite"\n[retrieval]\nfusion = "ranks"\n'
FEW = (
    Axis("k", (("as it is", {}), ("1", {"retrieval": {"k": 1}}), ("8", {"retrieval": {"k": 8, "max_tokens": 2000}}))),
    Axis("weights", (("as it is", {}), ("text only", {"retrieval": {"vector_weight": 0.0}}))),
)

# --- halving ------------------------------------------------------------------------------------------------------------


def test_the_best_of_many_is_found_with_a_fraction_of_the_work() -> None:
    settings = [(str(number),) for number in range(81)]
    items = [str(number) for number in range(432)]
    asked = []

    def measure(some: Sequence[tuple[str, ...]], few: Sequence[str]) -> list[list[float]]:
        asked.append(len(some) * len(few))
        return [[int(setting[0]) / 100] * len(few) for setting in some]

    found, last = halve(settings, items, measure=measure)
    assert [rung.items for rung in found] == [16, 48, 144, 432]
    assert last[0] == ("80",)
    assert ("0",) in last  # what is set now stays to the end
    assert [(len(rung.settings), rung.items) for rung in found] == [(81, 16), (28, 48), (11, 144), (5, 432)]
    assert sum(asked) == sum(many * number for many, number in rounds(81, 432)) < 81 * 432 / 5


@pytest.mark.parametrize(("settings", "items"), [(1, 5), (2, 20), (5, 47), (108, 100), (9, 1000)])
def test_rounds_end_with_every_item_and_begin_with_enough(settings: int, items: int) -> None:
    found = rounds(settings, items)
    assert found[0][0] == settings
    assert found[-1][1] == items
    assert all(number >= min(FEWEST, items) for _, number in found)
    assert all(one[0] >= other[0] and one[1] < other[1] for one, other in itertools.pairwise(found))


def test_equal_settings_stay_in_their_order() -> None:
    names = [("b",), ("a",), ("c",)]
    assert halve(names, ["1"], measure=lambda some, items: [[0.5] * len(items) for _ in some])[1] == names


# --- configuration ------------------------------------------------------------------------------------------------------

TEXT = """\
model = "fake:echo"  # mine

[retrieval]
k = 3   # chunks
rrf_k = 60

[[access.rules]]
match = "**"
read = ["everyone"]
"""


def test_keys_change_and_every_other_line_stays() -> None:
    text = with_keys(TEXT, {"retrieval": {"k": 5, "text_weight": 2.0, "rrf_k": None}, "chunking": {"tokens": 120}})
    assert "k = 5   # chunks\n" in text
    assert "rrf_k" not in text
    assert "[chunking]\ntokens = 120" in text
    assert [line for line in TEXT.splitlines() if line not in text.splitlines()] == ["k = 3   # chunks", "rrf_k = 60"]


def test_what_is_chosen_is_checked_like_the_file() -> None:
    assert changed(Config(), {"retrieval": {"k": 7}}).retrieval.k == 7
    with pytest.raises(ValueError, match="k"):
        changed(Config(), {"retrieval": {"k": 0}})


def test_the_first_setting_is_the_present_one_and_none_comes_twice() -> None:
    for config in (Config(), changed(Config(), {"retrieval": {"k": 5, "text_weight": 2.0}, "chunking": {"tokens": 120}})):
        settings = settings_of(axes_of(config, embedder=FakeEmbedder("hash")))
        assert next(iter(settings.values())) == {}
        made = [changed(config, choice).model_dump_json() for choice in settings.values()]
        assert len(set(made)) == len(made)


def test_evidence_is_counted_by_the_character() -> None:
    example = Example("1", "?", ("x",), evidence=(Evidence("a", "q", ((0, 10), (20, 30))), Evidence("b", "q", ((0, 20),))))
    hits = [Hit(Chunk(f"{name}#{start}", name, "", start, end), "", 1.0) for name, start, end in (("a", 5, 25), ("b", 0, 5))]
    assert shown_share(example, hits) == (5 + 5 + 5) / 40
    twice = [*hits, Hit(Chunk("a#8", "a", "", 8, 23), "", 1.0), Hit(Chunk("b#5", "b", "", 5, 9), "", 1.0)]
    assert shown_share(example, twice) == (5 + 5 + 9) / 40
    assert shown_share(example, []) == 0
    assert shown_share(Example("1", "?", ("x",)), []) == 1


# --- a workspace --------------------------------------------------------------------------------------------------------


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    write_firm(tmp_path, config=SQLITE)
    with Workspace.open(tmp_path) as workspace:
        yield set_up(workspace, names=())


def test_the_cheapest_setting_that_shows_as_much_is_chosen(setup: Setup) -> None:
    rows = list(documents_with_text(setup.workspace).values())
    shown: list[tuple[int, int]] = []
    found = sweep(
        setup.workspace,
        examples=setup.task.examples,
        rows=rows,
        embedder=setup.workshop.embedder,
        count=setup.workshop.model("fake:extract"),
        axes=FEW,
        progress=lambda stage, done, total: shown.append((done, total)) if stage == "sweep" else None,
    )
    by_option = {(one.axis, one.option): one for one in found.worth}
    assert [one.option for one in found.worth if one.chosen] == ["1" if by_option["k", "1"].chosen else "as it is", "as it is"]
    assert by_option["k", "8"].evidence >= by_option["k", "1"].evidence
    assert by_option["k", "8"].tokens > 2 * by_option["k", "1"].tokens
    assert found.tokens_after <= found.tokens_before
    assert found.questions == 23  # all but the unanswerable one
    assert all((one.interval is None) == one.chosen for one in found.worth)
    assert shown[-1][0] == shown[-1][1]
    assert not [path for path in setup.workspace.state.iterdir() if path.name.startswith("tmp")]


def test_settings_measured_together_get_what_each_gets_by_itself(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, embedder, count = setup.workspace, setup.workshop.embedder, setup.workshop.model("fake:extract")
    documents = list(documents_with_text(workspace).values())
    options = {
        "k": (1, 4),
        "neighbours": (0, 1),
        "max_tokens": (20, 600),
        "fusion": ("ranks", "scores"),
        "text_weight": (1.0, 3.0),
    }
    choices: list[Choice] = [
        {"chunking": cut, "retrieval": dict(zip(options, values, strict=True))}
        for cut in ({"tokens": 40}, {"method": "parent", "tokens": 20, "parent_tokens": 60})
        for values in itertools.product(*options.values())
    ]
    asked = [one for one in setup.task.examples if any(evidence.spans for evidence in one.evidence)][::6]
    ids = [one.id for one in asked]

    def bench(folder: str) -> Bench:
        place = workspace.state / folder
        return Bench(workspace, asked, documents, embedder, count, None, None, place, 1, None)

    ranked: list[str] = []
    rank = retrieval.rank
    monkeypatch.setattr(
        retrieval, "rank", lambda question, *rest, **named: ranked.append(question) or rank(question, *rest, **named)
    )
    together = bench("together").results(choices, ids)
    assert len(ranked) == 2 * 2 * 2 * len(asked)  # chunking, fusion and weight; not k, neighbours and budget
    alone = bench("alone")
    assert (together == [alone.results([choice], ids)[0] for choice in choices]).all()
    assert len({tuple(row) for row in together.reshape(-1, 2).tolist()}) >= 8  # they do differ
    for choice, row in zip(choices[:32:3], together[:32:3], strict=True):
        view = copy.copy(workspace)
        view.config = changed(workspace.config, choice)
        settings = view.config.retrieval
        for example, (share, tokens) in zip(asked, row, strict=True):
            hits = WorkspaceRetriever(view, embedder=embedder).search(
                example.question, caller=Caller.of(*example.principals), k=settings.k
            )
            shown = pack(hits, count_tokens=count.count_tokens, max_tokens=settings.max_tokens)
            assert (share, tokens) == (
                shown_share(example, shown),
                sum(count.count_tokens(hit.chunk.text) for hit in shown),
            )


def test_too_few_questions_with_evidence_choose_nothing(setup: Setup) -> None:
    with pytest.raises(DataError, match="3 questions with evidence are too few"):
        sweep(
            setup.workspace,
            examples=[one for one in setup.task.examples if one.evidence][:3],
            rows=[],
            embedder=setup.workshop.embedder,
            count=setup.workshop.model("fake:extract"),
        )


def test_the_command_tells_writes_and_counts_as_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("groundtune.decision.sweep.axes_of", lambda config, embedder: FEW)
    root = write_firm(tmp_path, config=SQLITE + "k = 6\n")
    assert run(["sweep", "-w", str(root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sealed"], told["written"]) == (False, False)
    assert load_config(root / "groundtune.toml").retrieval.k == 6
    assert run(["sweep", "-w", str(root), "--write"]) == 0
    printed = capsys.readouterr()
    assert "k = 1" in printed.out
    assert "a further look" in printed.err
    assert load_config(root / "groundtune.toml").retrieval.k == told["swept"]["changes"]["retrieval"]["k"] == 1
    with Workspace.open(root) as workspace:
        assert looks_before(workspace, fingerprint=set_up(workspace, names=()).task.fingerprint) == 2


def test_a_race_chooses_on_questions_that_it_does_not_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundtune.decision.sweep.axes_of", lambda config, embedder: FEW)
    root = write_firm(tmp_path, config=SQLITE.replace("[decision]\n", "[decision]\nsweep = true\n") + "k = 6\n")
    many = [
        row | {"id": f"{row['id']}-{copy}", "question": f"Please, number {copy}: {row['question']}"}
        for row in rows()
        for copy in range(13)
    ]
    write_questions(root / "questions.jsonl", many)
    before = load_config(root / "groundtune.toml")
    asked: list[set[str]] = []
    chosen: list[Swept] = []

    def watched(setup: Setup, **options: object) -> Swept:
        asked.append({one.id for one in choosing.free_questions(setup)})
        chosen.append(choose_settings(setup, **options))
        return chosen[0]

    monkeypatch.setattr("groundtune.decision.decide.choose_settings", watched)
    decision = groundtune.decide(root, candidates=["rag"])
    assert decision.report is not None
    scored = {json.loads(line)["item"] for line in (root / decision.report["scores"]).read_text().splitlines()}
    assert asked
    assert not asked[0] & scored
    assert chosen[0].changes
    assert load_config(root / "groundtune.toml") == changed(before, chosen[0].changes)
    assert any(note.startswith("Retrieval settings were chosen on") for note in decision.report["notes"])
    (stage,) = (stage for stage in decision.report["stages"] if stage["candidate"] == SWEEP)
    assert stage["measured_seconds"] > 0


def test_without_a_sealed_part_the_plan_says_why_nothing_is_chosen(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=SQLITE.replace("[decision]\n", "[decision]\nsweep = true\n"))
    plan = groundtune.decide(root, candidates=["rag"], plan_only=True).plan
    assert any(left.candidate == SWEEP and "every question is scored" in left.reason for left in plan.left_out)


def test_a_race_without_free_questions_ends_with_its_report_and_says_why_nothing_was_chosen(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=SQLITE.replace("[decision]\n", "[decision]\nsweep = true\n"))
    report = groundtune.decide(root, candidates=["prompt", "rag"]).report
    assert report is not None
    assert {one["name"] for one in report["candidates"]} == {"prompt", "rag"}
    (why,) = (left["reason"] for left in report["plan"]["left_out"] if left["candidate"] == SWEEP)
    assert why.startswith("every question is scored")
