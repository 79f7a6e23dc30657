"""A whole company from a seed and knobs, as plain data. Knows the order of things; writes no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from groundtune.company.asking import Question, ask
from groundtune.company.knobs import Knobs
from groundtune.company.ledger import Ledger, ledger
from groundtune.company.names import DESKS, world
from groundtune.company.pages import read_pages
from groundtune.company.render import Document, draw_facts, edit_facts, render
from groundtune.company.routing import Mail, mails
from groundtune.company.style import style

READERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "handbook": (("staff",),),
    "products": (("staff",),),
    "export": (("staff",),),
    "sales": (("sales", "management"),),
    "service": (("service", "sales"),),
    "works": (("works", "service"),),
    "management": (("staff",), ("management",)),
}
"""Folder -> clauses: a reader holds one principal of each."""


@dataclass(frozen=True, slots=True)
class Company:
    """Everything about one invented firm."""

    name: str
    seed: int
    knobs: Knobs
    documents: tuple[Document, ...]
    """Sorted by path."""
    questions: tuple[Question, ...]
    """Sorted by id."""
    mails: tuple[Mail, ...]
    """A task without documents: which queue a mail goes to."""
    ledger: Ledger
    """A task without documents: questions to a database."""
    names: tuple[str, ...]
    """Every name of the fiction and every country, the longest first."""


def generate(seed: int = 0, knobs: Knobs | None = None, *, edited: float = 0.0) -> Company:
    """The firm of a seed; the same seed and knobs give the same firm.

    `edited` is the share of its facts that changed since then: the same documents and questions, with other facts in force and
    other answers. Raises UsageError when the pages hold fewer questions than the knobs ask for.
    """
    knobs = knobs or Knobs()
    fiction = world(seed)
    pages = read_pages(fiction)
    facts = draw_facts(pages, fiction, seed=seed, churn=knobs.churn)
    facts = edit_facts(facts, pages, fiction, seed=seed, share_edited=edited)
    rendered = {
        page.id: [
            render(page, fiction, facts, seed=seed, edition=edition, readers=READERS)
            for edition in range(len(page.header.get("editions", [""])))
        ]
        for page in pages
    }
    documents: list[Document] = []
    for page in pages:
        *earlier, newest = rendered[page.id]
        if not facts.changed.isdisjoint(page.slots):
            documents += [replace(edition.document, superseded_by=newest.document.path) for edition in earlier]
        documents.append(newest.document)
    questions = ask(
        pages,
        rendered,
        fiction,
        facts,
        seed=seed,
        knobs=knobs,
        style=style(seed, knobs.style, people=[*fiction.of("person"), *fiction.of("manager")]),
        groups={folder: READERS[folder][-1] for folder in DESKS},
    )
    return Company(
        name=fiction.names["firm"],
        seed=seed,
        knobs=knobs,
        documents=tuple(sorted(documents, key=lambda document: document.path)),
        questions=questions,
        mails=mails(seed, fiction),
        ledger=ledger(seed, fiction),
        names=fiction.all(),
    )
