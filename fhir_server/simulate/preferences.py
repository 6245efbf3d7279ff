"""What a simulated surgeon or parent would answer: the rules of answers.csv.

A rule names a fact of the child's story, an earlier answer, weighted codes, a range or a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

from fhir_server.simulate import tables
from fhir_server.simulate.events import Facts


@dataclass(frozen=True, slots=True)
class Rule:
    """How one item is answered; kind is fact, answer, choose, number, text or skip."""

    kind: str
    value: str
    mapped: Mapping[str, str]
    weights: Mapping[str, float]
    instead: Mapping[str, float]


@cache
def rules(form: str) -> Mapping[str, Rule]:
    """Return the rules of one form by linkId."""
    return {
        row["item"]: Rule(
            row["kind"],
            row["value"],
            dict(pair.split("=") for pair in row["map"].split()),
            _weights(row["value"]) if row["kind"] == "choose" else {},
            _weights(row["instead"]),
        )
        for row in tables.rows("answers.csv")
        if row["form"] == form
    }


def prefer(rule: Rule, facts: Facts, earlier: Mapping[str, Any], random: Random) -> Any:
    """Return what a rule answers: a code, number, text or time; None where it has no answer."""
    drawn = random.random()
    for code, share in rule.instead.items():
        drawn -= share
        if drawn < 0:
            return code
    if rule.kind == "choose":
        return random.choices(list(rule.weights), list(rule.weights.values()))[0]
    if rule.kind == "number":
        return _number(rule.value, random)
    if rule.kind == "text":
        return rule.value.format_map(facts)
    if rule.kind in ("fact", "answer"):
        return _known(rule, (facts if rule.kind == "fact" else earlier).get(rule.value))
    return None


def _known(rule: Rule, known: Any) -> Any:
    if isinstance(known, bool) and rule.mapped:
        known = str(known).lower()
    return rule.mapped.get(known, known) if rule.mapped else known


def _number(span: str, random: Random) -> Decimal:
    low, high, places = span.split()
    return Decimal(f"{random.uniform(float(low), float(high)):.{int(places)}f}")


def _weights(text: str) -> dict[str, float]:
    pairs = (pair.rsplit(":", 1) for pair in text.split())
    return {code: float(weight) for code, weight in pairs}
