"""The groundtune.toml that `init` writes. Knows the text; a test reads it back through the tree."""

from __future__ import annotations

from groundtune.types import EVERYONE, LOCAL


def default_config_text(
    *, documents: str = "documents", questions: str = "questions.jsonl", model: str = "embedded:smollm2", single: bool = False
) -> str:
    """The groundtune.toml that `init` writes: the keys that a team will edit, each explained, and an explicit `[access]`."""
    return _TEMPLATE.format(
        documents=_quoted(documents),
        questions=_quoted(questions),
        model=_quoted(model),
        access=_SINGLE if single else _RULES,
    )


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'


_RULES = f"""\
# Who may read what. The first rule whose glob matches a document's path (below the documents folder) applies; a document that
# no rule matches is readable by nobody, and `groundtune sync` lists it.
#   read = ["hr", "board"]             whoever is hr or board
#   read = [["staff"], ["hr", "it"]]   whoever is staff and also hr or it
#   deny = ["intern"]                  but never an intern
# A file `NAME.access.toml` beside a document, holding `read` and `deny`, beats the rules.
questions = []   # principals of the questions that name none; every caller is also "{EVERYONE}"

# Put narrower rules above this one.
[[access.rules]]
match = "**"
read = ["{EVERYONE}"]
"""

_SINGLE = f"""\
# Everything belongs to the single principal "{LOCAL}": whoever asks with it reads every document. To tell people apart, remove
# this line and write rules:
#   [[access.rules]]
#   match = "hr/**"
#   read = ["hr"]
single = true
questions = ["{LOCAL}"]
"""

_TEMPLATE = """\
# Groundtune workspace. Keys that are left out have the values shown in comments. Unknown keys are errors.

model = {model}   # provider:name; see `groundtune models`
embedder = "embedded:minilm"
metric = "f1"   # the primary metric; fix it before the first look
# instruction = ""   # what models are told, such as "Write the SQL query."; by default to answer in a few words
documents = {documents}   # folder; "" when there are none
questions = {questions}   # one JSON object a line: question, answers, ...

[access]
{access}
[ingest]
# languages = ["eng"]            # of scans and pictures, by tesseract's names; needs its data installed
# passwords = "passwords.txt"    # one a line, tried on protected documents; or a file NAME.password beside one
# seconds = 50                   # longest time that reading one document may take
# memory_mb = 1024               # and most memory

[chunking]
# method = "recursive"   # or fixed, sentence, page, table, parent
# tokens = 220           # longest chunk, in the embedder's tokens
# context = "headings"   # searched with a chunk: its headings; "model": and a sentence that the model writes; or "none"

[index]
# backend = "lance"      # or "sqlite", which needs no extra package and compares every vector

[retrieval]
# k = 3                  # chunks given to the model
# max_tokens = 600       # model tokens that they may take together
# neighbours = 0         # chunks before and after a found one that are shown with it
# near_duplicate = 0.9   # share of word triples from which on two passages count as one; 1.0: only equal ones
# follow_up = "words"    # a question in a conversation is searched with those before it; "model" rewrites it; or "off"
# reranker = "hf:./FOLDER"   # a cross-encoder that orders the best chunks anew; none is shipped
# min_evidence = 0.0     # with less evidence in what was found nothing is answered; `groundtune sweep` calibrates it

[training]
# audience = ["everyone"]   # who will use tuned weights; only examples that they may read enter
# forgetting = true         # `groundtune train` ends with general questions before and after; see the model card

[dataset]
# personal = "redact"    # or "drop": what becomes of examples with personal data; personal_kinds names what is looked for
# names = "sure"         # or "likely": also what is no English word in texts in small letters, misspelt words among them
# Training files, and whether a model may be trained on them; see docs/datasets.md. Nothing is trained on that is not named.
# [[dataset.files]]
# path = "tickets.jsonl"
# train = true
# read = ["support"]     # who may read its examples
# [[dataset.documents]]
# match = "**"
# train = true

[scoring]
# database = "shop.sqlite"          # for metric = "sql_execution": queries run on it, read-only
# json_schema = "answer.schema.json"   # for metric = "json_schema"

[decision]
# candidates = ["prompt", "few_shot", "rag", "tuned", "rag_tuned"]
# margin = 0.05    # points of the metric that count as "worse"
# test_questions = 100   # about so many are answered and scored, drawn by group; without it all
# train_questions = 200  # about so many may be learned from, drawn by group; without it all
# budget = "20m"   # or "5USD": limits the work chosen from the plan
# must_cite = false          # a candidate that breaks a limit is shown, but cannot win
# max_p95_seconds = 2.0
# max_cost_per_1000 = 1.5
# max_memory_gb = 4.0        # of a process that only answers
# max_staleness_hours = 48   # how old the facts in an answer may be; needs [upkeep]
# max_staleness_loss = 0.03  # points of the metric that changed facts may cost before they are renewed; needs [upkeep]
# report_audience = ["staff"]   # who will read the report; it shows texts that all of them may see, by default none;
#                    a reader who is staff and also board: [["staff", "board"]]
# sweep = false    # true first chooses [chunking] and [retrieval] on questions that are not scored, and writes them here
# search = false   # true first chooses examples and instructions on the dev part, from 300 questions on; see docs/science.md
# instructions = []   # files or globs, such as "instructions/*.md": what search tries, one instruction a file
# proposer = "openai:NAME"   # writes further ones; it is sent questions that every user and reader of the report may see
# reader = false   # true trains the reader probe once: what tuning makes of perfect retrieval

# Candidates of your own race where `candidates` above names them; see docs/external.md for what already runs.
# [candidates.big_rag]
# base = "rag"     # any shipped candidate, also long_context; every field may be replaced
# model = "openai:NAME"
# [candidates.reads_handbook]
# base = "tuned"   # method: lora, partial (top_layers = 6), full; objective: sft, raft (with context), domain (documents' text)
# tuning = {{ method = "full", objective = "domain", epochs = 2 }}
# [candidates.likes]
# base = "tuned"   # dpo: rows of prompt, chosen, rejected; kto: prompt, completion, label; grpo: rewards = ["label_accuracy"]
# tuning = {{ objective = "dpo", data = "preferences.jsonl", start = "tuned" }}
# [candidates.our_bot]
# url = "http://localhost:8000/ask"
# version = "1"    # change it when its answers may have changed

[prices]
# currency = "USD"
# core_hour = 0.04 # one core of this machine for an hour
# [prices.models."openai:NAME"]
# input_per_million = 0.15
# output_per_million = 0.60

[upkeep]
# sync_hours = 24           # longest time between two syncs of the documents
# refresh_hours = 720       # time between two trainings of the weights
# questions_per_day = 200
# facts_changed_per_month = 0.03   # share of the documents' facts; what that costs each candidate is then in the report
"""
