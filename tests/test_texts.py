"""Texts in reports: only what a named reader may see, asked anew each time that a report is written."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import groundtune
from groundtune.config import load_config
from groundtune.decision import texts
from groundtune.errors import ConfigError
from tests.firm import CONFIG, SECRET, rows, write_firm

PLANS = "board/plans.md"
STAFF = CONFIG + 'report_audience = ["staff"]\n'
BOARD = CONFIG + 'report_audience = [["staff", "board"]]\n'


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A race that was decided with nobody named as a reader."""
    root = write_firm(tmp_path_factory.mktemp("firm"))
    groundtune.decide(root, candidates=["prompt", "few_shot", "rag", "tuned"])
    return root


def written(decided: Path, folder: Path, config: str) -> tuple[Path, str]:
    """A copy of the race with other settings, and its page, written again."""
    root = folder / "copy"
    shutil.copytree(decided, root)
    (root / "groundtune.toml").write_text(config, encoding="utf-8")
    return root, page(root)


def page(root: Path) -> str:
    files = groundtune.report(root)
    return files.html.read_text(encoding="utf-8") + files.markdown.read_text(encoding="utf-8")


def asked(text: str) -> set[str]:
    return {row["id"] for row in rows() if row["question"] in text}


def test_nobody_named_means_no_text_and_says_how_to_name_someone(decided: Path) -> None:
    text = page(decided)
    assert not asked(text) and "kettle.md" not in text
    assert "decision.report_audience" in text and "no text of a question, an answer or a document" in text
    assert "lost" in text and "of 24" in text, "figures remain"


def test_a_reader_sees_what_every_principal_named_may_see_and_the_foot_says_who(decided: Path, tmp_path: Path) -> None:
    _, text = written(decided, tmp_path, STAFF)
    seen = asked(text)
    assert seen and not any(item.startswith("board") for item in seen)
    assert SECRET not in text and "plans.md" not in text and "million" not in text
    assert "5 questions are left out" in text
    assert "only who may read as staff" in text
    assert "<mark>" in text and "evidence retrieved" in text


def test_several_readers_see_only_what_each_of_them_may(decided: Path, tmp_path: Path) -> None:
    _, text = written(decided, tmp_path, BOARD.replace('[["staff", "board"]]', '[["staff", "board"], "staff"]'))
    assert "only who may read as staff and board, or as staff" in text
    assert SECRET not in text and "5 questions are left out" in text
    (tmp_path / "copy" / "groundtune.toml").write_text(BOARD.replace('[["staff", "board"]]', '["staff", "board"]'))
    assert not asked(page(tmp_path / "copy")), "who is board and not staff may read nothing"


def test_a_wider_audience_sees_more_and_figures_never_change(decided: Path, tmp_path: Path) -> None:
    before = (decided / "report.json").read_bytes()
    root, text = written(decided, tmp_path, BOARD)
    assert "questions are left out" not in text
    assert "staff and board" in text
    assert (root / "report.json").read_bytes() == before
    for row in rows():
        assert row["question"] not in (root / "report.json").read_text(encoding="utf-8")


def test_what_was_withdrawn_is_gone_when_the_report_is_written_again(decided: Path, tmp_path: Path) -> None:
    root, text = written(decided, tmp_path, STAFF)
    thing = sorted({item.split("-")[0] for item in asked(text)} - {"none"})[0]
    assert "not shown: it may rest" not in text
    (root / "documents" / f"{thing}.md.access.toml").write_text('read = ["board"]\n', encoding="utf-8")
    groundtune.sync(root)
    text = page(root)
    assert asked(text) and thing not in text, "neither its questions nor answers to others that it was retrieved for"
    cells = dict(re.findall(r'<th scope="row">(\w+)</th><td [^>]*>[^<]*</td><td [^>]*data-name="answer">(.*?)</td>', text))
    assert {name for name, answer in cells.items() if "not shown: it may rest on what a reader" in answer} >= {
        "few_shot",
        "tuned",
    }
    assert "not shown" not in cells["prompt"], "it saw nothing but the question"


def test_a_quote_that_stands_no_longer_in_its_document_is_shown_alone(decided: Path, tmp_path: Path) -> None:
    root, _ = written(decided, tmp_path, STAFF)
    for path in (root / "documents").glob("*.md"):
        path.write_text("# Empty\n\nNothing.\n", encoding="utf-8")
    groundtune.sync(root)
    assert "the quote does not stand in the document as it is now" in page(root)


def test_a_reader_who_is_denied_what_an_asker_may_read_sees_none_of_it(decided: Path, tmp_path: Path) -> None:
    root, _ = written(decided, tmp_path, CONFIG.replace('read = ["staff"]', 'read = ["staff"]\ndeny = ["intern"]') + "")
    groundtune.sync(root)
    path = root / "groundtune.toml"
    path.write_text(path.read_text(encoding="utf-8") + 'report_audience = [["staff", "intern"]]\n', encoding="utf-8")
    assert not asked(page(root))


def test_an_older_run_without_its_questions_or_scores_still_has_a_page(decided: Path, tmp_path: Path) -> None:
    root, _ = written(decided, tmp_path, STAFF)
    folder = root / ".groundtune" / "runs" / "decide-0001"
    (folder / texts.QUESTIONS).unlink()
    assert "The questions of this run are not at hand." in page(root)
    (folder / "scores.jsonl").unlink()
    assert "the scores are not at hand" in page(root)


def test_where_everything_is_the_one_principals_texts_are_shown(tmp_path: Path) -> None:
    models = 'model = "fake:extract"\nembedder = "fake:hash"\n'
    config = f'{models}documents = ""\nmetric = "label_accuracy"\n[access]\nsingle = true\n[decision]\nlatency_requests = 2\n'
    questions: list[dict[str, Any]] = [
        {"question": f"send {thing} number {n}", "answers": [f"goods_{thing}"]}
        for thing in ("kettle", "ladder")
        for n in range(6)
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
    (tmp_path / "groundtune.toml").write_text(config, encoding="utf-8")
    decision = groundtune.decide(tmp_path, candidates=["prompt", "few_shot"])
    assert decision.report is not None
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "only who may read as local" in text and "Accepted: goods_" in text and "No evidence was located" in text
    (tmp_path / "groundtune.toml").write_text(config + "report_audience = []\n", encoding="utf-8")
    assert "goods_" not in page(tmp_path)


def test_readers_are_principals_alone_or_together(tmp_path: Path) -> None:
    path = tmp_path / "groundtune.toml"
    for written_as, readers in {'["a", "b"]': (("a",), ("b",)), '[["a", "b"], "c"]': (("a", "b"), ("c",)), "[]": ()}.items():
        path.write_text(f"[decision]\nreport_audience = {written_as}\n", encoding="utf-8")
        assert load_config(path).decision.report_audience == readers
    for wrong in ("[[]]", '"a"', "[3]", '[""]'):
        path.write_text(f"[decision]\nreport_audience = {wrong}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"groundtune\.toml:2"):
            load_config(path)


def test_an_erased_document_leaves_the_written_report(decided: Path, tmp_path: Path) -> None:
    root, text = written(decided, tmp_path, BOARD)
    assert SECRET in text
    (root / "documents" / PLANS).unlink()
    groundtune.sync(root)
    done = groundtune.erase([PLANS], root=root)
    assert done.remaining, "the questions that quote it are its owner's"
    for name in ("report.html", "report.md", "report.json"):
        after = (root / name).read_text(encoding="utf-8")
        assert SECRET not in after and "plans.md" not in after, name
