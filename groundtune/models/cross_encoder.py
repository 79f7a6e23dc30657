"""Rerankers that run with transformers: a model folder or hub id of a cross-encoder. Reads pairs; knows no documents."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from groundtune.errors import MissingExtra, ModelFailure, NotFound
from groundtune.models import weights

LONGEST = 512
"""Tokens of a question with its passage; of a longer pair the end of the passage is not read."""


class HfReranker:
    """One score a (question, passage) pair by a sequence classifier with a single output, in float32."""

    def __init__(self, name: str) -> None:
        """`name` is a model folder or a hub id. Raises MissingExtra, NotFound, ModelFailure."""
        try:
            import torch
            import transformers
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra(error.name or "torch", extra="train", wanted_by=f"hf:{name}") from error
        self.name = f"hf:{name}"
        home = weights.folder(name)
        if not (home / "tokenizer.json").is_file():
            raise NotFound("the model has no tokenizer.json.", subject=str(home), remedy="Use a model with a fast tokenizer.")
        self._torch = torch
        self._model = transformers.AutoModelForSequenceClassification.from_pretrained(
            home, dtype=torch.float32, local_files_only=True
        )
        if self._model.config.num_labels != 1:
            raise ModelFailure(
                f"a reranker has one output, this model {self._model.config.num_labels}.",
                subject=str(home),
                remedy="Name a cross-encoder that was trained to score passages.",
            )
        self._model.train(False)
        self._typed = getattr(self._model.config, "type_vocab_size", 0) > 1
        self._tokenizer = Tokenizer.from_file(str(home / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST, strategy="only_second")
        self._lock = threading.Lock()
        identity = [weights.digest(home), torch.__version__, transformers.__version__, str(LONGEST)]
        self.fingerprint = hashlib.sha256("\n".join(identity).encode()).hexdigest()

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """One number a passage, larger for a better one; each is read alone, so it does not depend on the others."""
        scores = []
        with self._lock, self._torch.inference_mode():
            for passage in passages:
                encoded = self._tokenizer.encode(question, passage)
                inputs = {"input_ids": self._torch.tensor([encoded.ids])}
                if self._typed:
                    inputs["token_type_ids"] = self._torch.tensor([encoded.type_ids])
                scores.append(float(self._model(**inputs).logits[0, 0]))
        return scores
