"""The shipped fakes: deterministic, readable, and tuned by remembering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from groundtune.errors import ModelFailure, NotFound
from groundtune.prompting import templates
from groundtune.testing import FakeEmbedder, FakeModel, check_embedder, check_language_model, remember
from groundtune.types import NOT_IN_DOCUMENTS, Message

SOURCES = [
    {"heading": "Leave", "text": "Staff get 25 days of annual leave. Unused days expire in March."},
    {"heading": "Notice > Periods", "text": "The notice period is thirty days.\nManagers serve ninety days."},
]


def prompt(question: str, *, sources: bool = True) -> list[Message]:
    shown = SOURCES if sources else []
    return [
        Message("user", templates.render("answer", instruction="", question=question, sources=shown, unknown=NOT_IN_DOCUMENTS))
    ]


def answer(model: FakeModel, conversation: list[Message]) -> str:
    return model.generate([conversation], max_new_tokens=48)[0].text


@pytest.mark.parametrize("name", ["echo", "extract", "constant=Yes."])
def test_conformance(name: str) -> None:
    check_language_model(FakeModel(name))


def test_embedder_conforms_and_shared_words_are_near() -> None:
    embedder = FakeEmbedder("hash")
    check_embedder(embedder)
    near, far, question = embedder.embed(["The notice periods.", "A printer on floor two.", "What is the notice period?"])
    assert np.dot(near, question) > 0.9 > np.dot(far, question)


def test_echo_and_constant() -> None:
    assert answer(FakeModel("echo"), prompt("How long is notice?")) == "How long is notice?"
    assert answer(FakeModel("constant=Yes, sir."), prompt("How long is notice?")) == "Yes, sir."


def test_extract_takes_the_sentence_that_shares_most_words() -> None:
    model = FakeModel("extract")
    assert answer(model, prompt("How long is the notice period?")) == "The notice period is thirty days."
    assert answer(model, prompt("When do unused days expire?")) == "Unused days expire in March."


def test_extract_says_when_it_does_not_know() -> None:
    model = FakeModel("extract")
    assert answer(model, prompt("Which colour has the logo?")) == NOT_IN_DOCUMENTS
    assert answer(model, prompt("How long is the notice period?", sources=False)) == NOT_IN_DOCUMENTS


def test_extract_uses_the_nearest_example() -> None:
    shown = [Message("user", "Question: Where is lunch?"), Message("assistant", "Floor 1")]
    shown += [Message("user", "Question: Where is the printer?"), Message("assistant", "Floor 2")]
    assert answer(FakeModel("extract"), [*shown, *prompt("Where do printers stand?", sources=False)]) == "Floor 2"


def test_labels() -> None:
    text = templates.render("label", instruction="", question="I want my money refunded", labels=["cancel_order", "get_refund"])
    assert answer(FakeModel("extract"), [Message("user", text)]) == "get_refund"


def test_tuning_is_remembering(tmp_path: Path) -> None:
    pairs = [(prompt("How long is notice?"), "30 days"), (prompt("Where is lunch?", sources=False), "Floor 1")]
    folder = remember(pairs, tmp_path / "adapter")
    base, tuned = FakeModel("extract"), FakeModel("extract", adapter=folder)
    assert answer(tuned, prompt("How long is notice?", sources=False)) == "30 days"
    assert answer(tuned, prompt("At what place is lunch?", sources=False)) == "Floor 1"
    assert answer(tuned, prompt("How long is the notice period?")) == "thirty days"
    assert answer(base, prompt("How long is the notice period?")) == "The notice period is thirty days."
    assert base.fingerprint != tuned.fingerprint == FakeModel("extract", adapter=folder).fingerprint
    check_language_model(tuned)


def test_the_adapter_is_a_safetensors_file(tmp_path: Path) -> None:
    remember([(prompt("Wer fragt “so”?"), "naïve 日本語")], tmp_path)
    with safe_open(tmp_path / "adapter_model.safetensors", "numpy") as file:
        assert list(file.keys()) == [] and "pairs" in file.metadata()


def test_bad_names_and_adapters_are_named(tmp_path: Path) -> None:
    for name in ("extrct", "constant", "echo=1"):
        with pytest.raises(NotFound, match="fake:extract"):
            FakeModel(name)
    with pytest.raises(NotFound, match="fake:hash"):
        FakeEmbedder("hsh")
    with pytest.raises(NotFound, match=r"adapter_model\.safetensors"):
        FakeModel("extract", adapter=tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelFailure, match="no adapter of a fake"):
        FakeModel("extract", adapter=tmp_path)
    with pytest.raises(ModelFailure, match="window"):
        FakeModel("echo").generate([[Message("user", "x " * 40000)]], max_new_tokens=8)
