"""Towns of documents with random audiences, their callers and questions, and a brute-force account of who finds what.

Knows nothing of how the product stores, filters or ranks: who may read is decided here by looking at every document, and what a
caller should find by comparing every readable one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random

import numpy as np

from groundtune.interfaces import Embedder
from groundtune.types import Audience

K = 5
DEPTH = 50
"""Chunks of each retriever that are fused: the product's default."""
K1, B = 1.2, 0.75

HOSTILE = (
    "' OR '1'='1",
    '"); DROP TABLE documents;--',
    "everyone ",
    "EVERYONE",
    "every\u200bone",
    "a,b",
    'team-1"]',
    "%",
    "_",
    "*",
    "../team-1",
    "team-1\n",
    "team-1\u0000",
    "\u202eteam-1",
    "日本",
    "é",
    "e\u0301",
    "null",
    "[]",
    "x" * 500,
)
UNWRITABLE = ("", "\ud800")
"""Principals that no file can hold, yet a caller may claim and a program may assign."""
MARKER = re.compile(r"mark\d+z")

Principals = frozenset[str]


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may read: one principal of every clause and none of the denied."""

    clauses: tuple[Principals, ...] = ()
    denied: Principals = frozenset()

    def lets(self, principals: Principals) -> bool:
        """Every caller also is `everyone`; without clauses nobody may read."""
        held = principals | {"everyone"}
        return bool(self.clauses) and all(clause & held for clause in self.clauses) and not self.denied & held

    @property
    def audience(self) -> Audience:
        return Audience(frozenset(self.clauses), self.denied)

    @property
    def sidecar(self) -> str:
        def listed(principals: Principals) -> str:
            return "[" + ", ".join(json.dumps(one, ensure_ascii=False) for one in sorted(principals)) + "]"

        return f"read = [{', '.join(map(listed, self.clauses))}]\ndeny = {listed(self.denied)}\n"


NOBODY = Rule()


@dataclass
class Town:
    """Documents of a chunk each, in pairs of near duplicates where their `group` is the same."""

    documents: int
    audiences: int
    """Distinct ones, at most one a document."""
    seed: int = 0
    """Part of every marker, so that two towns with equal ids share none."""
    rules: list[Rule] = field(default_factory=list)
    """Who may read each document now."""
    groups: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    """Documents that were removed."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.people = [f"team-{number}" for number in range(min(60, 6 + self.audiences))]
        self.words = [f"{stem}{number}" for stem in ("amber", "basalt", "cobalt", "dune", "fjord") for number in range(60)]
        for number in range(self.documents):
            twin = number - 1 if number % 10 == 1 else number
            words = self.random.choices(self.words, k=40) if twin == number else self._words_of(twin)
            self.groups.append(twin)
            self.texts.append(f"# Title {self.marker(number)}\n\n{' '.join(words)}\n")
        distinct = self._distinct(self.audiences)
        self.rules = [distinct[number] if number < len(distinct) else self.random.choice(distinct) for number in self.numbers]
        self.random.shuffle(self.rules)

    @property
    def numbers(self) -> range:
        return range(self.documents)

    def id(self, number: int) -> str:
        return f"d{number:05}.md"

    def marker(self, number: int) -> str:
        """Stands in the title of this document alone, of all towns."""
        return f"mark{self.seed:03}{number:05}z"

    @cached_property
    def number_of(self) -> dict[str, int]:
        return {self.id(number): number for number in self.numbers}

    @cached_property
    def owner_of(self) -> dict[str, int]:
        return {self.marker(number): number for number in self.numbers}

    def readable(self, principals: Principals) -> np.ndarray:
        """bool [documents]: every document is looked at."""
        known: dict[Rule, bool] = {}
        for rule in self.rules:
            if rule not in known:
                known[rule] = rule.lets(principals)
        return np.array([known[rule] for rule in self.rules])

    def rule(self, *, writable: bool = True) -> Rule:
        """A random one: for nobody, everyone, unknown principals, a hostile one, ORs, ANDs of nested ORs, with denies."""
        draw = self.random
        people = [*self.people, *HOSTILE, *(() if writable else UNWRITABLE)]
        kind = draw.random()
        if kind < 0.04:
            return NOBODY
        if kind < 0.08:
            clauses = [frozenset({f"ghost-{draw.randrange(10**6)}"})]
        elif kind < 0.12:
            clauses = [frozenset({"everyone"}), frozenset(draw.sample(people, 2))]
        elif kind < 0.3:
            clauses = [frozenset(draw.sample(people[-len(HOSTILE) :], draw.randint(1, 3)))]
        elif kind < 0.6:
            clauses = [frozenset(draw.sample(people, draw.randint(1, 4)))]
        else:
            widest = draw.sample(people, 6)
            sizes = sorted({draw.randint(1, 6) for _ in range(draw.randint(2, 4))})
            clauses = [frozenset(widest[:size]) for size in sizes] + [frozenset(draw.sample(people, draw.randint(2, 6)))]
        denied = draw.sample([*people, "everyone"] if draw.random() < 0.02 else people, draw.choice((0, 0, 1, 2)))
        return Rule(tuple(sorted(set(clauses), key=sorted)), frozenset(denied))

    def caller(self) -> Principals:
        """Up to seven principals, near misses and strangers among them."""
        draw = self.random
        held = draw.sample([*self.people, *HOSTILE], draw.choice((0, 1, 1, 2, 3, 5, 7)))
        misses = [change(one) for one in held for change in (str.upper, str.strip, str.title) if draw.random() < 0.1]
        return frozenset(held + misses + draw.choice(([], [], ["stranger"], list(UNWRITABLE))))

    def question(self) -> str:
        """Some words of one document, now and then with its marker: somebody who knows what they look for."""
        number = self.random.randrange(self.documents)
        words = self.random.sample(self._words_of(number), self.random.randint(1, 5))
        return " ".join([*words, *([self.marker(number)] if self.random.random() < 0.2 else [])])

    def revoke(self, share: float, *, writable: bool = True) -> list[int]:
        """Other audiences for this share of the documents, nobody for a third of them; returns their numbers."""
        left = [number for number in self.numbers if number not in self.gone]
        changed = self.random.sample(left, max(1, round(share * self.documents)))
        for number in changed:
            self.rules[number] = NOBODY if self.random.random() < 1 / 3 else self.rule(writable=writable)
        return changed

    def remove(self, number: int) -> None:
        """Nobody may read it any more."""
        self.gone.add(number)
        self.rules[number] = NOBODY

    def write(self, root: Path, *, config: str) -> None:
        """The files of a workspace: documents, who may read them, and a question about every fifth."""
        (root / "documents").mkdir(parents=True, exist_ok=True)
        for number in self.numbers:
            (root / "documents" / self.id(number)).write_text(self.texts[number], encoding="utf-8")
            self.write_rule(root, number)
        rows = [
            {
                "id": f"q{number}",
                "question": " ".join(self._words_of(number)[:4]),
                "answers": [self.marker(number)],
                "evidence": [{"document": self.id(number), "quote": self.marker(number)}],
            }
            for number in self.numbers[:1000:5]
        ]
        (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (root / "groundtune.toml").write_text(config, encoding="utf-8")

    def write_rule(self, root: Path, number: int) -> None:
        path = root / "documents" / f"{self.id(number)}.access.toml"
        path.write_bytes(self.rules[number].sidecar.encode())

    def _words_of(self, number: int) -> list[str]:
        return self.texts[number].split("\n\n")[1].split()

    def _distinct(self, count: int) -> list[Rule]:
        found: dict[Rule, None] = {Rule((frozenset(self.people[:3]),)): None}
        while len(found) < count:
            found[self.rule()] = None
        return list(found)


class Reference:
    """What a search should find, by comparing every readable document: the stretched cosine and the stretched BM25."""

    def __init__(self, town: Town, questions: Sequence[str], *, embedder: Embedder) -> None:
        self.town = town
        self.questions = list(questions)
        self.cosines = embedder.embed(self.questions) @ embedder.embed(town.texts).T
        self.scores = bm25(town.texts, self.questions)

    def ranked(self, question: int, readable: np.ndarray) -> list[int]:
        """Numbers of the documents that this question finds among the readable ones, best first."""
        fused: dict[int, float] = {}
        for scores, floor in ((self.cosines[question], -np.inf), (self.scores[question], 0.0)):
            allowed = np.flatnonzero(readable & (scores > floor))
            values = scores[allowed]
            if len(allowed) > DEPTH:
                near = values >= np.partition(values, -DEPTH)[-DEPTH]
                allowed, values = allowed[near], values[near]
            best = sorted(zip(-values, allowed.tolist(), strict=True))[:DEPTH]
            if best:
                high, low = -best[0][0], -best[-1][0]
                for value, number in best:
                    fused[number] = fused.get(number, 0.0) + (1.0 if high == low else (-value - low) / (high - low))
        return sorted(fused, key=lambda number: (-fused[number], number))

    def best(self, question: int, readable: np.ndarray) -> list[int]:
        """Groups of the K best, near duplicates as one unless the question names one of them by its marker."""
        owner_of = self.town.owner_of
        named = {self.town.groups[owner_of[one]] for one in MARKER.findall(self.questions[question]) if one in owner_of}
        groups = [self.town.groups[number] for number in self.ranked(question, readable)]
        once = [group for place, group in enumerate(groups) if group in named or group not in groups[:place]]
        return once[:K]

    def shares_a_word(self, question: int, readable: np.ndarray) -> bool:
        return bool((self.scores[question][readable] > 0).any())


def bm25(texts: Sequence[str], questions: Sequence[str]) -> np.ndarray:
    """float64 [questions, texts]: Robertson's BM25 with Lucene's idf over lower-case words; no stems, no stop words."""
    cut = [re.findall(r"[a-z0-9]+", text.lower()) for text in texts]
    asked = [re.findall(r"[a-z0-9]+", question.lower()) for question in questions]
    places = {word: place for place, word in enumerate(sorted({word for words in asked for word in words}))}
    counts = np.zeros((len(places), len(texts)), dtype=np.float64)
    for column, words in enumerate(cut):
        for word in words:
            if word in places:
                counts[places[word], column] += 1
    lengths = np.array([len(words) for words in cut])
    held = (counts > 0).sum(axis=1, keepdims=True)
    idf = np.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
    weights = idf * counts * (K1 + 1) / (counts + K1 * (1 - B + B * lengths / lengths.mean()))
    return np.array([weights[[places[word] for word in words]].sum(axis=0) for words in asked])
