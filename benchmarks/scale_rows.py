"""Synthetic chunks in clusters, on disk, with the exact answers to their questions. Knows numpy; knows no index.

Shared with the children that run in another environment, so it imports nothing of the product.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DIMENSIONS = 384
DEPTH = 10
"""Nearest chunks that recall is counted over."""
PER_DOCUMENT = 10
PERCENT = ("100", "10", "1", "0.1")
"""Shares of the chunks that the callers may read, in percent."""
_PER_CLUSTER = 100
_WORDS, _VOCABULARY = 30, 20_000
_NOISE = 0.8
_BLOCK = 50_000


@dataclass(frozen=True)
class Rows:
    """Chunks in order; chunk `n` belongs to document `n // PER_DOCUMENT`."""

    folder: Path

    @property
    def vectors(self) -> np.ndarray:
        """float32 [chunks, DIMENSIONS], of length 1, mapped."""
        return np.load(self.folder / "vectors.npy", mmap_mode="r")

    @property
    def levels(self) -> np.ndarray:
        """int64 [documents]: 0 to 3. A caller of p percent may read the documents up to the level of p."""
        return np.load(self.folder / "levels.npy")

    @property
    def questions(self) -> list[str]:
        return list(json.loads((self.folder / "questions.json").read_text(encoding="utf-8")))

    @property
    def question_vectors(self) -> np.ndarray:
        """float32 [questions, DIMENSIONS]"""
        return np.load(self.folder / "question_vectors.npy")

    def nearest(self, percent: str) -> np.ndarray:
        """int64 [questions, DEPTH]: the chunks with the largest cosine among the readable ones, best first."""
        return np.load(self.folder / f"nearest_{percent}.npy")

    def texts(self) -> Iterator[str]:
        with (self.folder / "texts.txt").open(encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\n")


def level_of(percent: str) -> int:
    """Largest level that a caller of this many percent may read."""
    return len(PERCENT) - 1 - PERCENT.index(percent)


def made(folder: Path, *, chunks: int, questions: int, seed: int = 0) -> Rows:
    """Chunks around centres, and questions around the same ones; made once and kept."""
    rows = Rows(folder)
    if (folder / "ready").exists():
        return rows
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    centres = _unit(random.normal(size=(max(1, chunks // _PER_CLUSTER), DIMENSIONS)))
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", mode="w+", dtype=np.float32, shape=(chunks, DIMENSIONS))
    for start in range(0, chunks, _BLOCK):
        stop = min(chunks, start + _BLOCK)
        vectors[start:stop] = _around(centres[random.integers(len(centres), size=stop - start)], random)
    asked = _around(centres[random.integers(len(centres), size=questions)], random)
    np.save(folder / "question_vectors.npy", asked)
    np.save(folder / "levels.npy", _levels(-(-chunks // PER_DOCUMENT), random))
    shares = 1 / np.arange(1, _VOCABULARY + 1)
    shares /= shares.sum()
    with (folder / "texts.txt").open("w", encoding="utf-8") as file:
        for start in range(0, chunks, _BLOCK):
            drawn = random.choice(_VOCABULARY, size=(min(_BLOCK, chunks - start), _WORDS), p=shares)
            file.writelines(" ".join(f"w{word}x" for word in row) + "\n" for row in drawn.tolist())
    words = random.choice(_VOCABULARY, size=(questions, 5), p=shares).tolist()
    said = [" ".join(f"w{word}x" for word in row) + f" question{number}" for number, row in enumerate(words)]
    (folder / "questions.json").write_text(json.dumps(said), encoding="utf-8")
    _keep_exact(rows)
    (folder / "ready").touch()
    return rows


def exact(vectors: np.ndarray, asked: np.ndarray, allowed: np.ndarray, *, k: int) -> np.ndarray:
    """int64 [questions, k]: places of the allowed rows with the largest products, best first; -1 where there are fewer."""
    best = np.full((len(asked), k), -np.inf, dtype=np.float32)
    places = np.full((len(asked), k), -1, dtype=np.int64)
    for start in range(0, len(vectors), _BLOCK):
        inside = np.flatnonzero(allowed[start : start + _BLOCK])
        if not len(inside):
            continue
        scores = asked @ np.asarray(vectors[start : start + _BLOCK])[inside].T
        joined = np.concatenate([best, scores], axis=1)
        numbers = np.concatenate([places, np.broadcast_to(start + inside, scores.shape)], axis=1)
        order = np.argsort(-joined, axis=1, kind="stable")[:, :k]
        best, places = np.take_along_axis(joined, order, axis=1), np.take_along_axis(numbers, order, axis=1)
    return places


def peak_mb() -> float:
    """Largest resident size of this process so far; files that are mapped count as far as they were read. Linux only.

    `getrusage` would tell the parent's where that was larger before the child's program began.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def recall(found: list[list[int]], wanted: np.ndarray) -> float:
    """Mean share of the wanted places (-1 is none) that were found."""
    shares = []
    for mine, row in zip(found, wanted, strict=True):
        known = {int(place) for place in row if place >= 0}
        shares.append(len(known & set(mine)) / len(known))
    return float(np.mean(shares))


def _keep_exact(rows: Rows) -> None:
    levels = np.repeat(rows.levels, PER_DOCUMENT)[: len(rows.vectors)]
    for percent in PERCENT:
        found = exact(rows.vectors, rows.question_vectors, levels <= level_of(percent), k=DEPTH)
        np.save(rows.folder / f"nearest_{percent}.npy", found)


def _levels(documents: int, random: np.random.Generator) -> np.ndarray:
    """Of the documents .1 % level 0, up to 1 % level 1, up to 10 % level 2, the rest level 3."""
    order = random.permutation(documents)
    levels = np.full(documents, len(PERCENT) - 1, dtype=np.int64)
    for percent in PERCENT[1:]:
        levels[order[: max(1, round(documents * float(percent) / 100))]] = level_of(percent)
    return levels


def _around(centres: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _unit(centres + _NOISE * random.normal(size=centres.shape) / np.sqrt(DIMENSIONS)).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
