"""The public surface is exactly what it says, and calls look the same everywhere."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from importlib import import_module

import pytest

import groundtune
from groundtune.cli.main import COMMANDS, GROUPS

VERBS = (
    *(name for name in COMMANDS if name not in GROUPS),
    *(f"{inner}_{name}" for name, group in GROUPS.items() for inner in group),
)
"""`groundtune dataset check` is the verb `check_dataset`."""
OPTIONS = ("explain_search", "ask_stream")
"""Functions behind an option of a command: `search --explain`, `ask --stream`."""
VALUES = (
    *("Answer", "Audience", "Caller", "Candidate", "Citation", "Example", "Filter", "GroundtuneError", "Hit", "Situation"),
    "Verdict",
)


def test_all_is_exact() -> None:
    assert sorted(groundtune.__all__) == sorted([*VERBS, *OPTIONS, *VALUES, "__version__"])
    assert dir(groundtune) == sorted(groundtune.__all__)


@pytest.mark.parametrize("name", groundtune.__all__)
def test_every_name_imports(name: str) -> None:
    assert getattr(groundtune, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'decied'"):
        groundtune.decied  # noqa: B018


@pytest.mark.parametrize("name", [*VERBS, *OPTIONS])
def test_verbs_are_keyword_only_after_the_first(name: str) -> None:
    function = getattr(groundtune, name)
    parameters = list(inspect.signature(function).parameters.values())
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters[1:])
    assert all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    assert inspect.getdoc(function), f"{name} says nothing about itself"


@pytest.mark.parametrize("name", [*VERBS, "explain_search"])
def test_verbs_return_frozen_values(name: str) -> None:
    returned = typing.get_type_hints(getattr(groundtune, name))["return"]
    kinds = [kind for kind in typing.get_args(returned) if kind is not Ellipsis] or [returned]
    for kind in kinds:
        assert dataclasses.is_dataclass(kind), f"{name} returns {kind}"
        assert kind.__dataclass_params__.frozen, f"{kind.__name__} is not frozen"


def test_a_room_does_not_hide_the_verb_of_its_name() -> None:
    import_module("groundtune.models")
    assert callable(groundtune.models)
