"""Ends races with `kill -9` and compares what they come to with an undisturbed one. Knows processes, not what they compute.

python -m benchmarks.crash_run                                              # SmolLM2, 20 kills: the figures that are kept
python -m benchmarks.crash_run --model fake:extract --name crash_run_fake   # the plumbing, in a few minutes

A race runs in a process of its own that tells each step of its progress and goes on when it is told to: so it can be killed
exactly between two steps, or so many seconds into one. Some races are killed again and again as they continue. What is done
is kept in out/benchmarks/NAME; the same command goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import groundtune
from benchmarks.harness import ROOT, WORK, Figure, Goal, goal, save, write_rows
from groundtune.models.weights import cache
from groundtune.store.artefacts import write_whole

THINGS = ("Amberline", "Brackwell", "Corvane", "Duskhollow", "Elmsworth", "Farrowgate")
"""Invented devices, one document each."""
SETTINGS = """\
model = "{model}"
embedder = "{embedder}"
[access]
single = true
questions = ["local"]
[chunking]
tokens = 48
[retrieval]
k = 2
max_tokens = 120
[training]
epochs = {epochs}
batch_size = 4
[decision]
candidates = ["prompt", "rag", "rag_tuned"]
folds = 2
batch_size = 4
latency_requests = 2
max_new_tokens = 12
[prices]
core_hour = 0
"""
"""Without costs: they follow the measured seconds, and of two equal candidates the cheaper is chosen."""
STEPS = 6
"""Of one training: twelve examples, twice, four at once; the fake model's steps are epochs."""
PATIENCE_SECONDS = 600.0
"""Longest time between two steps; a race that takes longer hangs."""


@dataclass(frozen=True)
class Kill:
    """When a race is killed."""

    stage: str = ""
    """Beginning of a stage's name; empty: so many seconds after the start."""
    done: int = 0
    """Steps of the stage that are done, at least."""
    seconds: float = 0.0
    """Seconds that it then goes on; 0: exactly between two steps."""


PLACES = ("training", "answering", "elsewhere")
IN_TRAINING = (("train rag_tuned 1", 1), ("train rag_tuned 1", 3), ("train rag_tuned 2", 2), ("train rag_tuned 2", 4))
IN_ANSWERING = (("answer prompt 2", 4), ("answer rag 1", 8), ("answer rag_tuned 1", 4), ("answer rag_tuned 2", 8))


IN_ORDER = (
    Kill("parse", 3),
    Kill("embed", 1),
    *(Kill(stage, done) for stage, done in (*IN_ANSWERING[:2], *IN_TRAINING[:2])),
    *(Kill(stage, done) for stage, done in (IN_ANSWERING[2], *IN_TRAINING[2:], IN_ANSWERING[3])),
    Kill("latency", 1),
)
"""As a race comes by them."""
FEWEST = 5
"""Kills in training, and in answering."""


def schedule(*, seed: int, step_seconds: float, run_seconds: float) -> tuple[tuple[Kill, ...], ...]:
    """Twenty kills in three races, the first of which is killed twelve times. Delays and times are drawn."""
    draw = random.Random(seed)

    def within(stage: str, done: int) -> Kill:
        return Kill(stage, done, round(draw.uniform(0, step_seconds), 2))

    def anywhere(share: float) -> Kill:
        return Kill(seconds=round(draw.uniform(0, share * run_seconds), 2))

    again = (
        Kill("parse", 3),
        Kill("embed", 1),
        Kill("probe gold evidence", 4),
        *(Kill(stage, done) for stage, done in IN_ANSWERING[:2]),
        *(within(stage, done) for stage, done in IN_TRAINING),
        *(within(stage, done) for stage, done in IN_ANSWERING[2:]),
        Kill("latency", 1),
    )
    first = (within("answer rag 2", 4), within("train rag_tuned 1", 2), Kill("train rag_tuned 2", 1), anywhere(0.25))
    second = (anywhere(0.5), anywhere(0.5), within("train rag_tuned 2", 3), within("answer rag_tuned 2", 4))
    return again, first, second


# --- the race, in a process of its own ----------------------------------------------------------------------------------


def child(root: Path) -> None:
    """Decide; before each next step wait until the parent says so, and end with the parent."""

    def tell(stage: str, done: int, total: int) -> None:
        print(json.dumps([stage, done, total]), flush=True)
        if not sys.stdin.readline():
            os._exit(1)

    groundtune.decide(root, announce=lambda plan: tell("plan", len(plan.candidates), len(plan.candidates)), progress=tell)


@dataclass(frozen=True)
class Attempt:
    """How one process ended."""

    killed: bool
    stage: str
    """The last stage it told of; empty when it was killed before any."""
    done: int
    total: int
    seconds: float
    steps: Mapping[str, float]
    """Stage -> seconds from its first step to its last."""

    @property
    def place(self) -> str:
        """One of PLACES: the kind of the last stage told of, if it was under way."""
        if self.done >= self.total:
            return "elsewhere"
        kinds = {"train": "training", "answer": "answering", "probe": "answering"}
        return kinds.get(self.stage.split()[0], "elsewhere")


def attempt(root: Path, kill: Kill | None, *, home: Path) -> Attempt:
    """Run or continue the race in `root` in a new process group, which is killed when `kill` says so.

    `home` is the cache of weights. Raises RuntimeError when the race fails or hangs.
    """
    started = time.monotonic()
    told, first, last = ("", 0, 0), dict[str, float](), dict[str, float]()
    with (root / "child.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.crash_run", "--child", str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "GROUNDTUNE_CACHE": str(home)},
            start_new_session=True,
        )
    assert process.stdin is not None and process.stdout is not None
    due = started + kill.seconds if kill and not kill.stage else None
    killed = False
    with process:
        try:
            while line := _line(process.stdout.fileno(), until=due or time.monotonic() + PATIENCE_SECONDS):
                told = tuple(json.loads(line))
                stage, done, _ = told
                first.setdefault(stage, time.monotonic())
                last[stage] = time.monotonic()
                if kill and kill.stage and due is None and stage.startswith(kill.stage) and done >= kill.done:
                    due = time.monotonic() + kill.seconds
                    if not kill.seconds:
                        break
                process.stdin.write(b"\n")
                process.stdin.flush()
            killed = line != b""
        finally:
            if killed or sys.exc_info()[0] is not None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode and not (killed and due):
        raise RuntimeError(f"the race hangs or failed; see {root / 'child.log'}")
    return Attempt(killed, *told, time.monotonic() - started, {stage: last[stage] - first[stage] for stage in first})


def _line(descriptor: int, *, until: float) -> bytes | None:
    """The next line; None when it does not come in time, empty at the end. One line at most is under way at a time."""
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, until - time.monotonic())):
                return None
            piece = os.read(descriptor, 4096)
            if not piece:
                return b""
            line += piece
    return line


# --- what races come to -------------------------------------------------------------------------------------------------


def results_of(root: Path) -> dict[str, Any]:
    """All that a race must come to again: answers with their scores, the verdict, the weights, what was indexed, the looks."""
    report = json.loads((root / "report.json").read_text(encoding="utf-8"))
    lines = (root / report["scores"]).read_text(encoding="utf-8").splitlines()
    scores = [json.loads(line) for line in lines]
    decision = {key: report["decision"][key] for key in ("verdict", "winner", "provisional", "further_questions")}
    weights = [
        [one["id"], one["steps"], one["loss_first"], one["loss_last"]]
        for candidate in report["candidates"]
        for one in candidate["weights"]
    ]
    digests = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))["figures"]["digest"]
        for path in sorted((root / ".groundtune" / "weights").glob("*/training.json"))
    }
    found = {
        "answers": sorted([one["candidate"], one["item"], one["answer"], one["context"]] for one in scores),
        "scores": sorted([one["candidate"], one["item"], sorted(one["metrics"].items())] for one in scores),
        "verdict": [decision, report["comparisons"]],
        "weights": [weights, digests],
        "documents": [report["task"]["documents"], report["task"]["chunks"], report["task"]["questions"]],
        "looks": report["splits"]["looks"],
    }
    return json.loads(json.dumps(found))  # as the log keeps it


def resumed(root: Path) -> int:
    """Trainings that went on from a checkpoint."""
    about = [json.loads(path.read_text()) for path in (root / ".groundtune" / "weights").glob("*/training.json")]
    return sum(one["figures"]["resumed_at"] > 0 for one in about)


def write_task(root: Path, *, model: str) -> None:
    """A workspace with six documents and 24 questions."""
    rows = []
    for number, thing in enumerate(THINGS):
        facts = (
            ("weigh", f"{number + 3} kilograms", f"The {thing} weighs {number + 3} kilograms without its case."),
            ("cost", f"{40 + 7 * number} euros", f"One {thing} costs {40 + 7 * number} euros, delivery included."),
            ("last on one charge", f"{9 - number} hours", f"On one charge the {thing} lasts {9 - number} hours of plain use."),
            ("come back to us in", f"{10 + number} days", f"A faulty {thing} should come back to us in {10 + number} days."),
        )
        path = root / "documents" / f"{thing.lower()}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {thing}\n\n" + "".join(f"## Note\n\n{text}\n\n" for _, _, text in facts), encoding="utf-8")
        for verb, answer, quote in facts:
            evidence = [{"document": path.name, "quote": quote}]
            row = {"question": f"What does the {thing} {verb}?", "answers": [answer], "evidence": evidence}
            rows.append({"id": f"{thing.lower()}-{len(rows):02}", **row})
    write_rows(root / "questions.jsonl", rows)
    embedder, epochs = ("fake:hash", STEPS) if model.startswith("fake:") else ("embedded:minilm", 2)
    settings = SETTINGS.format(model=model, embedder=embedder, epochs=epochs)
    (root / "groundtune.toml").write_text(settings, encoding="utf-8")


def seed_cache(source: Path, target: Path) -> Path:
    """A cache with what `source` holds of untuned models, as hard links: tuned weights are converted anew in each race."""
    for path in [*source.glob("models/*"), *source.glob("wheels/*"), *source.glob("served/*-base-*")]:
        place = target / path.relative_to(source)
        if not place.exists():
            shutil.copytree(path, place, copy_function=_link)
    return target


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


# --- the measurement ----------------------------------------------------------------------------------------------------


class Log:
    """What was done so far, in a file that is written after every race and every kill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"races": {}}

    def write(self) -> None:
        write_whole(self.path, (json.dumps(self.rows, indent=1) + "\n").encode())


def undisturbed(work: Path, log: Log, *, model: str) -> dict[str, Any]:
    """The race that nothing disturbs: its results, seconds, and the seconds of a training step."""
    if "undisturbed" not in log.rows:
        root = work / "undisturbed"
        shutil.rmtree(root, ignore_errors=True)
        write_task(root, model=model)
        made = attempt(root, None, home=seed_cache(cache(), work / "cache"))
        steps = {stage: seconds for stage, seconds in made.steps.items() if stage.startswith("train")}
        log.rows["undisturbed"] = {
            "seconds": made.seconds,
            "step_seconds": sum(steps.values()) / max(1, len(steps)) / (STEPS - 1),
            "results": results_of(root),
        }
        log.write()
    found: dict[str, Any] = log.rows["undisturbed"]
    return found


def race(name: str, kills: Sequence[Kill], work: Path, log: Log, *, model: str) -> None:
    """One race, killed as often as `kills` says and then left to end; goes on where the log stops."""
    root, home = work / name, work / f"{name}-cache"
    row = log.rows["races"].setdefault(name, {"kills": [], "tried": 0})
    if "same" in row:
        return
    if not row["tried"]:
        shutil.rmtree(root, ignore_errors=True)
        write_task(root, model=model)
    seed_cache(work / "cache", home)
    for kill in kills[row["tried"] :]:
        ended = attempt(root, kill, home=home)
        row["tried"] += 1
        if ended.killed:
            row["kills"].append({**asdict(kill), "place": ended.place, "at": f"{ended.stage} {ended.done}/{ended.total}"})
            print(f"{name}: killed after {ended.seconds:.0f} s in {ended.place} ({row['kills'][-1]['at']})", flush=True)
        log.write()
        if not ended.killed:  # it was over before: what is left of the schedule hits another race
            break
    else:
        attempt(root, None, home=home)
    expected, found = log.rows["undisturbed"]["results"], results_of(root)
    row["same"] = {key: found[key] == value for key, value in expected.items()}
    row["resumed"] = resumed(root)
    print(f"{name}: {row['same']}", flush=True)
    log.write()
    shutil.rmtree(home, ignore_errors=True)


def races(work: Path, log: Log, *, model: str, kills: int, seed: int) -> None:
    """Races until so many kills have hit one, at random times first and then, where too few hit, between two steps."""
    base = undisturbed(work, log, model=model)
    planned = schedule(seed=seed, step_seconds=base["step_seconds"], run_seconds=base["seconds"])
    for number, chosen in enumerate(planned, start=1):
        race(f"race {number}", chosen, work, log, model=model)
    draw = random.Random(seed + 1)
    for number in range(len(planned) + 1, len(planned) + 6):
        left = kills - len(list(hits(log)))
        times = [round(draw.uniform(0, base["seconds"] / 2), 2) for _ in range(20)]
        if left > 0:
            race(f"race {number}", [Kill(seconds=one) for one in times[:left]], work, log, model=model)
    name = f"race {len(planned) + 6}"
    race(name, missing(list(hits(log, besides=name)), kills), work, log, model=model)


def missing(found: Sequence[Mapping[str, Any]], kills: int) -> list[Kill]:
    """Kills between two steps, which cannot miss, up to so many in all and `FEWEST` in training and in answering."""
    short = {place: FEWEST - sum(one["place"] == place for one in found) for place in ("training", "answering")}
    sure = {
        "answering": [Kill(stage, done) for stage, done in IN_ANSWERING],
        "training": [Kill(stage, done) for stage, done in IN_TRAINING],
        "elsewhere": [Kill("parse", 3), Kill("embed", 1), Kill("latency", 1)],
    }
    needed = [one for place, count in short.items() for one in sure[place][: max(0, count)]]
    spare = [one for group in sure.values() for one in group if one not in needed]
    chosen = [*needed, *spare[: max(0, kills - len(found) - len(needed))]]
    return [one for one in IN_ORDER if one in chosen]


def hits(log: Log, *, besides: str = "") -> Iterator[dict[str, Any]]:
    for name, row in log.rows["races"].items():
        if name != besides:
            yield from row["kills"]


def figures_of(log: Log) -> tuple[dict[str, Figure], list[Goal]]:
    """Kills by place, and of how many races each result was as undisturbed."""
    found = list(hits(log))
    done = [row for row in log.rows["races"].values() if "same" in row]
    figures: dict[str, Figure] = {
        "undisturbed_s": log.rows["undisturbed"]["seconds"],
        "verdict": log.rows["undisturbed"]["results"]["verdict"][0]["verdict"],
        "answers_count": len(log.rows["undisturbed"]["results"]["answers"]),
        "kills_count": len(found),
        **{f"kills_{place}_count": sum(one["place"] == place for one in found) for place in PLACES},
        "kills_between_steps_count": sum(bool(one["stage"]) and not one["seconds"] for one in found),
        "races_count": len(done),
        "kills_most_in_one_race_count": max(len(row["kills"]) for row in done),
        "trainings_resumed_count": sum(row["resumed"] for row in done),
        **{f"races_same_{key}_count": sum(row["same"][key] for row in done) for key in log.rows["undisturbed"]["results"]},
    }
    goals = [
        goal("kills_count", figures["kills_count"], ">=", 20),
        goal("kills_training_count", figures["kills_training_count"], ">=", FEWEST),
        goal("kills_answering_count", figures["kills_answering_count"], ">=", FEWEST),
        *(goal(f"races_same_{key}_count", figures[f"races_same_{key}_count"], "==", len(done)) for key in done[0]["same"]),
    ]
    return figures, goals


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="crash_run", help="name of the results file")
    parser.add_argument("--model", default="embedded:smollm2", help="provider:name")
    parser.add_argument("--seed", type=int, default=0, help="of the times that are drawn")
    parser.add_argument("--child", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        child(options.child)
        return
    work = WORK / options.name
    work.mkdir(parents=True, exist_ok=True)
    log = Log(work / "log.json")
    if log.rows.setdefault("model", options.model) != options.model:
        parser.error(f"{work} holds races of {log.rows['model']}; give another --name or delete it")
    started = time.monotonic()
    races(work, log, model=options.model, kills=20, seed=options.seed)
    log.rows["seconds"] = log.rows.get("seconds", 0.0) + time.monotonic() - started
    log.write()
    figures, goals = figures_of(log)
    save(options.name, {"model": options.model, **figures, "minutes_total": log.rows["seconds"] / 60}, goals)


if __name__ == "__main__":
    main()
