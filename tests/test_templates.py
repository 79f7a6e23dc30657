"""groundtune.prompting.templates: prompts are files, filled in strictly."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import groundtune.prompting.templates as templates
from groundtune.errors import NotFound


def test_every_template_is_a_markdown_file_with_the_hash_of_its_text() -> None:
    folder = Path(templates.__file__).parent / "templates"
    assert templates.names() == tuple(sorted(path.stem for path in folder.iterdir()))
    for name in templates.names():
        text = (folder / f"{name}.md").read_text(encoding="utf-8")
        assert templates.load(name).digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_answer_prompt_has_numbered_sources_or_none() -> None:
    sources = [{"heading": "Travel > Flights", "text": "Book 14 days ahead."}, {"heading": "Leave", "text": "28 days."}]
    shown = templates.render("answer", question="How early?", sources=sources, unknown="No idea.", instruction="")
    assert "[1] Travel > Flights\nBook 14 days ahead." in shown
    assert "[2] Leave\n28 days." in shown
    assert shown.endswith("Question: How early?")
    bare = templates.render("answer", question="How early?", sources=[], unknown="No idea.", instruction="")
    assert "[1]" not in bare
    assert "No idea." in bare


def test_an_instruction_takes_the_place_of_the_words_of_a_template() -> None:
    said = {"question": "A dog. It runs.", "instruction": "Join the sentences.", "unknown": "No idea."}
    assert templates.render("answer", sources=[], **said) == "Join the sentences.\n\nInput: A dog. It runs."
    assert templates.render("example", **said) == "Input: A dog. It runs."
    shown = templates.render("answer", sources=[{"heading": "Dogs", "text": "They run."}], **said)
    assert shown.startswith("Join the sentences. Use the sources.") and "No idea." in shown and "few words" not in shown
    assert templates.render("label", labels=["a"], **said).startswith("Join the sentences.\n\nLabels: a")


def test_text_in_a_value_is_not_a_template() -> None:
    assert templates.render("example", question="{{ 7 * 7 }} {% raw %}", instruction="") == "Question: {{ 7 * 7 }} {% raw %}"


def test_a_missing_value_and_an_unknown_name_are_errors() -> None:
    with pytest.raises(UndefinedError):
        templates.render("answer", question="?")
    with pytest.raises(NotFound, match="answer"):
        templates.load("anser")
