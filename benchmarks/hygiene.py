"""What the gate of training data finds: personal data, secrets, near duplicates, test leaks. Knows the data set's form only.

Personal data is measured on 1,600 synthetic documents with gold spans (pii_presidio), in parts that are kept as they are done;
the rest is generated from a seed. Nothing in the results quotes a text: a miss is named by file, document and place.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import random
import re
import string
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import WORK, Figure, Goal, data_folder, goal, save
from groundtune.dataset import names as names_module
from groundtune.dataset import personal as personal_module
from groundtune.dataset.findings import Gate
from groundtune.dataset.gate import check_dataset
from groundtune.dataset.near import NearDuplicates
from groundtune.dataset.personal import KINDS, STRUCTURED, SURE, suspected
from groundtune.dataset.secrets import secrets_in
from groundtune.dataset.spans import Found, disjoint
from groundtune.types import Audience, Caller, Example

FILES = ("data/synth_dataset_v2.json", "tests/data/generated_small.json")
SAME = {
    "ADDRESS": "STREET_ADDRESS",
    "DOMAIN_NAME": "URL",
    "GPE": "LOCATION",
}
"""The data set's word for a kind -> ours."""
PART = 100
"""Documents between two savings."""
CURVE = (0.3, SURE, 0.37, 0.38, 0.4, 0.6, 0.8)
"""Scores from which on a name counts; below SURE also words in small letters that are not English."""
FOLDER = WORK / "hygiene"

# --- personal data ------------------------------------------------------------------------------------------------------


def documents() -> list[dict[str, Any]]:
    folder = data_folder("pii_presidio")
    return [row for name in FILES for row in json.loads((folder / name).read_text(encoding="utf-8"))]


def spans(rows: Sequence[Mapping[str, Any]], *, minutes: float | None) -> list[list[Found]]:
    """What the recognisers suspect in each document, as far as the minutes reach; parts are kept until the code changes."""
    code = hashlib.sha256(
        b"".join(Path(module.__file__).read_bytes() for module in (personal_module, names_module))
    ).hexdigest()
    folder, began, found = FOLDER / code[:12], time.monotonic(), list[list[Found]]()
    for start in range(0, len(rows), PART):
        path = folder / f"part-{start:05d}.json"
        if not path.exists():
            if minutes is not None and time.monotonic() - began > 60 * minutes:
                return found
            made = suspected([row["full_text"] for row in rows[start : start + PART]], kinds=KINDS)
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = [[[one.start, one.end, one.kind, one.score] for one in spans] for spans in made]
            part = path.with_suffix(".part")
            part.write_text(json.dumps(kept), encoding="utf-8")
            part.replace(path)
            print(f"{start + len(made)} of {len(rows)} documents", flush=True)
        found += [[Found(*one) for one in spans] for spans in json.loads(path.read_text(encoding="utf-8"))]
    return found


def letters(text: str, start: int, end: int) -> set[int]:
    """Places of the letters and digits of a span: blank space and punctuation at its ends do not count."""
    return {place for place in range(start, end) if text[place].isalnum()}


def score(rows: Sequence[Mapping[str, Any]], found: Sequence[Sequence[Found]], *, sure: float) -> dict[str, Figure]:
    """By kind: recall (every letter and digit of a gold span lies in found spans of that kind; `covered`: of any kind),
    precision (half of a found span lies in gold spans of its kind), and the misses, as `document:start-end`."""
    gold_count: Counter[str] = Counter()
    right: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    said: Counter[str] = Counter()
    true: Counter[str] = Counter()
    missed: defaultdict[str, list[str]] = defaultdict(list)
    for number, (row, raw) in enumerate(zip(rows, found, strict=False)):
        text, picked = row["full_text"], disjoint(one for one in raw if one.score >= sure)
        own: defaultdict[str, set[int]] = defaultdict(set)
        gold: defaultdict[str, set[int]] = defaultdict(set)
        for one in picked:
            own[one.kind] |= letters(text, one.start, one.end)
        everything = set().union(*own.values())
        for span in row["spans"]:
            kind = SAME.get(span["entity_type"], span["entity_type"])
            places = letters(text, span["start_position"], span["end_position"])
            gold[kind] |= places
            gold_count[kind] += 1
            right[kind] += places <= own[kind]
            covered[kind] += places <= everything
            if not places <= own[kind]:
                missed[kind].append(f"{number}:{span['start_position']}-{span['end_position']}")
        for one in picked:
            places = letters(text, one.start, one.end)
            said[one.kind] += 1
            true[one.kind] += 2 * len(places & gold[one.kind]) >= len(places)
    figures: dict[str, Figure] = {}
    for kind in sorted(gold_count):
        name = kind.lower()
        figures[f"personal_{name}_spans"] = gold_count[kind]
        figures[f"personal_{name}_recall"] = right[kind] / gold_count[kind] if kind in KINDS else None
        figures[f"personal_{name}_covered"] = covered[kind] / gold_count[kind]
        figures[f"personal_{name}_missed"] = len(missed[kind]) if kind in KINDS else None
        if kind in STRUCTURED:
            figures[f"personal_{name}_misses"] = " ".join(missed[kind])
        figures[f"personal_{name}_precision"] = true[kind] / said[kind] if said[kind] else None
    structured = [kind for kind in STRUCTURED if gold_count[kind]]
    total = sum(gold_count[kind] for kind in structured)
    figures["personal_structured_recall"] = sum(right[kind] for kind in structured) / total if total else None
    return figures


def personal(*, minutes: float | None) -> tuple[dict[str, Figure], list[Goal]]:
    rows = documents()
    found = spans(rows, minutes=minutes)
    figures: dict[str, Figure] = {"personal_documents": len(found), "personal_documents_in_all": len(rows)}
    if not found:
        return figures, []
    figures |= score(rows, found, sure=SURE)
    for sure in CURVE:
        at = score(rows, found, sure=sure)
        figures |= {f"names_{what}_at_{sure}": at[f"personal_person_{what}"] for what in ("recall", "precision")}
    goals = [
        goal(f"personal_{kind.lower()}_recall", figures[f"personal_{kind.lower()}_recall"], ">=", 0.95) for kind in STRUCTURED
    ]
    enough = [figures[f"names_recall_at_{sure}"] for sure in CURVE if _at_least(figures[f"names_precision_at_{sure}"], 0.6)]
    figures["names_best_recall_at_precision_60"] = max((one for one in enough if isinstance(one, float)), default=None)
    goals.append(goal("names_best_recall_at_precision_60", figures["names_best_recall_at_precision_60"], ">=", 0.85))
    return figures, goals


def _at_least(figure: Figure, limit: float) -> bool:
    return isinstance(figure, float) and figure >= limit


# --- secrets ------------------------------------------------------------------------------------------------------------

_ALNUM = string.ascii_letters + string.digits


def _drawn(draw: random.Random, alphabet: str, length: int) -> str:
    return "".join(draw.choices(alphabet, k=length))


def _jwt(draw: random.Random) -> str:
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": _drawn(draw, string.digits, 10), "iat": draw.randrange(10**9)}]
    told = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*told, _drawn(draw, f"{_ALNUM}-_", 43)])


def _pem(draw: random.Random) -> str:
    lines = [_drawn(draw, f"{_ALNUM}+/", 64) for _ in range(6)]
    kind = draw.choice(["RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY"])
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"])


KEYS: Mapping[str, Callable[[random.Random], str]] = {
    "aws_access_key": lambda draw: draw.choice(["AKIA", "ASIA"]) + _drawn(draw, string.ascii_uppercase + string.digits, 16),
    "github_token": lambda draw: draw.choice(["ghp_", "gho_", "ghs_"]) + _drawn(draw, _ALNUM, 36),
    "github_fine_grained": lambda draw: f"github_pat_{_drawn(draw, _ALNUM, 22)}_{_drawn(draw, _ALNUM, 59)}",
    "gitlab_token": lambda draw: f"glpat-{_drawn(draw, f'{_ALNUM}_-', 19)}{_drawn(draw, _ALNUM, 1)}",
    "slack_token": lambda draw: (
        f"xoxb-{_drawn(draw, string.digits, 12)}-{_drawn(draw, string.digits, 13)}-{_drawn(draw, _ALNUM, 24)}"
    ),
    "stripe_key": lambda draw: f"sk_live_{_drawn(draw, _ALNUM, 24)}",
    "google_api_key": lambda draw: f"AIza{_drawn(draw, f'{_ALNUM}_-', 34)}{_drawn(draw, _ALNUM, 1)}",
    "openai_key": lambda draw: f"sk-proj-{_drawn(draw, f'{_ALNUM}_-', 74)}T3BlbkFJ{_drawn(draw, _ALNUM, 74)}",
    "jwt": _jwt,
    "private_key": _pem,
}
"""Kind -> a key in its issuer's format."""
SENTENCES = ("Use {} for the test.", "export TOKEN={}", "It says: {} and then fails, please help", '{{"key": "{}"}}', "{}")


def secrets(*, each: int = 20) -> tuple[dict[str, Figure], list[Goal]]:
    draw = random.Random(0)
    figures: dict[str, Figure] = {}
    total = 0
    for kind, make in KEYS.items():
        texts = [draw.choice(SENTENCES).format(make(draw)) for _ in range(each)]
        hits = sum(bool(secrets_in(text)) for text in texts)
        figures[f"secrets_{kind}_recall"] = hits / each
        total += hits
    figures["secrets_recall"] = total / (each * len(KEYS))
    goals = [goal("secrets_recall", figures["secrets_recall"], ">=", 0.98)]
    paragraphs = handbook()
    if paragraphs:
        alarms = sum(bool(secrets_in(one)) for one in paragraphs)
        figures |= {"secrets_prose_paragraphs": len(paragraphs), "secrets_false_alarms": alarms / len(paragraphs)}
        goals.append(goal("secrets_false_alarms", figures["secrets_false_alarms"], "<=", 0.01))
    return figures, goals


def handbook() -> list[str]:
    """Paragraphs of the handbook."""
    folder = data_folder("kb_gitlab_handbook") / "content"
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.md"))]
    return [one for text in texts for one in text.split("\n\n") if one.strip()]


# --- near duplicates and leaks ------------------------------------------------------------------------------------------


def _misspelt(draw: random.Random, text: str) -> str:
    at = draw.randrange(1, len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _without_a_word(draw: random.Random, text: str) -> str:
    words = text.split()
    words.pop(draw.randrange(len(words)))
    return " ".join(words)


PLANTS: Mapping[str, Callable[[random.Random, str], str]] = {
    "case": lambda _, text: text.upper(),
    "punctuation": lambda _, text: re.sub(r"[.,;](?=\s|$)", " !", text) + " ...",
    "misspelt": _misspelt,
    "word_left_out": _without_a_word,
    "greeting": lambda _, text: f"Hello, {text}",
}


def passages(count: int, *, words: tuple[int, int]) -> list[str]:
    """Texts of the handbook of so many words, all different, drawn from a seed."""
    found = sorted(
        {" ".join(one.split()) for one in handbook() if words[0] <= len(one.split()) <= words[1] and one[0].isalpha()}
    )
    return random.Random(1).sample(found, min(count, len(found)))


def duplicates(*, count: int = 200) -> tuple[dict[str, Figure], list[Goal]]:
    """Copies with a small change beside their originals; and what is taken for a duplicate without being planted."""
    originals = passages(2 * count, words=(12, 60))
    draw, index = random.Random(2), NearDuplicates()
    natural = 0
    for number, text in enumerate(originals):
        natural += bool(index.like(text))
        index.add(str(number), text)
    kinds = list(PLANTS)
    hits: Counter[str] = Counter()
    for number, text in enumerate(originals[:count]):
        kind = kinds[number % len(kinds)]
        hits[kind] += str(number) in {key for key, _ in index.like(PLANTS[kind](draw, text))}
    figures: dict[str, Figure] = {f"duplicates_{kind}_found": hits[kind] for kind in kinds}
    figures |= {"duplicates_planted": count, "duplicates_found": sum(hits.values()), "duplicates_not_planted": natural}
    return figures, [goal("duplicates_found", figures["duplicates_found"], "==", count)]


LEAKS: Mapping[str, Callable[[random.Random, Example], Example]] = {
    "verbatim": lambda _, one: Example("", one.question, one.answers),
    "other_answer": lambda _, one: Example("", one.question, ("Nobody knows.",)),
    "misspelt": lambda draw, one: Example("", _misspelt(draw, one.question), one.answers),
    "inside": lambda _, one: Example("", f"Dear team, I wonder: {one.question} Thanks in advance and best wishes.", ("Soon.",)),
    "answer_only": lambda _, one: Example("", "What else is written there about it?", one.answers),
}


def leaks(*, count: int = 100) -> tuple[dict[str, Figure], list[Goal]]:
    """Test items smuggled into training data in five ways; and innocent examples that are taken for leaks."""
    texts = passages(3 * count, words=(16, 60))
    held = {f"t{n}": Example(f"t{n}", texts[n], (texts[count + n],)) for n in range(count)}
    innocent = [Example(f"i{n}", f"Explain: {text}", ("It is so.",)) for n, text in enumerate(texts[2 * count :])]
    draw, kinds = random.Random(3), list(LEAKS)
    planted = []
    for number, one in enumerate(held.values()):
        made = LEAKS[kinds[number % len(kinds)]](draw, one)
        planted.append(Example(f"{kinds[number % len(kinds)]}-{number}", made.question, made.answers))
    gate = Gate(
        may_train=lambda _: "",
        audience_of=lambda _: Audience.of("all"),
        users=(Caller.of("all"),),
        held_out=held,
        personal_kinds=(),
        leave=frozenset((check, one.id) for one in (*planted, *innocent) for check in ("secrets", "duplicates")),
    )
    dropped = {one.example for one in check_dataset([*planted, *innocent], gate=gate).findings if one.check == "overlap"}
    figures: dict[str, Figure] = {f"leaks_{kind}_found": sum(one.startswith(kind) for one in dropped) for kind in kinds}
    caught = sum(one.id in dropped for one in planted)
    figures |= {"leaks_planted": count, "leaks_found": caught, "leaks_false": sum(one.id in dropped for one in innocent)}
    return figures, [goal("leaks_found", caught, "==", count)]


def main(arguments: Sequence[str] | None = None, *, folder: Path | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, help="begin no further part of the personal data after so many")
    parser.add_argument("--without-personal", action="store_true", help="leave the personal data out")
    given = parser.parse_args(arguments)
    figures: dict[str, Figure] = {}
    goals: list[Goal] = []
    for part in (secrets, duplicates, leaks):
        found, wanted = part()
        figures |= found
        goals += wanted
        print(f"{part.__name__} done", flush=True)
    if not given.without_personal:
        found, wanted = personal(minutes=given.minutes)
        figures |= found
        goals += wanted
    save("hygiene", figures, goals, **({"folder": folder} if folder else {}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
