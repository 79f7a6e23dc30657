"""Runs models with transformers: the reference that the fast engine is compared with, and any model folder or hub id."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundtune.errors import MissingExtra, ModelFailure, NotFound, UsageError
from groundtune.models import adapter as adapters
from groundtune.models import weights
from groundtune.models.window import check_window, window
from groundtune.types import Generation, Message, Usage

if TYPE_CHECKING:
    import numpy as np

BATCH = 8
"""Prompts computed together; more only pads more on a CPU."""


class HfModel:
    """Greedy decoding with transformers, float32 on the CPU unless `dtype` says `bfloat16`."""

    local = True

    def __init__(self, name: str, *, adapter: Path | None = None, dtype: str = "float32", provider: str = "hf") -> None:
        """`name` is a model folder, a hub id or an embedded model. Raises MissingExtra, NotFound, ModelFailure."""
        self.name = f"{provider}:{name}"
        home = weights.folder(name)
        self._limit = window(home)
        self.window: int | None = self._limit
        self._model, self._tokenizer = weights.torch_model(str(home), dtype=dtype, adapter=adapter)
        import torch
        import transformers

        tuned = adapters.digest(adapter) if adapter else ""
        identity = [
            weights.digest(home),
            tuned,
            self._tokenizer.fingerprint,
            dtype,
            torch.__version__,
            transformers.__version__,
        ]
        self.fingerprint = hashlib.sha256("\n".join(identity).encode()).hexdigest()
        self._generate: Any = self._model.generate
        self._lock = threading.Lock()

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        if max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {max_new_tokens}; an answer needs at least one token.", subject=self.name)
        prompts = [self._tokenizer.render_ids(conversation) for conversation in conversations]
        for prompt in prompts:
            check_window(prompt, max_new_tokens=max_new_tokens, window=self._limit, model=self.name)
        found: list[Generation] = []
        for start in range(0, len(prompts), BATCH):
            found += self._batch(prompts[start : start + BATCH], max_new_tokens)
        return found

    def count_tokens(self, text: str) -> int:
        return self._tokenizer.count(text)

    def _batch(self, prompts: list[list[int]], max_new_tokens: int) -> list[Generation]:
        """Padded on the left; transformers counts positions from the attention mask, so padding shifts none."""
        import torch

        longest = max(map(len, prompts))
        pad, stops = self._tokenizer.pad_id, list(self._tokenizer.stop_ids)
        ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        with self._lock, torch.inference_mode():
            out = self._generate(
                ids, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stops, pad_token_id=pad
            )
        found = []
        for prompt, row in zip(prompts, out[:, longest:].tolist(), strict=True):
            end = next((place for place, number in enumerate(row) if number in stops), None)
            new = row if end is None else row[: end + 1]
            text = self._tokenizer.decode(new).strip()
            found.append(Generation(text, Usage(len(prompt), len(new)), "length" if end is None else "stop"))
        return found


class HfEmbedder:
    """Mean-pooled, normalised states of a BERT-like encoder, as sentence-transformers' models of that kind are made."""

    def __init__(self, name: str) -> None:
        """`name` is a model folder, a hub id or an embedded embedder."""
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
        pooling = home / "1_Pooling" / "config.json"
        if pooling.is_file() and '"pooling_mode_mean_tokens": true' not in pooling.read_text(encoding="utf-8"):
            raise ModelFailure("only mean pooling is supported.", subject=str(pooling))
        self._torch = torch
        self._model = transformers.AutoModel.from_pretrained(home, dtype=torch.float32, local_files_only=True)
        self._model.train(False)
        self._tokenizer = Tokenizer.from_file(str(home / "tokenizer.json"))
        self._tokenizer.no_padding()
        total = min(512, self._model.config.max_position_embeddings)
        self._tokenizer.enable_truncation(total)
        self.max_tokens = total - self._tokenizer.num_special_tokens_to_add(False)
        self.dimensions = int(self._model.config.hidden_size)
        identity = [weights.digest(home), torch.__version__, transformers.__version__, str(total)]
        self.fingerprint = hashlib.sha256("\n".join(identity).encode()).hexdigest()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        import numpy as np

        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for place, text in enumerate(texts):  # one at a time: no padding, so no text depends on its neighbours
            ids = self._torch.tensor([self._tokenizer.encode(text).ids])
            with self._torch.inference_mode():
                state = self._model(input_ids=ids, attention_mask=self._torch.ones_like(ids)).last_hidden_state
                rows[place] = self._torch.nn.functional.normalize(state.mean(dim=1), dim=1)[0].numpy()
        return rows

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)
