"""The search inside a candidate's share: what is varied, on which items, who writes instructions, and what remains of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import groundtune
from groundtune.answer.neighbours import Neighbours
from groundtune.candidates.recipes import candidate_named
from groundtune.config import load_config
from groundtune.decision import searching
from groundtune.decision.plan import Budget
from groundtune.decision.proposing import PROPOSED, SHOWN, usable
from groundtune.decision.report import SCHEMA
from groundtune.decision.searching import RECORD, SEARCH, Searched, name_of, search, search_one, search_stages, told
from groundtune.decision.setup import plan_race, set_up
from groundtune.decision.variants import PRESENT, instructions_of, variants_of
from groundtune.errors import ConfigError, DataError, ModelFailure
from groundtune.evaluation.evaluate import evaluate
from groundtune.interfaces import LanguageModel
from groundtune.models.fake import FakeEmbedder, FakeModel
from groundtune.store.workspace import Workspace
from groundtune.types import Candidate, Example, Generation, Message, NearestExamples, Score

CONFIG = """\
model = "fake:extract"
embedder = "fake:hash"
documents = ""
metric = "exact_match"
[access]
{access}
[examples]
k = 1
[decision]
search = true
candidates = ["prompt", "few_shot"]
latency_requests = 2
"""
SINGLE, STAFF = "single = true", 'questions = ["staff"]'
Rows = list[dict[str, Any]]


def misleading() -> Rows:
    """Half of the questions repeat the word of a partner that has another answer. By counted words, as the embedder sees
    it, the partner is nearest; by shared words, as the model sees it, a short question about the same colour is."""
    colours = ("amber", "black", "coral", "denim")
    pairs = [(f"{f'zone{n // 2} ' * 3}{colours[n % 4]} a{n}", colours[n % 4]) for n in range(160)]
    short = [(f"{colours[n % 4]} b{n}", colours[n % 4]) for n in range(160)]
    return [{"question": question, "answers": [answer]} for question, answer in [*pairs, *short]]


def workspace(root: Path, questions: Rows, *, access: str = SINGLE, more: str = "", model: str = "extract") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "groundtune.toml").write_text(CONFIG.format(access=access).replace("extract", model, 1) + more, encoding="utf-8")
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
    return root


def instruction(root: Path, name: str, text: str) -> None:
    (root / "instructions").mkdir(exist_ok=True)
    (root / "instructions" / name).write_text(text, encoding="utf-8")


def always_yes(root: Path, *, more: str = "", **given: Any) -> Path:
    """An echo repeats its whole prompt, so that an instruction scores by holding the answer."""
    questions = [{"question": f"is number {n} there?", "answers": ["surely so"]} for n in range(320)]
    path = workspace(root, questions, model="echo", more=more, **given)
    toml = (path / "groundtune.toml").read_text(encoding="utf-8").replace("exact_match", "contains")
    (path / "groundtune.toml").write_text(toml, encoding="utf-8")
    return path


def decide(root: Path, **given: Any) -> dict[str, Any]:
    report = groundtune.decide(root, **given).report
    assert report is not None
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return report


def test_examples_are_chosen_on_the_dev_part_and_used_in_the_race(tmp_path: Path) -> None:
    root = workspace(tmp_path, misleading(), more="test_questions = 20\n")
    report = decide(root)
    (note,) = (note for note in report["notes"] if note.startswith("few_shot:"))
    assert "7 variants were compared on 32 questions of the dev part" in note
    assert "Chosen: examples 4 spread; 0.500 before and 1.000 after" in note
    assert "examples 4 nearest 0.969 (32)" in note and "as it is 0.500 (32)" in note
    raced = {one["name"]: one for one in report["candidates"]}
    assert raced["few_shot"]["recipe"]["examples"] == {"k": 4, "choice": "spread"}
    assert raced["few_shot"]["metrics"]["exact_match"] == 1.0
    (stage,) = (stage for stage in report["stages"] if stage["stage"] == "search")
    assert stage["candidate"] == "few_shot" and stage["planned_seconds"] > 0
    config = load_config(root / "groundtune.toml")  # so that ask shows the same examples
    assert candidate_named("few_shot", config=config).examples == NearestExamples(4, "spread")
    (record,) = json.loads((root / report["scores"]).with_name(RECORD).read_text(encoding="utf-8"))
    assert record["chosen"] == ["4 spread", PRESENT] and record["questions"] == 32


class Writer(FakeModel):
    """Says what it was made with, and keeps what it was asked."""

    def __init__(self, *said: str, fails: bool = False) -> None:
        super().__init__("echo")
        self.said, self.fails, self.asked = said, fails, ""
        self.fingerprint = f"writer {said} {fails}"

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        if self.fails:
            raise ModelFailure("the server is down.", subject="openai:big")
        self.asked = conversations[0][-1].content
        return [Generation("\n".join(f"Instruction: {text}" for text in self.said))]


def searched(root: Path, *, writer: LanguageModel | None = None, name: str = "prompt") -> Searched:
    with Workspace.open(root) as opened:
        setup = set_up(opened, names=[name])
        return search_one(setup, setup.candidates[0], instructions=instructions_of(opened), writer=writer)


def test_an_instruction_from_a_file_is_raced_on_dev_items_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = always_yes(tmp_path, more='instructions = ["instructions/*.md"]\n')
    instruction(root, "good.md", "Say surely so.\n")
    instruction(root, "vain.md", "Say no.\n")
    asked: set[str] = set()

    def watched(respondent: Any, examples: Sequence[Example], **given: Any) -> list[Score]:
        asked.update(one.id for one in examples)
        return evaluate(respondent, examples, **given)

    monkeypatch.setattr(searching, "evaluate", watched)
    with Workspace.open(root) as opened:
        setup = set_up(opened, names=["prompt"])
        stages, left_out = search_stages(setup)
        assert list(stages) == [name_of("prompt")] and not left_out
        plan = plan_race(setup, budget=None, others=stages)
        short = sum(stage.seconds for stage in plan.stages if stage.name != "search") + 1e-6
        without = plan_race(setup, budget=Budget(short, "seconds", "short"), others=stages)
        assert [one.candidate for one in without.left_out if one.candidate == name_of("prompt")]
        assert search(setup, without, record=tmp_path / RECORD) == (setup, ())
        chosen, (found,) = search(setup, plan, record=tmp_path / RECORD)
        task = setup.task
        assert asked == set(task.dev)
        assert not asked & {*task.test_ids, *task.folds[0].train}
        assert chosen.candidates[0].instruction == "Say surely so." == opened.config.chosen["prompt"].instruction
        again, _ = search(set_up(opened, names=["prompt"]), plan, record=tmp_path / RECORD)
        assert again.candidates == chosen.candidates  # an earlier choice changes nothing
    assert found.chosen == (PRESENT, "instructions/good.md") and (found.present, found.score) == (0.0, 1.0)
    assert "Say surely so" not in told(found)
    assert load_config(root / "groundtune.toml").chosen["prompt"].instruction == "Say surely so."


def test_what_is_not_better_is_not_taken_and_an_old_choice_goes(tmp_path: Path) -> None:
    more = 'instructions = ["instructions/vain.md"]\n[chosen.prompt]\ninstruction = "Say maybe."\n'
    root = always_yes(tmp_path, more=more)
    instruction(root, "vain.md", "Say no.")
    with Workspace.open(root) as opened:
        setup = set_up(opened, names=["prompt"])
        assert setup.candidates[0].instruction == "Say maybe."
        stages, _ = search_stages(setup)
        chosen, (found,) = search(setup, plan_race(setup, budget=None, others=stages), record=tmp_path / RECORD)
    assert found.chosen == (PRESENT, PRESENT) and "It stays as it is" in told(found)
    assert chosen.candidates[0].instruction == "" and not load_config(root / "groundtune.toml").chosen


def test_a_metric_that_applies_to_nothing_changes_nothing(tmp_path: Path) -> None:
    root = always_yes(tmp_path)
    toml = (root / "groundtune.toml").read_text(encoding="utf-8")
    (root / "groundtune.toml").write_text(toml.replace('"contains"', '"citation_precision"'), encoding="utf-8")
    found = searched(root, writer=Writer("Say no."))
    assert found.chosen == (PRESENT, PRESENT) and found.present == found.score == 0.0
    assert found.proposals is not None and found.proposals.shown == 0


@pytest.mark.parametrize(
    ("access", "more", "shown"),
    [
        (SINGLE, "", SHOWN),
        (STAFF, '[training]\naudience = ["staff"]\n', 0),  # nobody is named as a reader of the report
        (STAFF, 'report_audience = ["staff"]\n', 0),  # everyone uses what is learned
        (STAFF, 'report_audience = ["guest"]\n[training]\naudience = ["staff"]\n', 0),
        (STAFF, 'report_audience = ["staff"]\n[training]\naudience = ["staff"]\n', SHOWN),
    ],
)
def test_a_proposer_sees_what_all_users_and_readers_may_read(tmp_path: Path, access: str, more: str, shown: int) -> None:
    writer = Writer("Say surely so, always.", "Say no.")
    found = searched(always_yes(tmp_path, access=access, more=more), writer=writer)
    assert writer.asked.count("Input: is number") == writer.asked.count("Expected: surely so") == shown
    assert ("is number" in writer.asked) == (shown > 0) and "contains" in writer.asked
    proposals = found.proposals
    assert proposals is not None and (proposals.shown, proposals.withheld) == (shown, 0 if shown else found.questions)
    if shown:  # the answer stands in what it saw, so that an instruction that holds it is not taken
        assert proposals.instructions == ("Say no.",) and proposals.refused == ("it repeats what its writer was shown",)
    else:
        assert found.chosen == (PRESENT, "proposed 1") and found.score == 1.0


def test_a_proposer_that_fails_costs_nothing_but_its_proposals(tmp_path: Path) -> None:
    found = searched(always_yes(tmp_path), writer=Writer(fails=True))
    assert found.proposals is not None and "the server is down" in found.proposals.refused[0]
    assert found.chosen == (PRESENT, PRESENT) and "the server is down" in told(found)


def test_what_of_a_reply_is_an_instruction() -> None:
    lines = [
        "Sure:",
        "Instruction: Be brief.",
        '2. **Instruction 2:** "Be brief!"',
        "instruction: Copy the label.",
        "Instruction:  ",
    ]
    long = "Instruction: " + "word " * 90
    leak = "Instruction: Where the blue kettle is kept today matters."
    kept, refused = usable(
        "\n".join([*lines, long, leak]), shown=["Tell me where the blue kettle is kept", "no"], known=["Copy the label"]
    )
    assert kept == ("Be brief.",)
    assert sorted(refused) == [
        "it has more than 80 words",
        "it repeats what its writer was shown",
        "it was there already",
        "it was there already",
    ]
    many = "\n".join(f"Instruction: number {n}" for n in range(9))
    assert len(usable(many, shown=[], known=[])[0]) == PROPOSED
    assert usable("I cannot.", shown=[], known=[]) == ((), ("the reply holds no instruction",))


def test_why_there_is_no_search(tmp_path: Path) -> None:
    few = workspace(tmp_path / "few", misleading()[::8])
    with Workspace.open(few) as opened:
        _, (left,) = search_stages(set_up(opened, names=["few_shot"]))
    assert left.candidate == SEARCH and "every question is scored" in left.reason
    with Workspace.open(workspace(tmp_path / "idle", misleading())) as opened:
        _, (left,) = search_stages(set_up(opened, names=["prompt"]))
    assert left.reason == "no candidate has examples, and no instructions are given"
    report = decide(few, candidates=["prompt"])
    assert {"candidate": SEARCH, "reason": report["plan"]["left_out"][0]["reason"]} in report["plan"]["left_out"]


def test_variants_are_all_combinations_and_the_first_is_the_present(tmp_path: Path) -> None:
    candidate = Candidate("few_shot", "fake:echo", examples=NearestExamples(3))
    variants = variants_of(candidate, {"a": "Do a.", "b": "Do b.", "same": ""})
    assert len(variants) == 8 * 3 and next(iter(variants.items())) == ((PRESENT, PRESENT), candidate)
    assert len(set(variants.values())) == len(variants)
    assert (
        variants["8 spread", "b"].examples == NearestExamples(8, "spread") and variants["8 spread", "b"].instruction == "Do b."
    )


def test_spread_takes_one_of_each_answer_and_group_first() -> None:
    def example(n: int, answer: str, group: str = "") -> Example:
        return Example(f"{n}", "red " * (9 - n) + "blue " * n, (answer,), group=group or f"g{n}")

    given = [example(0, "a"), example(1, "a"), example(2, "b", "g0"), example(3, "c"), example(4, "d")]
    near = Neighbours(given, embedder=FakeEmbedder("hash"), readable=lambda one, _: one.id != "4")

    def shown(k: int, *, spread: bool) -> list[str]:
        return [one.id for one in near.nearest("red", principals=frozenset(), k=k, spread=spread)]

    assert shown(2, spread=False) == ["1", "0"]
    assert shown(2, spread=True) == ["3", "0"]
    assert shown(3, spread=True) == ["3", "1", "0"]  # nobody else is left: the nearest fills up
    assert shown(9, spread=True) == shown(9, spread=False) == ["3", "2", "1", "0"]


def test_the_standard_error_keeps_groups_whole() -> None:
    differences = np.array([1.0, 0.0, 0.0, -1.0, 1.0, 1.0])
    alone = searching._standard_error(differences, list("abcdef"))
    assert alone == pytest.approx(differences.std(ddof=1) / np.sqrt(6))
    doubled = searching._standard_error(np.repeat(differences, 2), [name for name in "abcdef" for _ in range(2)])
    assert doubled == pytest.approx(alone)  # the same thing said twice is known no better
    assert searching._standard_error(differences, ["a"] * 6) == np.inf


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('instructions = ["../secret.md"]\n', "inside the workspace"),
        ('instructions = ["instructions/**.md"]\n', "inside the workspace"),
        ("[chosen.few_shots]\nk = 2\n", "few_shot"),
        ("[chosen.few_shot]\nk = 0\n", "chosen.few_shot.k"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, more: str, said: str) -> None:
    root = workspace(tmp_path, misleading(), more=more)
    with pytest.raises(ConfigError, match=said):
        load_config(root / "groundtune.toml")


def test_files_of_instructions_must_be_there_and_say_something(tmp_path: Path) -> None:
    with Workspace.open(workspace(tmp_path, misleading(), more='instructions = ["instructions/*.md"]\n')) as opened:
        with pytest.raises(DataError, match="no file is there"):
            instructions_of(opened)
        instruction(tmp_path, "empty.md", " \n")
        with pytest.raises(DataError, match="is empty"):
            instructions_of(opened)
