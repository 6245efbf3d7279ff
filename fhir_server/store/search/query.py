"""A search, read: a tree of conditions, and how the answer is ordered and cut.

Conditions are about one resource of the query's type; what stands inside a Chained or Reverse is
about the resource at the other end. https://hl7.org/fhir/R4/search.html
"""

from dataclasses import dataclass
from typing import Union

from fhir_server.store.search.parameters import Parameter

PAGE = 50


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter with its modifier and its values, any of which may match."""

    parameter: Parameter
    modifier: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chained:
    """The resource refers, by a parameter, to one of the target type that meets the condition."""

    parameter: Parameter
    target: str
    inner: "Condition"


@dataclass(frozen=True, slots=True)
class Reverse:
    """A resource of another type that meets the condition refers to this one (`_has`)."""

    type: str
    parameter: Parameter
    inner: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    """Every part is met."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one part is met."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is not met."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Ids:
    """The resource has one of these ids."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Updated:
    """The resource was last updated at a date, with its prefix."""

    value: str


@dataclass(frozen=True, slots=True)
class Words:
    """The narrative ("narrative") or any text ("") holds the words of one of the values."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """The resource refers, by canonical url, to one of the target type that meets the condition.

    Like Naming and Within it is read from the store before the search: `store.resolve`.
    """

    parameter: Parameter
    target: str
    inner: "Condition"


@dataclass(frozen=True, slots=True)
class Naming:
    """A resource of another type that meets the condition refers to this one by its canonical url."""

    type: str
    parameter: Parameter
    targets: tuple[str, ...]
    inner: "Condition"


@dataclass(frozen=True, slots=True)
class Within:
    """The resource refers to one of the values (`Type/id`) or to what is below (or above) them."""

    parameter: Parameter
    modifier: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """The resource's version is one of these rows."""

    rids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """The resource is an entry of the List with one of these ids."""

    lists: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compartment:
    """The resource refers to `Type/id` by one of the (type, parameter), or is it (`itself`)."""

    place: str
    parameters: tuple[tuple[str, str], ...]
    itself: bool = False


Condition = Union[  # noqa: UP007 - the names inside are not defined yet
    Criterion,
    Chained,
    Reverse,
    All,
    Either,
    Not,
    Ids,
    Updated,
    Words,
    Listed,
    Compartment,
    Named,
    Naming,
    Within,
    Rows,
]


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of the order: a parameter, or `_id` or `_lastUpdated` (None, by name)."""

    name: str
    parameter: Parameter | None
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """References to follow from (or, reversed, to) what has been found.

    type and parameter are "*" for any; target is "" for any type; iterate: from what was included too.
    """

    type: str
    parameter: str
    target: str
    reversed: bool
    iterate: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page stands: in which snapshot, after or before which row, or how many rows in."""

    snapshot: int
    total: int | None = None
    after: int | None = None
    before: int | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """A search of one type, or of several (type ""): conditions that must all be met, and the answer.

    snapshot: the newest row that counts; rows that have been superseded since then still do.
    """

    type: str
    criteria: tuple[Condition, ...] = ()
    ids: tuple[str, ...] | None = None
    updated: tuple[str, ...] = ()
    count: int = PAGE
    only_count: bool = False
    newest_first: bool = True
    after: int | None = None
    before: int | None = None
    offset: int = 0
    types: tuple[str, ...] = ()
    sort: tuple[Sort, ...] = ()
    total: str = ""
    summary: str = ""
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    page: Page | None = None
    snapshot: int | None = None
    now: int | None = None
    ignored: tuple[str, ...] = ()

    @property
    def of_types(self) -> tuple[str, ...]:
        """The types that are searched."""
        return self.types or (self.type,)
