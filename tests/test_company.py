"""The generated company: enough of everything, evidence that stands in the parsed files, and text that reads like a firm's."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import pytest

from groundtune.access.audience import may_read
from groundtune.access.policy import Policy
from groundtune.company import Company, Knobs, generate, write
from groundtune.company.names import world
from groundtune.company.pages import read_pages
from groundtune.config import load_config
from groundtune.dataset.check import check_evidence
from groundtune.dataset.read import read_questions
from groundtune.dataset.split import assign_groups
from groundtune.decision.task import prepare
from groundtune.ingest.chunk import chunk
from groundtune.ingest.parse import Parser
from groundtune.types import Audience, Caller, Chunk, Document, Example
from tests.words import WORD, content, overlap

GROUPS = {"sales", "service", "works", "management"}


@dataclass(frozen=True)
class Firm:
    """The company as its users meet it: parsed files, located questions, audiences."""

    company: Company
    root: Path
    documents: dict[str, Document]
    examples: tuple[Example, ...]
    audiences: dict[str, Audience]


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Firm:
    root = tmp_path_factory.mktemp("company") / "team"
    company = generate()
    write(company, root, model="fake:extract")
    names = [document.path for document in company.documents]
    with Parser() as parser:
        documents = {name: parser.parse(root / "documents" / name, id=name) for name in names}
    reading = read_questions(root / "questions.jsonl")
    assert reading.problems == ()
    checked = check_evidence(reading.examples, lambda name: documents[name].text if name in documents else None)
    assert [str(problem) for problem in checked.problems] == []
    policy = Policy.from_config(load_config(root / "groundtune.toml").access)
    return Firm(company, root, documents, checked.examples, {name: policy.audience_for(name, None) for name in names})


# --- enough of everything -----------------------------------------------------------------------------------------------


def test_there_are_documents_of_every_kind_and_format(firm: Firm) -> None:
    documents = firm.company.documents
    assert len(documents) >= 60
    formats = Counter(document.format for document in firm.documents.values())
    assert formats.keys() == {"md", "html", "docx", "pdf", "xlsx", "eml"}
    assert min(formats.values()) >= 3
    kinds = {document.kind for document in documents}
    expected = {
        "policy",
        "manual",
        "price list",
        "ticket history",
        "meeting notes",
        "minutes",
        "contract",
        "CRM export",
        "mail",
    }
    assert expected <= kinds


def test_there_are_questions_of_every_kind(firm: Firm) -> None:
    kinds = Counter(example.kind for example in firm.examples)
    assert len(firm.examples) >= 300
    assert kinds.keys() == {"fact", "table", "time", "two_documents", "follow_up", "negation", "unanswerable"}
    assert min(kinds.values()) >= 0.06 * len(firm.examples)
    assert kinds["unanswerable"] == round(0.1 * len(firm.examples)) == sum(not example.answers for example in firm.examples)
    for example in firm.examples:
        assert bool(example.answers) == bool(example.evidence), example.id
        if example.kind == "two_documents":
            assert len({evidence.document for evidence in example.evidence}) == 2, example.id
        if example.kind == "follow_up":
            assert [message.role for message in example.history] == ["user", "assistant"], example.id


def test_answers_are_short_and_most_stand_in_the_evidence(firm: Firm) -> None:
    questions = [question for question in firm.company.questions if question.plain]
    assert all(1 <= len(question.plain[0].split()) <= 15 for question in questions)
    quoted = [any(question.plain[0] in quote for _, quote in question.evidence) for question in questions]
    assert mean(quoted) >= 0.95


def test_groups_are_many(firm: Firm) -> None:
    sizes = Counter(example.group for example in assign_groups(firm.examples))
    assert len(sizes) >= 230
    assert max(sizes.values()) <= 0.05 * len(firm.examples)


# --- who may read, and what is true when --------------------------------------------------------------------------------


def test_four_groups_overlap_and_every_asker_may_read_the_evidence(firm: Firm) -> None:
    readable = {
        group: frozenset(name for name, audience in firm.audiences.items() if may_read(audience, Caller.of("staff", group)))
        for group in sorted(GROUPS)
    }
    assert len(set(readable.values())) == len(GROUPS)
    for_all = {name for name, audience in firm.audiences.items() if may_read(audience, Caller.of("staff"))}
    assert all(for_all < names < set(firm.audiences) for names in readable.values())
    shared = [one & other - for_all for one in readable.values() for other in readable.values() if one is not other]
    assert any(shared) and not all(shared)
    assert not any(may_read(audience, Caller.of()) for audience in firm.audiences.values())
    for example in firm.examples:
        asker = Caller.of(*example.principals)
        assert all(may_read(firm.audiences[evidence.document], asker) for evidence in example.evidence), example.id
    assert {group for example in firm.examples for group in example.principals} == GROUPS | {"staff"}


def test_earlier_editions_are_near_duplicates_that_say_otherwise(firm: Firm) -> None:
    by_path = {document.path: document for document in firm.company.documents}
    earlier = [document for document in by_path.values() if document.superseded_by]
    assert len(earlier) >= 10
    alike = []
    for document in earlier:
        later = by_path[document.superseded_by or ""]
        assert document.date < later.date and document.text != later.text
        one, other = (
            {tuple(words[at : at + 3]) for at in range(len(words) - 2)} for words in map(content, (document.text, later.text))
        )
        alike.append(len(one & other) / len(one | other))
    assert sum(share >= 0.5 for share in alike) >= 8


def test_a_later_mail_wins_over_the_page_that_it_corrects(firm: Firm) -> None:
    dates = {document.path: document.date for document in firm.company.documents}
    changed = [question for question in firm.company.questions if question.kind == "two_documents" and "mail-" in question.id]
    assert changed
    for question in changed:
        mail, page = sorted((path for path, _ in question.evidence), key=lambda path: not path.endswith(".eml"))
        assert dates[mail] > dates[page], question.id
    pages = read_pages(world(0))
    amended = {spec.removeprefix("amend ") for page in pages for spec in page.slots.values() if spec.startswith("amend ")}
    outdated = {
        f"{page.id}-{number}"
        for page in pages
        for number, asking in enumerate(page.askings, start=1)
        if not page.id.startswith("mail-") and amended & set(asking.facts)
    }
    assert len(outdated) >= 8
    assert outdated.isdisjoint(question.id for question in generate(knobs=Knobs(questions=500)).questions)


# --- it reads like a firm -----------------------------------------------------------------------------------------------


def recall(firm: Firm, *, k: int = 5) -> float:
    """Share of the evidence in the k best readable chunks by BM25 (k1 = 1.2, b = 0.75), over the answerable questions."""
    chunks = [
        one
        for document in firm.documents.values()
        for one in chunk(document, tokens=120, count_tokens=lambda text: round(1.35 * len(WORD.findall(text))))
    ]
    bags = [Counter(content(f"{firm.documents[one.document].title} {' '.join(one.headings)} {one.text}")) for one in chunks]
    postings: defaultdict[str, list[int]] = defaultdict(list)
    for place, bag in enumerate(bags):
        for word in bag:
            postings[word].append(place)
    usual = mean(bag.total() for bag in bags)
    lengths = [0.25 + 0.75 * bag.total() / usual for bag in bags]

    def best(example: Example) -> list[Chunk]:
        asker = Caller.of(*example.principals)
        before = [message.content for message in example.history if message.role == "user"][-1:]
        scores: defaultdict[int, float] = defaultdict(float)
        for word in set(content(" ".join([*before, example.question]))):
            rarity = math.log(1 + (len(bags) - len(postings[word]) + 0.5) / (len(postings[word]) + 0.5))
            for place in postings[word]:
                scores[place] += rarity * bags[place][word] * 2.2 / (bags[place][word] + 1.2 * lengths[place])
        ranked = sorted(scores, key=lambda place: (-scores[place], place))
        return [chunks[place] for place in ranked if may_read(firm.audiences[chunks[place].document], asker)][:k]

    found = []
    for example in firm.examples:
        hits = best(example) if example.evidence else []
        for evidence in example.evidence:
            spans = [
                span
                for hit in hits
                if hit.document == evidence.document
                for span in evidence.spans
                if hit.start < span[1] and span[0] < hit.end
            ]
            found.append(bool(spans) / len(example.evidence))
    return sum(found) / sum(bool(example.evidence) for example in firm.examples)


def test_words_alone_find_much_but_not_all(firm: Firm) -> None:
    assert 0.6 <= recall(firm) <= 0.9


def test_questions_use_other_words_than_their_evidence(firm: Firm) -> None:
    assert overlap(firm.company) <= 0.5


def frame(text: str, names: re.Pattern[str]) -> str:
    """A sentence with names, codes and numbers taken out, found in the text itself: what is left was written once."""
    return " ".join(re.sub(r"\b[A-Z]{1,2}\d?[-#]?\d+\b|\d[\d,.:]*", "_", names.sub("_", text)).casefold().split())


def test_no_sentence_frame_is_behind_more_than_three_percent(firm: Firm) -> None:
    names = re.compile("|".join(re.escape(name) for name in firm.company.names if len(name) > 2))
    asked = Counter(frame(example.question, names) for example in firm.examples)
    assert max(asked.values()) <= 0.03 * asked.total()
    written = Counter(
        frame(sentence, names)
        for document in firm.company.documents
        for line in document.text.splitlines()
        if line and not line.startswith(("#", "|"))
        for sentence in re.split(r"(?<=[.!?])\s+", line)
    )
    assert written.total() >= 500
    assert max(written.values()) <= 0.03 * written.total()


def test_the_settings_keep_the_race_small(firm: Firm) -> None:
    config = load_config(firm.root / "groundtune.toml")
    assert config.model == "fake:extract"
    assert config.decision.candidates == ("prompt", "few_shot", "rag", "tuned", "rag_tuned")
    task = prepare(
        read_questions(firm.root / "questions.jsonl"),
        document_text=lambda name: firm.documents[name].text,
        documents=firm.documents,
        metric=config.metric,
        principals=config.access.questions,
        folds_wanted=config.decision.folds,
        seed=config.decision.seed,
        test_questions=config.decision.test_questions,
        train_questions=config.decision.train_questions,
    )
    assert task.scheme == "sealed test" and task.problems == ()
    assert abs(len(task.test_ids) - 60) <= 3 and abs(len(task.folds[0].train) - firm.company.knobs.labelled) <= 3
    assert task.grouping().groups >= 45
    assert "60 of" in task.left_unused or str(len(task.test_ids)) in task.left_unused
