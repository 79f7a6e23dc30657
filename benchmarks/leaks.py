"""Does anything leave that a caller may not read? 100,000 (caller, question) pairs in which something forbidden would rank.

    python -m benchmarks.leaks --pairs 500 --name leaks_reduced
    python -m benchmarks.leaks                    # goes on where it stopped

Towns of 1,000 documents (10,000 where there are as many audiences) are synced with the fake embedder and asked through the
retriever and the assistants that `search` and `ask` open, and now and then through these calls themselves. Three times: as
synced; with readers that stay open while audiences change, of which the index learns late; two tenants with equal ids. Whatever
leaves (hits, near duplicates, citations, titles, prompts, few-shot examples, whether a word was found at all) is held against
brute force. Last, the product's locks are taken off in doubles, so that the same check must find leaks.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import groundtune
from benchmarks.harness import RESULTS, WORK, Figure, Goal, goal, save
from benchmarks.leaks_check import Watched, unauthorised_in_answer, unauthorised_in_hits
from benchmarks.leaks_world import K, Principals, Reference, Town
from groundtune.access.register import AccessRegister
from groundtune.access.tenants import Tenants
from groundtune.answer.assistant import Assistant
from groundtune.ingest.sync import sync
from groundtune.models import load_embedder
from groundtune.store.workspace import Workspace
from groundtune.types import Caller
from groundtune.verbs.knowledge import open_assistant, open_retriever

QUESTIONS = 500
AUDIENCES = (1, 10, 100, 1_000, 10_000)
ON_LANCE = 0.05
"""Share of the pairs that are asked of the default backend; the other one is faster, and the locks are the same."""
ASKED, FEW_SHOT = 50, 500
"""Every so many pairs are also asked of the assistant with retrieval, and of the one with examples."""
FIRST, BATCH = {"sqlite": 1_500, "lance": 500}, 6_000
"""Pairs after which what was seen is kept: a small batch of everything first."""
DOUBLED = 500
"""Pairs with each lock off."""
ROUND = 300
"""Pairs between two changes of audiences under open readers; in a small batch fewer, so that there are six changes."""
DIRECT = 6
"""Most calls of `search` and of `ask` themselves in each part; one for every fifty pairs in a small one."""
CONFIG = """\
model = "fake:extract"
embedder = "fake:hash"
[index]
backend = "{backend}"
[chunking]
context = "none"
"""


def _allow_all(_register: AccessRegister, _caller: Caller) -> frozenset[int]:
    return frozenset(range(1, 100_000))


def _call_all_readable(_register: AccessRegister, names: Iterable[str], _caller: Caller) -> set[str]:
    return set(names)


UNLOCKED: dict[str, Callable[..., object]] = {"allowed": _allow_all, "readable": _call_all_readable}
"""Stand-ins for the methods of `AccessRegister` that filter a search and check what it found."""
DOUBLES = {
    "both_locks_off": ("allowed", "readable"),
    "filter_off": ("allowed",),
    "final_check_off": ("readable",),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One phase on one index."""

    phase: str
    """synced | revoked | tenants | doubles"""
    backend: str
    audiences: int
    pairs: int
    batch: int = 0
    """Batches have the same town and questions, and callers and changes of their own."""

    @property
    def name(self) -> str:
        return "/".join(str(value) for value in asdict(self).values())


def parts(pairs: int) -> list[Part]:
    """A batch of everything first, so that what is broken off has seen all phases; in it the middling towns first."""

    def turn(part: Part) -> tuple[int, bool, bool, bool]:
        return part.batch, part.audiences == max(AUDIENCES), part.backend != "sqlite", part.audiences != 100

    return sorted(_parts(pairs), key=turn)


def _parts(pairs: int) -> Iterator[Part]:
    for phase in ("doubles", "synced", "revoked", "tenants"):
        sizes = {"doubles": (100,), "tenants": (100, 1_000)}.get(phase, AUDIENCES)
        for backend, share in (("sqlite", 1 - ON_LANCE), ("lance", ON_LANCE)):
            for audiences in sizes:
                left = DOUBLED if phase == "doubles" else round(pairs * share / len(sizes))
                batch = 0
                while left > 0:
                    size = min(BATCH if batch else FIRST[backend], left)
                    yield Part(phase, backend, audiences, size, batch)
                    left, batch = left - size, batch + 1


class Place:
    """A town's workspace, open, with its readers and the questions that are asked of it."""

    def __init__(self, town: Town, workspace: Workspace) -> None:
        self.town = town
        self.workspace = workspace
        self.embedder = load_embedder("fake:hash")
        self.retriever = open_retriever(workspace)
        self.register = AccessRegister(workspace.database)
        self.take([town.question() for _ in range(QUESTIONS)])
        self.assistants = {name: open_assistant(workspace, candidate=name) for name in ("rag", "few_shot")}
        self.models: dict[str, Watched] = {}
        for name, assistant in self.assistants.items():
            assert isinstance(assistant, Assistant)
            self.models[name] = Watched(assistant.model)
            assistant.model = self.models[name]

    def take(self, questions: Sequence[str]) -> None:
        """Ask these from now on."""
        self.questions = list(questions)
        self.reference = Reference(self.town, self.questions, embedder=self.embedder)
        everything = np.ones(self.town.documents, dtype=bool)
        self.tempting = [self.reference.ranked(number, everything)[:K] for number in range(QUESTIONS)]

    def tempted(self, question: int, readable: np.ndarray) -> bool:
        """Whether something forbidden would rank among the first."""
        return not all(readable[number] for number in self.tempting[question])

    def try_search(self, principals: Principals, question: int, readable: np.ndarray, *, current: bool = True) -> Counter[str]:
        """One pair. `current`: the index knows of every change, so that nothing may be missing either."""
        hits = self.retriever.search(self.questions[question], caller=Caller.of(*principals), k=K)
        seen = Counter(pairs=1, items=len(hits), unauthorised=unauthorised_in_hits(hits, self.town, readable))
        if current:
            wanted = set(self.reference.best(question, readable))
            found = {self.town.groups[self.town.number_of.get(hit.chunk.document, 0)] for hit in hits}
            seen.update(wanted=len(wanted), found=len(wanted & found))
        return seen

    def try_ask(self, principals: Principals, question: int, readable: np.ndarray, *, candidate: str = "rag") -> Counter[str]:
        text = self.questions[question]
        self.models[candidate].prompts = []
        answer = self.assistants[candidate].ask(text, caller=Caller.of(*principals))
        shares = candidate != "rag" or self.reference.shares_a_word(question, readable)
        prompts = self.models[candidate].prompts
        given = unauthorised_in_answer(answer, prompts, self.town, readable, question=text, shares_a_word=shares)
        return Counter({"asked": 1, "prompts": bool(prompts), "answered": not answer.abstained, "unauthorised": given})

    def try_direct(self, principals: Principals, question: int, readable: np.ndarray) -> Counter[str]:
        """The public calls, which open and close everything."""
        text, names = self.questions[question], sorted(principals)
        hits = groundtune.search(text, root=self.workspace.root, principals=names, k=K)
        answer = groundtune.ask(text, root=self.workspace.root, principals=names, candidate="rag")
        shares = self.reference.shares_a_word(question, readable)
        given = unauthorised_in_hits(hits, self.town, readable)
        given += unauthorised_in_answer(answer, [], self.town, readable, question=text, shares_a_word=shares)
        return Counter(direct=2, unauthorised=given)

    def ask_around(self, pairs: int, *, current: bool = True, callers: Sequence[Principals] = ()) -> Counter[str]:
        """At least `pairs` tempting pairs: these callers first, then new ones, each with questions in random order."""
        seen: Counter[str] = Counter()
        waiting = list(callers)
        each = -(-pairs // len(callers)) if callers else min(QUESTIONS, max(20, pairs // 10))
        while seen["pairs"] < pairs:
            principals = waiting.pop(0) if waiting else self.town.caller()
            readable = self.town.readable(principals)
            seen["callers"] += 1
            seen["callers_who_may_read_something"] += bool(readable.any())
            tempting = [number for number in range(QUESTIONS) if self.tempted(number, readable)]
            for question in self.town.random.sample(tempting, min(len(tempting), each, pairs - seen["pairs"])):
                seen += self.try_search(principals, question, readable, current=current)
                if seen["pairs"] % ASKED == 0:
                    seen += self.try_ask(principals, question, readable)
                if seen["pairs"] % FEW_SHOT == 0:
                    seen += self.try_ask(principals, question, readable, candidate="few_shot")
        return seen


def opened_place(folder: Path, part: Part, *, opened: ExitStack, seed: int = 0) -> Place:
    """A town, synced once for its backend and kept; what is opened is a copy, so that it may be changed."""
    town = Town(max(1_000, part.audiences) if part.pairs >= QUESTIONS else 120, part.audiences, seed=seed)
    kept = folder / "towns" / f"{part.backend}-{part.audiences}-{town.documents}-{seed}"
    ready = kept / "ready"
    if not ready.exists():
        shutil.rmtree(kept, ignore_errors=True)
        town.write(kept, config=CONFIG.format(backend=part.backend))
        report = groundtune.sync(kept)
        assert not report.problems and not report.failed and report.chunks == town.documents, report
        ready.touch()
    copy = folder / "copies" / f"town-{seed}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(kept, copy)
    opened.callback(shutil.rmtree, copy, ignore_errors=True)
    place = Place(town, opened.enter_context(Tenants(copy.parent).open(copy.name)))
    town.random.seed(part.name)
    return place


# --- phases -------------------------------------------------------------------------------------------------------------


def run(part: Part, folder: Path) -> Counter[str]:
    with ExitStack() as opened:
        return PHASES[part.phase](part, folder, opened)


def _synced(part: Part, folder: Path, opened: ExitStack) -> Counter[str]:
    place = opened_place(folder, part, opened=opened)
    return place.ask_around(part.pairs) + _direct(place, part)


def _revoked(part: Part, folder: Path, opened: ExitStack) -> Counter[str]:
    """Audiences change under open readers: in the database at once, in the index only where a sync follows."""
    place = opened_place(folder, part, opened=opened)
    town = place.town
    callers = [town.caller() for _ in range(8)]
    seen = place.ask_around(QUESTIONS // 10, callers=callers)  # caches are warm now
    seen["pairs"] = 0
    rounds = max(6, part.pairs // ROUND)
    for number in range(rounds):
        in_files = number < rounds * 5 // 6  # then come principals that no file can hold
        synced = in_files and number % 5 == 4
        changed = town.revoke(0.05, writable=in_files)
        if in_files:
            for one in changed:
                town.write_rule(place.workspace.root, one)
        if synced:
            for one in changed[:3]:
                (place.workspace.documents / town.id(one)).unlink()
                town.remove(one)
            sync(place.workspace, embedder=place.embedder)
        else:
            place.register.assign({town.id(one): town.rules[one].audience for one in changed})
        share = -(-part.pairs // rounds)
        seen += place.ask_around(min(share, part.pairs - seen["pairs"]), callers=callers, current=synced)
        seen["revocations"] += len(changed)
    return seen + _direct(place, part)


def _tenants(part: Part, folder: Path, opened: ExitStack) -> Counter[str]:
    """Two customers with equal ids, principals and questions, asked in turns."""
    places = [opened_place(folder, part, opened=opened, seed=seed) for seed in (0, 1)]
    of_first, of_second = (place.questions for place in places)
    for place in places:
        place.take([*of_first[::2], *of_second[::2]])
    seen: Counter[str] = Counter()
    while seen["pairs"] < part.pairs:
        principals = places[0].town.caller()
        readable = [place.town.readable(principals) for place in places]
        for question in places[0].town.random.sample(range(QUESTIONS), 20):
            for place, mine in zip(places, readable, strict=True):
                if place.tempted(question, mine) and seen["pairs"] < part.pairs:
                    seen += place.try_search(principals, question, mine)
                    if seen["pairs"] % ASKED == 0:
                        seen += place.try_ask(principals, question, mine)
    return seen


def _doubles(part: Part, folder: Path, opened: ExitStack) -> Counter[str]:
    """Both locks of the product taken off, in this process only; then each alone, with an index that is behind."""
    place = opened_place(folder, part, opened=opened)
    town = place.town
    place.register.assign({town.id(one): town.rules[one].audience for one in town.revoke(0.5)})
    seen: Counter[str] = Counter()
    for name, locks in DOUBLES.items():
        with ExitStack() as off:
            for lock in locks:
                off.enter_context(patch.object(AccessRegister, lock, UNLOCKED[lock]))
            found = place.ask_around(part.pairs, current=False)
        seen += Counter({f"{name}_pairs": found["pairs"], f"{name}_unauthorised": found["unauthorised"]})
    return seen


def _direct(place: Place, part: Part) -> Counter[str]:
    seen: Counter[str] = Counter()
    for question in range(min(DIRECT, part.pairs // 50)):
        principals = place.town.caller()
        seen += place.try_direct(principals, question, place.town.readable(principals))
    return seen


PHASES = {"synced": _synced, "revoked": _revoked, "tenants": _tenants, "doubles": _doubles}


# --- the whole ----------------------------------------------------------------------------------------------------------


def summary(rows: Sequence[Mapping[str, Any]], *, pairs: int) -> tuple[dict[str, Figure], list[Goal]]:
    """Flat figures over the parts that ended, and the goals."""
    figures: dict[str, Figure] = {"parts_finished": len(rows), "parts_planned": len(parts(pairs)), "questions": QUESTIONS}
    goals = []
    for phase in ("synced", "revoked", "tenants"):
        seen: Counter[str] = Counter()
        for row in rows:
            if row["phase"] == phase:
                seen.update({f"pairs_on_{row['backend']}": row["counts"]["pairs"], **row["counts"]})
        wanted, found = seen.pop("wanted", 0), seen.pop("found", 0)
        figures |= {f"{phase}_{name}": count for name, count in sorted(seen.items())}
        figures[f"{phase}_unauthorised"] = seen["unauthorised"] if seen["pairs"] else None
        figures[f"{phase}_share_found_of_what_brute_force_finds"] = found / wanted if wanted else None
        goals += [
            goal(f"{phase}_pairs", figures.get(f"{phase}_pairs"), ">=", pairs),
            goal(f"{phase}_unauthorised", figures[f"{phase}_unauthorised"], "==", 0),
        ]
    off: Counter[str] = Counter()
    for row in rows:
        off.update(row["counts"] if row["phase"] == "doubles" else {})
    figures |= dict(sorted(off.items()))
    for name in DOUBLES:
        given = off[f"{name}_unauthorised"] if off else None
        relation, target = ("==", 0) if name == "filter_off" else (">=", 1)  # the final check alone must hold
        goals.append(goal(f"{name}_unauthorised", given, relation, target))
    figures["minutes_of_processor"] = sum(row["seconds"] for row in rows) / 60
    return figures, goals


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000, help="in each of the three phases")
    parser.add_argument("--name", default="leaks", help="of the results")
    parser.add_argument("--work", type=Path, default=WORK / "leaks", help="where the towns are kept")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    chosen.work.mkdir(parents=True, exist_ok=True)
    kept = chosen.work / f"{chosen.name}.parts.jsonl"
    done = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
    planned = {part.name: part for part in parts(chosen.pairs)}
    try:
        for name in [name for name in planned if name not in {row["name"] for row in done}]:
            started = time.process_time()
            counts = run(planned[name], chosen.work)
            seconds = time.process_time() - started
            done.append({"name": name, **asdict(planned[name]), "seconds": seconds, "counts": dict(counts)})
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[-1]) + "\n")
            print(f"{seconds:7.1f} s  {name}  {dict(counts)}", flush=True)
    finally:  # also of a run that was broken off
        rows = [row for row in done if row["name"] in planned]
        save(chosen.name, *summary(rows, pairs=chosen.pairs), folder=chosen.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
