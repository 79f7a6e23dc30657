"""The model card: it says what made the weights, for whom and with what result, and holds no word of the data."""

from __future__ import annotations

import json
from pathlib import Path

import groundtune
from groundtune.models.licence import licence_of
from groundtune.training.card import amend_card, load_card, page
from groundtune.training.data import TrainingPair
from groundtune.training.trainer import train
from groundtune.types import Audience, Message, Tuning
from tests.firm import CONFIG, SECRET, THINGS, write_firm

STAFF_AND_BOARD = Audience(frozenset({frozenset({"staff"}), frozenset({"board", "owner"})}), frozenset({"intern"}))
PAIRS = [
    TrainingPair(f"pair-{n}", (Message("user", f"Where is {SECRET} {n}?"),), f"In {SECRET}.", STAFF_AND_BOARD, (f"{n}.md",))
    for n in range(3)
]


def made(folder: Path) -> str:
    train("fake:extract", PAIRS, Tuning(epochs=2, rank=4), out=folder, seed=5)
    return (folder / "MODEL_CARD.md").read_text()


def test_says_what_made_the_weights_and_no_word_of_the_data(tmp_path: Path) -> None:
    told = made(tmp_path)
    about = json.loads((tmp_path / "training.json").read_text())
    for part in (
        "| base | `fake:extract` |",
        "| licence of the base | unknown: look at the terms of fake:extract |",
        f"| training pairs, SHA-256 | `{about['pairs_digest']}` |",
        "| examples | 3 |",
        "| documents | 3 |",
        "| audience | (board or owner) and staff, but not intern |",
        "| rank | 4 |",
        "| seed | 5 |",
        "No decision has measured these weights.",
        "groundtune export",
    ):
        assert part in told, part
    assert SECRET not in told + (tmp_path / "card.json").read_text()
    assert "pair-1" not in told
    assert "1.md" not in told


def test_a_training_that_is_found_again_keeps_what_was_added(tmp_path: Path) -> None:
    made(tmp_path)
    amend_card(tmp_path, "plan", {"estimated": 120.0, "taken": 150.0, "ratio": 1.25})
    assert "2.0 minutes estimated, 2.5 taken: 1.25 times the estimate" in made(tmp_path)


def test_weights_made_without_a_card_get_one(tmp_path: Path) -> None:
    made(tmp_path)
    before = load_card(tmp_path)
    (tmp_path / "card.json").unlink()
    assert load_card(tmp_path) == {name: value for name, value in before.items() if name != "created"}
    assert page(load_card(tmp_path)).startswith("# Tuned weights of fake:extract")


def test_licence_is_what_the_files_say(tmp_path: Path) -> None:
    assert licence_of("embedded:smollm2") == "Apache-2.0"
    assert licence_of(f"hf:{tmp_path}").startswith("unknown: look at the page of")
    (tmp_path / "LICENSE.txt").write_text("\n  Some Public Licence\nof 2020\n")
    assert licence_of(f"hf:{tmp_path}") == "Some Public Licence (LICENSE.txt)"
    (tmp_path / "config.json").write_text('{"license": "mit"}')
    assert licence_of(f"hf:{tmp_path}") == "mit"
    (tmp_path / "README.md").write_text("---\ntags: [x]\nlicense: apache-2.0  # said so\n---\n# Model\nlicense: other\n")
    assert licence_of(f"embedded:{tmp_path}") == "apache-2.0"


def test_train_and_decide_fill_it_in(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=CONFIG)
    decision = groundtune.decide(root, candidates=["rag", "tuned"])
    result = groundtune.train("tuned", root=root)
    assert result.forgetting is not None
    assert result.forgetting.questions == 40
    card = load_card(result.adapter)
    assert card["forgetting"]["lost"] == result.forgetting.lost
    assert result.forgetting.words in (result.adapter / "MODEL_CARD.md").read_text()
    assert decision.report is not None
    tuned = next(one for one in decision.report["candidates"] if one["name"] == "tuned")
    for weights in tuned["weights"]:
        folder = root / ".groundtune" / "weights" / weights["id"]
        row = load_card(folder)["measured"]["decide-0001"]
        assert (row["value"], row["metric"], row["weights"]) == (tuned["metrics"]["f1"], "f1", len(tuned["weights"]))
        assert "| decide-0001 | tuned | f1 |" in (folder / "MODEL_CARD.md").read_text()
    cards = "".join(path.read_text() for path in (root / ".groundtune" / "weights").rglob("*CARD.md"))
    assert not [thing for thing in THINGS if thing in cards]


def test_the_probe_can_be_switched_off(tmp_path: Path) -> None:
    root = write_firm(tmp_path, config=CONFIG.replace("epochs = 1", "epochs = 1\nforgetting = false"))
    result = groundtune.train("tuned", root=root)
    assert result.forgetting is None
    assert "Not measured." in (result.adapter / "MODEL_CARD.md").read_text()
