"""What an evaluation knows: the caller's Environment, and the Scope that closures carry along."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from r4.json import Resource


@dataclass(frozen=True, slots=True)
class Environment:
    """What surrounds an evaluation.

    variables: `%name` to a value or, as a list, a collection; resource and root_resource: what
    `%resource` and `%rootResource` mean (default: the input); now: the instant that `now()`,
    `today()` and `timeOfDay()` answer from; resolve: literal reference to resource; member_of:
    (Coding, CodeableConcept or code, value set url) to truth, None where unknown; conforms_to:
    (resource, profile url) to truth; trace: called with the name and the values of `trace()`;
    strict: refuse unknown elements instead of finding nothing; joins_nothing: `join()` of an empty
    collection is the empty string, as SQL on FHIR has it, instead of empty.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    resource: Any = None
    root_resource: Any = None
    now: str | None = None
    resolve: Callable[[str], Resource | None] | None = None
    member_of: Callable[[Any, str], bool | None] | None = None
    conforms_to: Callable[[Any, str], bool | None] | None = None
    trace: Callable[[str, list[Any]], None] | None = None
    strict: bool = False
    joins_nothing: bool = False


class Scope(msgspec.Struct):
    """The state of one evaluation; functions with a criterion set and reset this, index, total."""

    root: list[Any]
    environment: Environment
    this: list[Any]
    strict: bool
    index: int = 0
    total: list[Any] = []


Evaluate = Callable[[Scope], list[Any]]
"""A compiled expression: the collection it yields in a scope. The result is never to be changed."""

Test = Callable[[Scope], bool | None]
"""A compiled expression read as a condition: True, False, or None for empty."""

Step = Callable[[Scope, list[Any]], list[Any]]
"""A compiled member or function: from its input collection to its output."""


Values = Callable[[dict[str, Any]], list[Any] | None]
"""A compiled path or union of paths: its values as JSON, or None where only evaluation tells them."""


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled expression in its readings; values where it is no more than paths."""

    evaluate: Evaluate
    test: Test
    values: Values | None = None
