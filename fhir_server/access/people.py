"""Who a person is here: what an identity provider claims of somebody, mapped to a role.

Nobody without a mapped role is let in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_server.access.roles import OF_HOSPITALS, OF_PEOPLE
from fhir_server.access.tables import is_ods
from fhir_server.context import Principal
from r4.issue import FhirError, error

_LONGEST = 255
"""Most characters of a `sub` (OpenID Connect Core 1.0, section 2)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which role somebody has in whose claims a value is found.

    claim: the names on the way to it, as `realm_access.roles`. hospitals: ODS codes, or hospitals_claim
    where they are claimed; of a list of objects, the role's own object tells the role's hospitals.
    """

    claim: tuple[str, ...]
    value: str
    role: str
    hospitals: frozenset[str] = frozenset()
    hospitals_claim: tuple[str, ...] = ()


class Person(NamedTuple):
    """Somebody who has signed in: who asks from now on, in which role, how pages call them.

    subject: how the provider does.
    """

    principal: Principal
    role: str
    display: str
    subject: str


def name_of(provider: str, claims: Mapping[str, Any]) -> str:
    """Return how the audit names somebody; raises FhirError 502 for claims without a sub."""
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= _LONGEST or not sub.isprintable():
        text = "The identity provider does not say who signed in: its identity token has no sub."
        raise FhirError(502, [error("processing", text)])
    return f"person {provider}/{sub}"


def person(provider: str, rules: Sequence[Rule], claims: Mapping[str, Any]) -> Person:
    """Return who somebody is: the role of the first rule that holds, with all hospitals that it is for.

    Raises FhirError 403 where no rule holds.
    """
    name = name_of(provider, claims)
    found: dict[str, set[str]] = {}
    for rule in rules:
        theirs = _hospitals(rule, claims)
        if theirs is not None:
            found.setdefault(rule.role, set()).update(theirs)
    if not found:
        raise _no_role(rules)
    role, hospitals = next(iter(found.items()))
    principal = Principal(name, OF_PEOPLE[role], hospitals=frozenset(hospitals))
    said = claims.get("name")
    display = said if isinstance(said, str) and said else name
    return Person(principal, role, display, str(claims["sub"]))


def _hospitals(rule: Rule, claims: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the hospitals for which a rule holds; None where it does not."""
    held = [at for at, value in _values(claims, rule.claim) if value == rule.value]
    if not held:
        return None
    if rule.role not in OF_HOSPITALS or rule.hospitals:
        return rule.hospitals
    claimed = _values(claims, rule.hospitals_claim)
    theirs = {
        value
        for at, value in claimed
        if isinstance(value, str) and is_ods(value) and any(_is_beside(at, each) for each in held)
    }
    return frozenset(theirs) or None


_At = Mapping[tuple[str, ...], int]
"""Which element of which list a value was found in: lists by the names on the way to them."""


def _values(node: Any, path: tuple[str, ...]) -> Iterator[tuple[_At, Any]]:
    """Yield what stands at the end of a path, through every element of the lists on the way."""

    def within(
        node: Any, left: tuple[str, ...], done: tuple[str, ...], at: _At
    ) -> Iterator[tuple[_At, Any]]:
        if isinstance(node, list):
            for number, each in enumerate(node):
                yield from within(each, left, done, {**at, done: number})
        elif not left:
            yield at, node
        elif isinstance(node, dict) and left[0] in node:
            yield from within(node[left[0]], left[1:], (*done, left[0]), at)

    yield from within(node, path, (), {})


def _is_beside(one: _At, other: _At) -> bool:
    """Tell whether two values are of the same element of every list that both were found in."""
    return all(one[each] == other[each] for each in one.keys() & other.keys())


def _no_role(rules: Sequence[Rule]) -> FhirError:
    claims = ", ".join(dict.fromkeys(".".join(rule.claim) for rule in rules))
    text = (
        "You have signed in, but have no role in the registry. Ask whoever runs the sign-in of your "
        f"organisation to give you one (it is read from {claims}), or the registry to map yours."
    )
    return FhirError(403, [error("forbidden", text)])
