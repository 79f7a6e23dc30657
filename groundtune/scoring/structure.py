"""Answers that must be machine-readable: JSON (RFC 8259), JSON schemas and meaning representations. Fetches nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from groundtune.errors import ConfigError
from groundtune.interfaces import Metric
from groundtune.scoring.meaning import parse_meaning
from groundtune.scoring.settings import Settings
from groundtune.types import Answer, Example

_Slots = Counter[tuple[str, str]]


def json_valid(example: Example, answer: Answer) -> float | None:
    """1 when the whole answer is one JSON value, else 0; None unless a reference of the item is a JSON object or array.

    Strict (RFC 8259): no fence around it, no NaN or Infinity, no name twice in an object.
    """
    if not any(isinstance(_parse(reference), dict | list) for reference in example.answers):
        return None
    return float(_parse(answer.text) is not _INVALID)


def json_schema(settings: Settings) -> Metric:
    """1 when the whole answer is one JSON value, strict as for `json_valid`, that the schema admits, else 0.

    The dialect is the schema's own `$schema`, by default 2020-12; `format` is not enforced, as the standard has it; a `$ref` is
    never fetched. Unanswerable items are right exactly when the assistant abstained. Raises ConfigError without
    `scoring.json_schema` and for one that is no schema or refers outside itself.
    """
    path = settings.json_schema
    if path is None:
        raise ConfigError("json_schema needs a schema.", subject="scoring.json_schema", remedy="Set it in groundtune.toml.")
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        kind = validator_for(schema)
        kind.check_schema(schema)
    except (OSError, ValueError, SchemaError) as error:
        what = error.message if isinstance(error, SchemaError) else str(error)
        raise ConfigError(
            f"this is no JSON schema ({what}).", subject=str(path), remedy="Correct scoring.json_schema."
        ) from error
    validator = kind(schema, registry=Registry())

    def admitted(example: Example, answer: Answer) -> float:
        if not example.answers or answer.abstained:
            return float(answer.abstained and not example.answers)
        value = _parse(answer.text)
        try:
            return float(value is not _INVALID and validator.is_valid(value))
        except Unresolvable as error:
            raise ConfigError(
                f"the schema refers to what it does not hold ({error}).", subject=str(path), remedy="Put it below $defs."
            ) from error
        except RecursionError:
            return 0.0

    return admitted


def structure_exact(example: Example, answer: Answer) -> float | None:
    """1 when the answer holds the slots of a reference and nothing else, in any order, else 0; None as for `slot_f1`."""
    return _best(example, answer, lambda given, wanted: float(given == wanted))


def slot_f1(example: Example, answer: Answer) -> float | None:
    """Harmonic mean of the precision and recall of slots, the best over the references; None where no reference has any.

    A slot is a name with a value. Of a meaning representation such as ViGGO's `inform(name[X], genres[A, B])` (Juraska et al.
    2019) they are the act, and each value of each slot: (act, inform), (name, x), (genres, a), (genres, b). Of a JSON object or
    array they are the path and value of every leaf, positions in arrays left out. Case and blank space of values do not matter.
    Unanswerable items are right exactly when the assistant abstained.
    """
    return _best(example, answer, _overlap)


def slots(text: str) -> _Slots | None:
    """The slots of a JSON object or array, else of a meaning representation; None for a text that is neither."""
    value = _parse(text)
    if isinstance(value, dict | list):
        try:
            return Counter((path, _folded(leaf)) for path, leaf in _leaves(value, ""))
        except RecursionError:
            return None
    found = parse_meaning(text)
    return None if found is None else Counter((name, _folded(value)) for name, value in found)


def _best(example: Example, answer: Answer, compare: Callable[[_Slots, _Slots], float]) -> float | None:
    if not example.answers:
        return float(answer.abstained)
    references = [found for reference in example.answers if (found := slots(reference))]
    if not references:
        return None
    given = None if answer.abstained else slots(answer.text)
    return 0.0 if given is None else max(compare(given, wanted) for wanted in references)


def _overlap(given: _Slots, wanted: _Slots) -> float:
    return 2 * (given & wanted).total() / (given.total() + wanted.total())


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(path, JSON text) of every leaf; an empty object or array is a leaf."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaves(inner, f"{path}[]")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def _folded(value: str) -> str:
    return " ".join(value.casefold().split())


_INVALID = object()


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):  # also an integer of more digits than Python reads, and a tower of brackets
        return _INVALID


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
