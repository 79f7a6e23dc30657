"""Retrieval collections -> files and questions with what should be found. Knows each data set's fields and faults.

Documents are written below `out/` where the data set does not hold them one a file in one folder; others are read in place.
"""

from __future__ import annotations

import csv
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.convert_handbook import KINDS, convert, documents_folder
from benchmarks.harness import WORK, data_folder
from groundtune.company import generate, write
from groundtune.errors import DataError

FOLDER = WORK / "retrieval"

Passage = tuple[str, str]
"""(document, quote)."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for, and what should be found: graded documents, or passages named by a quote."""

    id: str
    text: str
    kind: str = ""
    earlier: tuple[str, ...] = ()
    """Questions before it in the conversation, the last one first."""
    grades: Mapping[str, int] = field(default_factory=dict)
    """Document -> gain; larger is better, absent is none."""
    evidence: tuple[Passage, ...] = ()
    """Passages; beside graded documents only what tells which questions share evidence."""
    principals: tuple[str, ...] = ("local",)

    @property
    def whole(self) -> str:
        """The conversation's questions in one text, for a system that takes nothing else."""
        return " ".join([*reversed(self.earlier), self.text])


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents in a folder, and questions."""

    name: str
    documents: Path
    questions: tuple[Question, ...]
    unit: Literal["document", "evidence", "both"]
    """What is looked for: documents in the order of their best chunk, passages within the first chunks, or both."""


def cranfield() -> Collection:
    """Cranfield 1400: 225 questions; codes 1 (a complete answer) to 4 (of minimum interest) become gains 4 to 1, -1 none."""
    data = data_folder("ir_cranfield")
    texts = {}
    for number, fields in read_smart(data / "cran.all.1400").items():
        title, body = (" ".join(fields.get(name, "").split()) for name in "TW")
        texts[f"{int(number):04}.md"] = _page(title, body.removeprefix(title).strip())
    grades: dict[int, dict[str, int]] = {}
    for line in filter(str.strip, (data / "cranqrel").read_text(encoding="ascii").splitlines()):
        query, document, code = (int(part) for part in line.split()[:3])
        if 1 <= code <= 4:
            grades.setdefault(query, {})[f"{document:04}.md"] = 5 - code
    asked = read_smart(data / "cran.qry").values()  # numbered anew: the judgements count the questions in the order of the file
    questions = [Question(str(n), " ".join(one["W"].split()), grades=grades[n]) for n, one in enumerate(asked, start=1)]
    return Collection("cranfield", _written("cranfield", texts), tuple(questions), "document")


def cacm() -> Collection:
    """CACM: 3,204 titles, most with an abstract, 52 judged topics. The lists of citing numbers at the end are left out."""
    data = data_folder("ir_cacm")
    texts = {}
    with tarfile.open(data / "cacm.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            raw = re.sub(r"</?(?:html|pre)>", "", file.read().decode("latin-1"))
            lines = [line for line in raw.splitlines() if not re.fullmatch(r"\d+\t\d+\t\d+", line.strip())]
            title, _, body = "\n".join(lines).strip().partition("\n\n")
            texts[f"{Path(member.name).stem}.md"] = _page(" ".join(title.split()), body.strip())
    grades: dict[str, dict[str, int]] = {}
    for line in (data / "qrels.cacm.txt").read_text(encoding="ascii").splitlines():
        topic, _, document, grade = line.split()
        grades.setdefault(topic, {})[f"{document}.md"] = int(grade)
    topics = re.findall(
        r"<DOCNO>\s*(\d+)\s*</DOCNO>(.*?)</DOC>", (data / "topics.cacm.txt").read_text(encoding="latin-1"), re.S
    )
    questions = [Question(topic, " ".join(text.split()), grades=grades[topic]) for topic, text in topics if topic in grades]
    return Collection("cacm", _written("cacm", texts), tuple(questions), "document")


def handbook() -> Collection:
    """50 handbook pages; every kind of question that needs no picture and no earlier question."""
    return _of_handbook("handbook", tuple(kind for kind in KINDS if kind != "anaphora"), "both")


def follow_ups() -> Collection:
    """The handbook's 25 questions that mean nothing without the one before."""
    return _of_handbook("follow_ups", ("anaphora",), "evidence")


def firms(form: str = "md") -> Collection:
    """Four firms' pages in one collection. Facts are told in other words than the page's, so pages are looked for.

    `form`: `docx` or `pdf` give one firm's pages in that format, `one` the same firm's pages in Markdown.
    """
    data = data_folder("kb_rag_multi_corpus") / "datasets"
    folders = {re.sub(r"\W", "", folder.name).lower(): folder.name for folder in data.iterdir() if folder.is_dir()}
    single = None if form == "md" else "Aventro Motors"
    suffix = "md" if form in ("md", "one") else form
    held = {
        f"{folder}/{path.stem}": path
        for folder in folders.values()
        if single in (None, folder)
        for path in sorted((data / folder / suffix).iterdir())
    }
    questions = []
    (table,) = data.glob("*.csv")
    with table.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=1):
            folder = folders[re.sub(r"\W", "", row["Enterprise Name"]).lower()]
            facts = json.loads(row["Supporting Facts"])
            names = dict.fromkeys(f"{folder}/{Path(fact['filename']).stem}" for fact in facts)
            found = {_id(name, suffix): 1 for name in names if name in held}
            if found and single in (None, folder):
                quotes = tuple((_id(f"{folder}/{Path(fact['filename']).stem}", suffix), fact["text"]) for fact in facts)
                kind = row["Query Type"].lower()
                questions.append(Question(str(number), row["Query"], kind=kind, grades=found, evidence=quotes))
    name = "firms" if form == "md" else f"firm_{form}"
    target = FOLDER / name / "documents"
    for key, path in held.items():
        copy = target / _id(key, suffix)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            copy.write_bytes(path.read_bytes())
    return Collection(name, target, tuple(questions), "document")


def spans() -> Collection:
    """Five corpora, each one document, with questions whose passages are quoted verbatim."""
    data = data_folder("qa_chunking_eval")
    questions = []
    with (data / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=1):
            quotes = tuple((f"{row['corpus_id']}.md", one["content"]) for one in json.loads(row["references"]))
            questions.append(Question(str(number), row["question"], kind=row["corpus_id"], evidence=quotes))
    return Collection("spans", data / "corpora", tuple(questions), "evidence")


def demo() -> Collection:
    """The generated company, read by somebody who may read everything; for choosing. Follow-ups are left out."""
    company = generate()
    target = FOLDER / "demo" / "company"
    if not (target / "questions.jsonl").exists():
        write(company, target)
    questions = [
        Question(one.id, one.question, kind=one.kind, evidence=one.evidence)
        for one in company.questions
        if one.evidence and not one.history
    ]
    return Collection("demo", target / "documents", tuple(questions), "evidence")


def xquad() -> Collection:
    """240 paragraphs, each a document; for choosing."""
    (file,) = data_folder("qa_xquad").glob("xquad.en.json")
    texts, questions = {}, []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for number, paragraph in enumerate(article["paragraphs"]):
            name = f"{article['title']}-{number:02}.md"
            texts[name] = paragraph["context"]
            questions += [Question(one["id"], one["question"], grades={name: 1}) for one in paragraph["qas"]]
    return Collection("xquad", _written("xquad", texts), tuple(questions), "document")


def covidqa() -> Collection:
    """98 long papers, answers as passages; for choosing. Offsets are partly wrong: answers that stand there once are kept."""
    (file,) = data_folder("qa_covidqa").glob("*covidQA.json")
    texts, questions = {}, []
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            name, text = f"{paragraph['document_id']}.md", paragraph["context"]
            texts[name] = text
            for one in paragraph["qas"]:
                answer = one["answers"][0]["text"]
                if text.count(answer) == 1:
                    questions.append(Question(str(one["id"]), one["question"], evidence=((name, answer),)))
    return Collection("covidqa", _written("covidqa", texts), tuple(questions), "evidence")


# --- inside -------------------------------------------------------------------------------------------------------------


def _of_handbook(name: str, kinds: tuple[str, ...], unit: Literal["evidence", "both"]) -> Collection:
    data = data_folder("kb_gitlab_handbook")
    questions = [
        Question(
            row["id"],
            row["question"],
            kind=row["kind"],
            earlier=tuple(turn["content"] for turn in reversed(row.get("history", ()))),
            evidence=tuple((one["document"], one["quote"]) for one in row["evidence"]),
        )
        for row in convert(data, kinds=kinds)
    ]
    return Collection(name, documents_folder(data), tuple(questions), unit)


def read_smart(path: Path) -> Mapping[str, Mapping[str, str]]:
    """SMART format: item by the number after `.I`, each with its fields by letter."""
    return dict(_items(path))


def _items(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for item in re.split(r"^\.I ", path.read_text(encoding="latin-1"), flags=re.M)[1:]:
        number, _, rest = item.partition("\n")
        parts = re.split(r"^\.([A-Z])[ \r]*\n", rest, flags=re.M)[1:]
        yield number.strip(), dict(zip(parts[::2], parts[1::2], strict=True))


def _page(title: str, body: str) -> str:
    return f"# {title}\n\n{body}\n" if body else f"# {title}\n"


def _id(key: str, suffix: str) -> str:
    return f"{key.strip()}.{suffix}"


def _written(name: str, texts: Mapping[str, str]) -> Path:
    if not texts:
        raise DataError("no document was found in the data set.", subject=name, remedy="Fetch the data set again.")
    folder = FOLDER / name / "documents"
    folder.mkdir(parents=True, exist_ok=True)
    for id, text in texts.items():
        path = folder / id
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    return folder
