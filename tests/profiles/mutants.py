"""Resources made wrong in every way that a program's mistake makes them: one element at a time."""

import copy
from collections.abc import Iterator
from typing import Any

from r4.json import Resource

WRONG: tuple[Any, ...] = (None, "", 7, True, {}, [], ["x"], {"zzz": 1}, "not right ")


def mutants(resource: Resource) -> Iterator[tuple[str, Resource]]:
    """Yield (what was done, the copy): each element removed, renamed, or given a wrong value."""
    for place in range(sum(1 for _ in _places(resource))):
        for change in ("remove", "rename", *WRONG):
            mutant = copy.deepcopy(resource)
            parent, key = list(_places(mutant))[place]
            if key != "resourceType" and _apply(parent, key, change):
                yield f"{key}: {change!r}", mutant


def _apply(parent: Any, key: Any, change: Any) -> bool:
    if change == "remove":
        del parent[key]
    elif change == "rename":
        if isinstance(key, int):
            return False
        parent[f"{key}Z"] = parent.pop(key)
    elif parent[key] == change:
        return False
    else:
        parent[key] = change
    return True


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from _places(node[key])
