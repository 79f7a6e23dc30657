"""A cross-encoder as reranker against transformers' own tokenizer and model; and the seam from the configuration on."""

from __future__ import annotations

from pathlib import Path

import pytest

import groundtune
from groundtune.errors import ModelFailure, NotFound, UsageError
from groundtune.models import load_reranker
from tests.firm import CONFIG, write_firm

QUESTION = "what is the price"
PASSAGES = ["the price is forty", "a red kettle", "kettle", "price " * 700]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with seeded random weights and one output."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    home = tmp_path_factory.mktemp("cross")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "is", "the", "price", "forty", "a", "red", "kettle"]
    (home / "vocab.txt").write_text("\n".join(words) + "\n")
    transformers.BertTokenizer(str(home / "vocab.txt"), model_max_length=512).save_pretrained(home)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = transformers.BertConfig(vocab_size=len(words), num_labels=1, **shape)
    transformers.BertForSequenceClassification(config).save_pretrained(home)
    return home


def test_scores_are_those_of_transformers(home: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(home)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(home).eval()
    wanted = []
    for passage in PASSAGES:
        inputs = tokenizer(QUESTION, passage, truncation="only_second", max_length=512, return_tensors="pt")
        with torch.inference_mode():
            wanted.append(float(model(**inputs).logits[0, 0]))
    reranker = load_reranker(f"hf:{home}")
    assert reranker.score(QUESTION, PASSAGES) == pytest.approx(wanted, abs=1e-6)
    assert reranker.score(QUESTION, PASSAGES[::-1]) == reranker.score(QUESTION, PASSAGES)[::-1]
    assert reranker.score(QUESTION, []) == []
    assert len(set(wanted)) == len(wanted)


def test_a_classifier_of_several_classes_is_no_reranker(home: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig.from_pretrained(home, num_labels=3)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(home).save_pretrained(tmp_path)
    with pytest.raises(ModelFailure, match="one output, this model 3"):
        load_reranker(f"hf:{tmp_path}")


def test_names_are_checked(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"hf:\./FOLDER"):
        load_reranker("embedded:minilm")
    with pytest.raises(NotFound, match="fake:overlap"):
        load_reranker("fake:other")
    with pytest.raises(UsageError, match="provider:name"):
        load_reranker("overlap")


def test_a_configured_reranker_orders_search_and_ask(tmp_path: Path) -> None:
    config = CONFIG + '[index]\nbackend = "sqlite"\n'
    root = write_firm(tmp_path, config=config)
    groundtune.sync(root)
    question = "two people carry which thing, team 3 repairs it"
    plain = groundtune.search(question, root=root, principals=["staff"], k=5)
    (root / "groundtune.toml").write_text(config + '[retrieval]\nreranker = "fake:overlap"\nrerank = 12\n')
    anew = groundtune.search(question, root=root, principals=["staff"], k=5)
    overlap = load_reranker("fake:overlap")
    assert [hit.chunk.id for hit in anew] != [hit.chunk.id for hit in plain]
    assert [hit.score for hit in anew] == sorted((hit.score for hit in anew), reverse=True)
    assert anew[0].score == max(overlap.score(question, [f"{hit.title}\n{hit.chunk.text}"])[0] for hit in anew)
    context = groundtune.ask(question, root=root, principals=["staff"], candidate="rag").context
    assert list(context) == [hit.chunk.id for hit in anew][: len(context)]
