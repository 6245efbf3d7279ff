"""Resources made wrong in one or two places, in the ways that a program's mistakes make them."""

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from r4.json import Resource

WAYS = ("drop", "unknown element", "wrong type", "bad value", "too many", "too few", "other choice")
WRONG_TYPES: tuple[Any, ...] = (None, True, 7, 1.5, "text", {}, {"zzz": 1}, [], ["x"], [{}], [None])
BAD_VALUES = (
    "", " ", "two  spaces", " leading", "a\x00b", "2024-02-30", "2024-13", "24", "2024-02-29T25:00:00Z",
    "2024-02-29T10:00:00", "10:60:00", "urn:uuid:1", "urn:oid:9.1", "a_b", "1" * 65, "=", "AAA", "%%",
    -1, 0, 2**31, -(2**31) - 1, 1.5, 10**30, "nonsense/", "<div>", "🙂", "é",
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, resource: Resource) -> tuple[list[str], Resource]:
    """Draw (what was done, a copy in which it was done)."""
    made = deepcopy(resource)
    done = []
    for _ in range(draw(st.integers(1, 2))):
        there = [place for place in _places(made) if place[1] != "resourceType"]
        if not there:
            break
        parent, key = there[draw(st.integers(0, len(there) - 1))]
        way = draw(st.sampled_from(WAYS))
        _spoil(draw, way, parent, key)
        done.append(way)
    return done, made


def _spoil(draw: st.DrawFn, way: str, parent: Any, key: Any) -> None:
    if way == "drop":
        del parent[key]
    elif way == "wrong type":
        parent[key] = deepcopy(draw(st.sampled_from(WRONG_TYPES)))
    elif way == "bad value":
        parent[key] = draw(st.sampled_from(BAD_VALUES))
    elif way == "too many":
        parent[key] = [parent[key], deepcopy(parent[key])]
    elif way == "too few":
        parent[key] = [] if isinstance(parent[key], list) else {}
    elif isinstance(parent, dict) and way == "unknown element":
        parent[draw(st.sampled_from([f"{key}Z", f"_{key}", key.upper()]))] = parent[key]
    elif isinstance(parent, dict):
        stem = draw(st.sampled_from(["value", "effective", "onset", "deceased", "medication"]))
        kind, value = draw(
            st.sampled_from([("String", "x"), ("Boolean", True), ("DateTime", "2024"), ("Age", {})])
        )
        parent[stem + kind] = value


def _places(node: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for key in node if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], dict | list):
            found += _places(node[key])
    return found
