"""The algebra of audiences: may a caller read, and who may read several things at once. Knows no document and no database."""

from __future__ import annotations

import json
from collections.abc import Iterable

from groundtune.errors import WorkspaceError
from groundtune.types import EVERYONE, NOBODY, Audience, Caller


def may_read(audience: Audience, caller: Caller) -> bool:
    """True when the caller holds a principal of every clause, of at least one clause, and none of the denied ones."""
    principals = caller.principals
    return (
        bool(audience.clauses)
        and audience.denied.isdisjoint(principals)
        and not any(clause.isdisjoint(principals) for clause in audience.clauses)
    )


def conjoin(audiences: Iterable[Audience]) -> Audience:
    """Exactly the callers that may read every one of `audiences`; NOBODY for none at all.

    The result stays symbolic and small: clauses that others imply are left out, never expanded to users.
    """
    clauses: set[frozenset[str]] = set()
    denied: set[str] = set()
    for audience in audiences:
        if not audience.clauses:
            return NOBODY
        clauses |= audience.clauses
        denied |= audience.denied
    if EVERYONE in denied or frozenset() in clauses:
        return NOBODY
    return Audience(_needed(clauses), frozenset(denied)) if clauses else NOBODY


def implies(one: Audience, other: Audience) -> bool:
    """True when every caller who may read `one` may read `other`: so `other` is narrower exactly when this is False.

    Decided on the clauses, without callers. Whoever reads `one` holds none of its denied principals, and may hold all others.
    So each principal that `other` denies must be denied by `one`, and each clause of `other` must hold all that is left of some
    clause of `one` once the denied are taken out: else the caller with every principal outside that clause reads `one` only.
    """
    left = [clause - one.denied for clause in one.clauses]
    if not left or EVERYONE in one.denied or frozenset() in left:  # nobody reads it
        return True
    return (
        bool(other.clauses)
        and other.denied <= one.denied
        and all(EVERYONE in clause or any(held <= clause for held in left) for clause in other.clauses)
    )


def spoken(audience: Audience) -> str:
    """In words: `staff and (hr or board), but not intern`; the clauses in order."""
    clauses = sorted(sorted(clause) for clause in audience.clauses)
    if not clauses or [] in clauses:
        return "nobody"
    parts = [f"({' or '.join(clause)})" if len(clause) > 1 and len(clauses) > 1 else " or ".join(clause) for clause in clauses]
    return " and ".join(parts) + (f", but not {' or '.join(sorted(audience.denied))}" if audience.denied else "")


def _needed(clauses: set[frozenset[str]]) -> frozenset[frozenset[str]]:
    """Without clauses that every caller meets (unless there is no other) and those that hold all of another clause."""
    demanding = {clause for clause in clauses if EVERYONE not in clause}
    if not demanding:
        return frozenset({frozenset({EVERYONE})})
    kept: dict[str, list[frozenset[str]]] = {}  # by least principal: a clause within `clause` is found under one of its own
    needed = []
    for clause in sorted(demanding, key=len):
        if not any(smaller <= clause for principal in clause for smaller in kept.get(principal, ())):
            kept.setdefault(min(clause), []).append(clause)
            needed.append(clause)
    return frozenset(needed)


def to_json(audience: Audience) -> str:
    """The one spelling of an audience, ASCII whatever its principals hold; equal audiences have equal text."""
    tree = {"clauses": sorted(sorted(clause) for clause in audience.clauses), "denied": sorted(audience.denied)}
    return json.dumps(tree, separators=(",", ":"))


def _is_group(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(principal, str) for principal in value)


def from_json(text: str) -> Audience:
    """The audience that `to_json` spelled. Raises WorkspaceError for anything else."""
    try:
        tree = json.loads(text)
        clauses, denied = tree["clauses"], tree["denied"]
        if not isinstance(clauses, list) or not all(map(_is_group, [*clauses, denied])):
            raise TypeError("not lists of principals")
        return Audience(frozenset(map(frozenset, clauses)), frozenset(denied))
    except (ValueError, TypeError, KeyError) as error:
        raise WorkspaceError(
            f"a stored audience is damaged ({error}).", subject=text[:60], remedy="Run: groundtune sync"
        ) from error
