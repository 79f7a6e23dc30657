"""groundtune.candidates.recipes and `[candidates]`: from groundtune.toml to recipes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundtune.candidates.recipes import candidate_named
from groundtune.candidates.standard import standard_candidate
from groundtune.config import STANDARD, Config, load_config
from groundtune.errors import ConfigError, UsageError
from groundtune.types import Candidate, External, NearestExamples, RetrievedContext, Tuning, WholeDocuments


def config(folder: Path, text: str) -> Config:
    path = folder / "groundtune.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def own(folder: Path, table: str, *, rest: str = "") -> Candidate:
    return candidate_named("mine", config=config(folder, f"{rest}\n[candidates.mine]\n{table}"))


def test_the_five_are_what_they_were() -> None:
    for name in STANDARD:
        assert candidate_named(name, config=Config()) == standard_candidate(name, config=Config())
        assert candidate_named(name, config=Config()).external is None


def test_long_context_is_the_prompt_with_whole_documents() -> None:
    found = candidate_named("long_context", config=Config())
    assert found == Candidate("long_context", "embedded:smollm2", context=WholeDocuments())


def test_a_base_alone_is_that_candidate_under_another_name(tmp_path: Path) -> None:
    for base in (*STANDARD, "long_context"):
        found = own(tmp_path, f'base = "{base}"')
        shipped = candidate_named(base, config=Config())
        assert (found.model, found.prompt, found.context, found.examples, found.max_new_tokens) == (
            shipped.model,
            shipped.prompt,
            shipped.context,
            shipped.examples,
            shipped.max_new_tokens,
        )
        assert found.tuning == shipped.tuning
        assert found.name == "mine"


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        ('base = "rag"\nmodel = "openai:big"', "model", "openai:big"),
        ('base = "rag"\nmax_new_tokens = 200', "max_new_tokens", 200),
        ('base = "rag"\nprompt = "label"', "prompt", "label"),
        ('base = "rag"\ncontext = { k = 9 }', "context", RetrievedContext(k=9, max_tokens=500)),
        ('base = "prompt"\ncontext = "retrieved"', "context", RetrievedContext(k=5, max_tokens=500)),
        ('base = "rag"\ncontext = "none"', "context", None),
        ('base = "rag"\ncontext = "whole"', "context", WholeDocuments()),
        ('base = "long_context"\ncontext = { max_tokens = 900 }', "context", WholeDocuments(max_tokens=900)),
        (
            'base = "long_context"\n[candidates.mine.context]\ndocuments = "best"\nk = 4',
            "context",
            WholeDocuments(documents="best", k=4),
        ),
        ('base = "rag"\nexamples = "nearest"', "examples", NearestExamples(k=2)),
        ('base = "few_shot"\nexamples = { k = 7 }', "examples", NearestExamples(k=7)),
        ('base = "few_shot"\nexamples = "none"', "examples", None),
        ('base = "tuned"\ntuning = "none"', "tuning", None),
        ('base = "tuned"\ntuning = { epochs = 9 }', "tuning", Tuning(objective="sft", epochs=9, distractors=4)),
        ('base = "prompt"\ntuning = "lora"', "tuning", Tuning(objective="sft", distractors=4)),
        (
            'base = "rag_tuned"\ncontext = { k = 8 }\ntuning = { rank = 4 }',
            "tuning",
            Tuning(objective="raft", rank=4, distractors=7),
        ),
        ('base = "rag_tuned"\ntuning = { distractors = 1 }', "tuning", Tuning(objective="raft", distractors=1)),
        ('base = "tuned"\ntuning = "full"', "tuning", Tuning(method="full", distractors=4)),
        (
            'base = "tuned"\ntuning = { method = "partial", top_layers = 3 }',
            "tuning",
            Tuning(method="partial", top_layers=3, distractors=4),
        ),
        ('base = "tuned"\ntuning = { objective = "domain" }', "tuning", Tuning(objective="domain", distractors=4)),
        ('base = "rag"\ntuning = { objective = "sft" }', "tuning", Tuning(objective="sft", distractors=4)),
    ],
)
def test_any_field_can_be_replaced_and_the_others_follow_the_settings(
    tmp_path: Path, table: str, field: str, value: object
) -> None:
    settings = "[retrieval]\nk = 5\nmax_tokens = 500\n[examples]\nk = 2"
    assert getattr(own(tmp_path, table, rest=settings), field) == value


def test_tuning_may_go_on_from_another_candidate(tmp_path: Path) -> None:
    text = (
        '[candidates.first]\nbase = "tuned"\ntuning = { method = "full" }\n'
        '[candidates.mine]\nbase = "tuned"\nmax_new_tokens = 9\n'
        'tuning = { objective = "grpo", rewards = { label_accuracy = 2.0, contains = 0.5 }, start = "first", generations = 8 }'
    )
    made = candidate_named("mine", config=config(tmp_path, text))
    assert made.tuning is not None and made.tuning.start == candidate_named("first", config=config(tmp_path, text))
    assert made.tuning.rewards == (("contains", 0.5), ("label_accuracy", 2.0))
    assert (made.tuning.generations, made.tuning.answer_tokens, made.tuning.method) == (8, 9, "lora")
    alike = own(tmp_path, 'base = "tuned"\ntuning = { objective = "grpo", rewards = ["f1", "contains"] }')
    assert alike.tuning is not None and alike.tuning.rewards == (("contains", 1.0), ("f1", 1.0))
    for start, what in (('base = "tuned"\nmodel = "embedded:other"', "of another model"), ('base = "rag"', "not tuned")):
        text = f'[candidates.first]\n{start}\n[candidates.mine]\nbase = "tuned"\ntuning = {{ start = "first" }}'
        with pytest.raises(UsageError, match=f"cannot start from first: it is {what}"):
            candidate_named("mine", config=config(tmp_path, text))


def test_what_already_runs_is_named_after_itself(tmp_path: Path) -> None:
    found = own(
        tmp_path,
        'url = "http://localhost:8000/ask"\nversion = "7"\ntimeout = 5.0\nattempts = 1\nconcurrency = 9\nprice_per_1000 = 2.5\n'
        'headers = { Authorization = "BOT_TOKEN" }',
    )
    headers = (("Authorization", "BOT_TOKEN"),)
    external = External("http", ("http://localhost:8000/ask",), "7", 5.0, 1, 9, headers, 2.5)
    assert found == Candidate("mine", "external:mine", external=external)
    command = own(tmp_path, 'command = ["./bot", "--fast"]').external
    assert command is not None and command.target == ("./bot", "--fast")
    function = own(tmp_path, 'callable = "shop.bot:answer"').external
    assert function is not None and (function.target, function.concurrency) == (("shop.bot:answer",), 1)


@pytest.mark.parametrize(
    ("table", "line", "wanted"),
    [
        ('base = "rag"\nmodle = "openai:big"', 3, ["candidates.mine.modle", "Did you mean 'candidates.mine.model'?"]),
        ('base = "rag"\n[candidates.mine.context]\nkk = 3', 4, ["Did you mean 'candidates.mine.context.k'?"]),
        ('base = "rag"\ncontext = { max_token = 3 }', 3, ["Did you mean 'candidates.mine.context.max_tokens'?"]),
        ('base = "rag"\ncontext = "hole"', 3, ["candidates.mine.context", "Did you mean 'whole'?"]),
        ('base = "rag"\nprompt = "answr"', 3, ["candidates.mine.prompt", "Did you mean 'answer'?"]),
        ('base = "rag"\nmax_new_tokens = "many"', 3, ["candidates.mine.max_new_tokens: expected a whole number"]),
        ('base = "rag"\nmodel = "big"', 3, ["candidates.mine.model: expected 'provider:name'"]),
        ('base = "rga"', 1, ["did you mean 'rag'?"]),
        (
            'base = "tuned"\ntuning = { objective = "raft" }',
            1,
            ["learns from retrieved text, and this candidate retrieves none"],
        ),
        ('base = "rag"\ncontext = "none"\ntuning = { objective = "raft" }', 1, ["this candidate retrieves none"]),
        ('base = "rag"\ntuning = { objective = "rafd" }', 3, ["candidates.mine.tuning.objective", "Did you mean 'raft'?"]),
        ('base = "tuned"\ntuning = { objective = "dpo" }', 3, ["candidates.mine.tuning: objective = 'dpo' needs data"]),
        ('base = "tuned"\ntuning = { objective = "grpo" }', 3, ["objective = 'grpo' needs rewards"]),
        ('base = "tuned"\ntuning = { objective = "domain", data = "newest" }', 3, ["learns from the documents"]),
        ('base = "tuned"\ntuning = { beta = 0.1 }', 3, ["beta belongs to objective = 'dpo' or 'kto' or 'grpo'"]),
        ('base = "rag"\ntuning = { objective = "kto", data = "p.jsonl" }', 1, ["learns from prompts without retrieved text"]),
        ('base = "tuned"\ntuning = { start = "tuend" }', 1, ["starts from 'tuend', which is no tuned candidate", "'tuned'"]),
        ('base = "tuned"\ntuning = { start = "mine" }', 1, ["mine: its tuning starts from itself (mine -> mine)"]),
        ('base = "tuned"\ntuning = { objective = "grpo", rewards = { f1 = 0.0 } }', 3, ["candidates.mine.tuning.rewards.f1"]),
        (
            'base = "tuned"\ntuning = { objective = "domain", early_stop = true }',
            3,
            ["early_stop belongs to objective ="],
        ),
        (
            'base = "tuned"\ntuning = { sweep_minutes = 9.0, learning_rate = 0.1 }',
            3,
            ["sweep_minutes chooses the learning"],
        ),
        ('model = "openai:big"', 1, ["expected one of base, url, command and callable, found none"]),
        ('base = "rag"\nurl = "http://x/"', 1, ["found base and url"]),
        ('base = "rag"\nversion = "2"', 1, ["version belongs to a candidate with url, command or callable"]),
        ('url = "http://x/"\ncontext = "none"', 1, ["context belongs to a candidate with base"]),
        ('command = ["x"]\nheaders = { A = "B" }', 1, ["headers belongs to a candidate with url"]),
        ('callable = "a.b:c"\ntimeout = 3.0', 1, ["a callable cannot be stopped"]),
        ('command = "ls -l"', 2, ["candidates.mine.command: expected a list"]),
        ("command = []", 2, ["candidates.mine.command"]),
        ('callable = "a.b"', 2, ["candidates.mine.callable: expected 'package.module:function'"]),
        ('url = "ftp://x/"', 2, ["candidates.mine.url: expected an address"]),
        ('url = "http://me:secret@x/"', 2, ["candidates.mine.url: a password does not belong"]),
        ('url = "http://x:99999999/"', 2, ["candidates.mine.url"]),
        ('url = "http://x/"\nheaders = { Authorization = "Bearer abc" }', 3, ["the name of the environment variable"]),
        ('url = "http://x/"\ntimeout = 0.0', 3, ["candidates.mine.timeout"]),
        ('url = "http://x/"\nprice_per_1000 = -1.0', 3, ["candidates.mine.price_per_1000"]),
    ],
)
def test_a_fault_names_its_line_and_what_was_expected(tmp_path: Path, table: str, line: int, wanted: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        config(tmp_path, f"[candidates.mine]\n{table}\n")
    assert raised.value.subject == f"{tmp_path / 'groundtune.toml'}:{line}"
    for part in wanted:
        assert part in str(raised.value)
    if "secret" in table:
        assert "secret" not in str(raised.value)


def test_a_shipped_name_keeps_its_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'rag' is a shipped candidate"):
        config(tmp_path, '[candidates.rag]\nbase = "rag"')
    with pytest.raises(ConfigError, match="no name of a candidate"):
        config(tmp_path, '[candidates."gold evidence"]\nbase = "rag"')


def test_a_race_names_what_exists(tmp_path: Path) -> None:
    text = '[decision]\ncandidates = [\n  "rag",\n  "big_rga",\n]\n[candidates.big_rag]\nbase = "rag"\n'
    with pytest.raises(ConfigError, match=r"toml:2.*decision.candidates\[1\].*Did you mean 'big_rag'"):
        config(tmp_path, text)
    assert config(tmp_path, text.replace("rga", "rag")).decision.candidates == ("rag", "big_rag")
    with pytest.raises(UsageError, match="Did you mean big_rag"):
        candidate_named("big_rga", config=config(tmp_path, text.replace("rga", "rag")))


def test_the_tree_can_be_read_back(tmp_path: Path) -> None:
    found = config(tmp_path, '[candidates.mine]\nbase = "rag"\ncontext = "whole"\n[candidates.bot]\ncommand = ["./bot"]\n')
    assert Config.model_validate(found.model_dump()) == found
