from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from groundtune.config import AccessRule, Config, Decision, compile_glob, default_config_text, load_config
from groundtune.errors import ConfigError, NotFound
from groundtune.types import EVERYONE, LOCAL

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "groundtune.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def fault(folder: Path, text: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(written(folder, text))
    return caught.value


def test_an_empty_file_is_the_defaults_and_grants_nobody_anything(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, ""))
    assert config == Config()
    assert config.model == "embedded:smollm2" and config.metric == "f1" and config.embedder == "embedded:minilm"
    assert (config.access.rules, config.access.questions, config.access.single) == ((), (), False)
    assert config.decision.candidates == ("prompt", "few_shot", "rag", "tuned", "rag_tuned")
    assert (config.chunking.tokens, config.retrieval.rrf_k, config.decision.margin) == (220, 60, 0.05)


def test_the_text_that_init_writes_says_the_defaults_and_one_visible_rule(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, default_config_text()))
    assert config.access.rules == (AccessRule(match="**", read=((EVERYONE,),)),)
    assert config.model_copy(update={"access": Config().access}) == Config()


def test_every_key_that_the_text_shows_in_a_comment_exists_with_the_value_shown(tmp_path: Path) -> None:
    text = (
        default_config_text(single=True)
        .replace("# [prices.models.", "[prices.models.")
        .replace("# [candidates.", "[candidates.")
        .replace("# [[dataset.", "[[dataset.")
    )
    lines = [line.removeprefix("# ") if " = " in line and not line.startswith("#  ") else line for line in text.split("\n")]
    shown = load_config(written(tmp_path, "\n".join(line.replace("with the values", "") for line in lines)))
    assert shown.decision.budget == "20m" and shown.prices.models["openai:NAME"].output_per_million == 0.60
    limits = ("max_p95_seconds", "max_cost_per_1000", "max_memory_gb", "max_staleness_hours", "max_staleness_loss")
    assert [getattr(shown.decision, limit) for limit in limits] == [2.0, 1.5, 4.0, 48.0, 0.03]
    assert shown.decision.report_audience == (("staff",),)
    unset = [key for key, field in Decision.model_fields.items() if field.default is None]
    counts = ("test_questions", "train_questions")
    assert [getattr(shown.decision, count) for count in counts] == [100, 200]
    decision = shown.decision.model_copy(update=dict.fromkeys(unset))
    prices = shown.prices.model_copy(update={"models": {}})
    assert (shown.scoring.database, shown.scoring.json_schema) == ("shop.sqlite", "answer.schema.json")
    assert set(shown.candidates) == {"big_rag", "likes", "our_bot", "reads_handbook"}
    likes = shown.candidates["likes"].tuning
    assert likes is not None and (likes.objective, likes.start, likes.data) == ("dpo", "tuned", "preferences.jsonl")
    assert (shown.dataset.files[0].read, shown.dataset.documents[0].train) == ((("support",),), True)
    assert shown.dataset.model_copy(update={"files": (), "documents": ()}) == Config().dataset
    assert (shown.upkeep.questions_per_day, shown.upkeep.sync_hours, shown.upkeep.refresh_hours) == (200, 24, 720)
    assert shown.upkeep.facts_changed_per_month == 0.03
    assert (shown.ingest.passwords, shown.retrieval.reranker) == ("passwords.txt", "hf:./FOLDER")
    ingest = shown.ingest.model_copy(update={"passwords": None})
    retrieval = shown.retrieval.model_copy(update={"reranker": None})
    known = {"candidates": {}, "decision": decision, "prices": prices, "ingest": ingest, "retrieval": retrieval}
    untold = {room: getattr(Config(), room) for room in ("access", "dataset", "scoring", "upkeep")}
    assert shown.model_copy(update=known | untold) == Config()


@in_one_folder
@given(documents=st.text(), questions=st.text(min_size=1), single=st.booleans())
def test_any_path_can_be_written_and_read_back(tmp_path: Path, documents: str, questions: str, single: bool) -> None:
    documents, questions = (text.encode(errors="replace").decode() for text in (documents, questions))
    text = default_config_text(documents=documents, questions=questions, model="hf:a/b c", single=single)
    config = load_config(written(tmp_path, text))
    assert (config.documents, config.questions, config.model) == (documents, questions, "hf:a/b c")
    assert config.access.single is single
    assert config.access.questions == ((LOCAL,) if single else ())


@pytest.mark.parametrize(
    ("text", "line", "wanted"),
    [
        ("\nmodle = 'a:b'\n", 2, ["unknown key 'modle'", "Did you mean 'model'?"]),
        ("[retrieval]\nk = 3\n\nkk = 4", 4, ["unknown key 'retrieval.kk'", "'retrieval.k'"]),
        ("rrf_k = 1", 1, ["unknown key 'rrf_k'", "'retrieval.rrf_k'"]),
        ("[retreival]\nk = 1", 1, ["unknown key 'retreival'", "'retrieval'"]),
        ("retrieval.kk = 1", 1, ["unknown key 'retrieval.kk'", "'retrieval.k'"]),
        ("[zzz]", 1, ["unknown key 'zzz'", "Known here: access, candidates, chosen, chunking"]),
        ("# a\n[retrieval]\nk = '3'", 3, ["retrieval.k: expected a whole number, found the string '3'"]),
        ("[retrieval]\nk = 3.0", 2, ["retrieval.k: expected a whole number, found the number 3.0"]),
        ("[retrieval]\nk = true", 2, ["retrieval.k: expected a whole number, found the boolean true"]),
        ("[retrieval]\nk = 0", 2, ["retrieval.k: input should be greater than or equal to 1, found the number 0"]),
        ("retrieval = 3", 1, ["retrieval: expected a table, found the number 3"]),
        ("[decision]\nmust_cite = 'yes'", 2, ["decision.must_cite: expected true or false, found the string 'yes'"]),
        ("[decision]\nmargin = '5 %'", 2, ["decision.margin: expected a number"]),
        ("[decision]\nfloor = nan", 2, ["decision.floor", "found the number nan"]),
        ("[prices]\ncore_hour = inf", 2, ["prices.core_hour: expected a finite number"]),
        ("documents = ['a']", 1, ["documents: expected a string in quotes, found a list"]),
        ("[decision]\ncandidates = 'rag'", 2, ["decision.candidates: expected a list, found the string 'rag'"]),
        ("[decision]\ncandidates = [\n  'rag',\n  'fewshot',\n]", 2, ["decision.candidates[1]", "Did you mean 'few_shot'?"]),
        ("[decision]\ncandidates = []", 2, ["decision.candidates"]),
        ("[decision]\ncandidates = ['rag', 'rag']", 2, ["decision.candidates", "'rag' stands there twice"]),
        ("model = 'smollm2'", 1, ["model: expected 'provider:name'", "found the string 'smollm2'"]),
        ("[chunking]\ntokens = 50\noverlap = 50", 1, ["chunking: overlap (50) must be smaller than tokens (50)"]),
        ("[access]\nsingle = true\n[[access.rules]]\nmatch='**'\nread=['a']", 1, ["access: single = true"]),
        (
            "[[access.rules]]\nmatch='**'\nread=['a']\n\n[[access.rules]]\nmatch='*'",
            5,
            ["access.rules[1] lacks the key 'read'"],
        ),
        ("[[access.rules]]\nmatch='**'\nread='a'", 3, ["access.rules[0].read: expected a list of principals"]),
        ("[[access.rules]]\nmatch='**'\nread=['a', ['b']]", 3, ["access.rules[0].read", "mixed"]),
        ("[[access.rules]]\nmatch='**'\nread=[[]]", 3, ["access.rules[0].read", "met by nobody"]),
        ("[[access.rules]]\nmatch='**'\nread=['']", 3, ["access.rules[0].read: expected a principal"]),
        ("[[access.rules]]\nmatch='**'\nread=[['a', 3]]", 3, ["access.rules[0].read: expected a principal", "the number 3"]),
        ("[[access.rules]]\nmatch='**'\nread=['a']\ndeny=[3]", 4, ["access.rules[0].deny[0]: expected a principal"]),
        ("[[access.rules]]\nmatch='**'\nread=['a']\nallow=['b']", 4, ["unknown key 'access.rules[0].allow'"]),
        ("[[access.rules]]\nmatch='hr/'\nread=['a']", 2, ["access.rules[0].match: 'hr/' can match no document id"]),
        (
            "[prices.models.'openai:x']\ninput_per_million = 1",
            1,
            ["prices.models.\"openai:x\" lacks the key 'output_per_million'"],
        ),
        (
            "[prices.models.'openai:x']\ninput_per_milion = 1\noutput_per_million = 2",
            1,
            [":2: unknown key", 'models."openai:x".input_per_million\'?'],
        ),
        ("a = [1,\n2,\n", 2, ["is not TOML"]),
        ("model = 'a:b'\nx = = 3", 2, ["is not TOML"]),
        ("k = 1\n\nk = 2", 3, ["is not TOML", "overwrite"]),
    ],
)
def test_a_fault_names_file_line_key_and_what_was_expected(tmp_path: Path, text: str, line: int, wanted: list[str]) -> None:
    error = fault(tmp_path, text)
    assert error.subject == f"{tmp_path / 'groundtune.toml'}:{line}"
    for part in wanted:
        assert part in str(error)


def test_all_faults_are_told_at_once_in_order_of_lines(tmp_path: Path) -> None:
    lines = str(fault(tmp_path, "[retrieval]\nkk = 1\n[training]\nepochs = 'x'\n[examples]\nk = 0\n")).split("\n")
    assert [line.split("groundtune.toml:")[1].split(":")[0] for line in lines] == ["2", "4", "6"]


filler = st.lists(
    st.sampled_from(
        [
            "",
            "# [retrieval]",
            "# k = 'x'",
            "metric = 'f1'",
            'documents = """\n[retrieval]\nk = 1\n"""',
            "questions = '''\n\n'''",
        ]
    ),
    unique=True,
)
inside = st.lists(st.sampled_from(["", "# kk = 1", "k = 3", "rrf_k = 60 # kk = 2"]), unique=True)


@in_one_folder
@given(before=filler, between=inside, after=st.lists(st.sampled_from(["", "# kk", "[examples]\nk = 1"]), unique=True))
def test_the_line_is_right_whatever_stands_around(
    tmp_path: Path, before: list[str], between: list[str], after: list[str]
) -> None:
    ahead = "\n".join([*before, "[retrieval]", *between])
    text = "\n".join([ahead, "kk = [\n 1,\n 2]", *after])
    assert "kk" in tomllib.loads(text)["retrieval"]
    line = ahead.count("\n") + 2
    assert fault(tmp_path, text).subject.endswith(f"groundtune.toml:{line}")


def test_a_long_file_is_explained_quickly(tmp_path: Path) -> None:
    rules = "".join(f"[[access.rules]]\nmatch = 'd{number}/**'\nread = ['g{number}']\n" for number in range(700))
    assert fault(tmp_path, rules + "[access]\nquestions = 3").subject.endswith(":2102")
    assert fault(tmp_path, "[access]\nquestions = []\n" + rules + "redd = ['x']\n").subject.endswith(":2103")


def test_windows_files_are_read(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfmetric = 'exact_match'\r\n\r\n[retrieval]\r\nk = 5\r\n"
    config = load_config(written(tmp_path, text))
    assert (config.metric, config.retrieval.k) == ("exact_match", 5)
    assert fault(tmp_path, text + b"kk = 1\r\n").subject.endswith(":5")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "UTF-8" in str(fault(tmp_path, b"a = 1\n\nb = '\xff'"))
    assert fault(tmp_path, b"a = 1\n\nb = '\xff'").subject.endswith(":3")
    assert "nested too deeply" in str(fault(tmp_path, "a = " + "[" * 100_000))
    with pytest.raises(NotFound, match="groundtune init"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_nothing_changes_later() -> None:
    with pytest.raises(ValidationError):
        Config().metric = "em"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Config().access.single = True  # type: ignore[misc]


# --- globs ----------------------------------------------------------------------------------------------------------------


def name_matches(glob: str, name: str) -> bool:
    """One name against `*`, `?`, and the sets [ab] and [!ab]: by trying every way."""
    if not glob:
        return not name
    if glob[0] == "*":
        return any(name_matches(glob[1:], name[size:]) for size in range(len(name) + 1))
    for spelled, meant in (("[ab]", "ab"), ("[!ab]", None)):
        if glob.startswith(spelled):
            fits = bool(name) and (name[0] in meant if meant else name[0] not in "ab")
            return fits and name_matches(glob[len(spelled) :], name[1:])
    return bool(name) and glob[0] in ("?", name[0]) and name_matches(glob[1:], name[1:])


def path_matches(glob: list[str], path: list[str]) -> bool:
    """Name by name: `**` last takes one name or more, elsewhere none or more folders."""
    if not glob:
        return not path
    if glob == ["**"]:
        return bool(path)
    if glob[0] == "**":
        return any(path_matches(glob[1:], path[size:]) for size in range(len(path) + 1))
    return bool(path) and name_matches(glob[0], path[0]) and path_matches(glob[1:], path[1:])


names = st.text(st.sampled_from("abc.+\n"), min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
glob_pieces = st.sampled_from(["a", "b", "c", ".", "+", "*", "?", "[ab]", "[!ab]"])
glob_names = st.lists(glob_pieces, min_size=1, max_size=4).map("".join)
glob_names = glob_names.filter(lambda name: "**" not in name and name not in (".", ".."))


@settings(deadline=None, max_examples=400)
@given(glob=st.lists(glob_names | st.just("**"), min_size=1, max_size=4), path=st.lists(names, min_size=1, max_size=4))
def test_globs_match_what_their_table_says(glob: list[str], path: list[str]) -> None:
    assert bool(compile_glob("/".join(glob)).fullmatch("/".join(path))) == path_matches(glob, path)


@pytest.mark.parametrize(
    ("glob", "matches", "others"),
    [
        ("**", ["a", "a/b.md", ".x/.y"], [""]),
        ("*.md", ["a.md", ".md"], ["a/b.md", "a.MD", "a.mdx"]),
        ("**/*.md", ["a.md", "a/b/c.md"], ["a.txt"]),
        ("hr/**", ["hr/a", "hr/x/y.md"], ["hr", "hr2/a", "x/hr/a"]),
        ("**/hr/**", ["hr/a", "x/hr/a/b"], ["x/hr", "xhr/a"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az", "a/bz"]),
        ("[a-c]?.md", ["ax.md", "c-.md"], ["dx.md", "a/.md"]),
        ("[[]x]", ["[x]"], ["x"]),
        ("[]]", ["]"], ["["]),
        ("[!!]", ["a"], ["!", "/"]),
        ("a[*]b", ["a*b"], ["axb"]),
        ("(x|y)+.md", ["(x|y)+.md"], ["x.md"]),
        ("[\\w^]", [], []),
        ("geh\u00e4lter/**", ["geh\u00e4lter/a"], ["gehalter/a"]),
        ("geha\u0308lter/**", ["geh\u00e4lter/a"], []),
    ],
)
def test_globs_by_example(glob: str, matches: list[str], others: list[str]) -> None:
    if "\\" in glob:
        with pytest.raises(ValueError, match="backslash"):
            compile_glob(glob)
        return
    pattern = compile_glob(glob)
    assert [name for name in matches if not pattern.fullmatch(name)] == []
    assert [name for name in others if pattern.fullmatch(name)] == []


@pytest.mark.parametrize(
    "glob", ["", "/hr/**", "./hr/**", "hr/", "hr//x", "../x", "hr\\x", "hr/**.md", "a**", "[", "[]", "a[b/c]", "[z-a]"]
)
def test_globs_that_could_never_match_are_refused(glob: str) -> None:
    with pytest.raises(ValidationError):
        AccessRule(match=glob, read=(("a",),))
