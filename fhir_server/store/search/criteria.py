"""One pair of a query string as a condition: plain, chained or reversed, with its modifier.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from fhir_server.store.search import expressions
from fhir_server.store.search.parameters import Parameter, of_every_type, parameters
from fhir_server.store.search.query import (
    All,
    Chained,
    Condition,
    Criterion,
    Either,
    Ids,
    Listed,
    Named,
    Naming,
    Not,
    Reverse,
    Updated,
    Within,
    Words,
)
from fhir_server.store.search.refusal import bad, too_much, unknown
from fhir_server.store.search.texts import escape, split, unescape
from r4 import definitions
from r4.issue import FhirError
from terminology import Terminology

MODIFIERS = {
    "token": ("", "missing", "text", "not", "in", "not-in", "above", "below", "of-type"),
    "reference": ("", "missing", "identifier", "above", "below"),
    "string": ("", "missing", "exact", "contains"),
    "date": ("", "missing"),
    "number": ("", "missing"),
    "quantity": ("", "missing"),
    "uri": ("", "missing", "above", "below"),
    "composite": ("",),
    "special": ("",),
}
_PARTS = ("partof", "part-of")
"""The parameters by which a type says of what others of it a resource is a part."""
OWN = ("_id", "_lastUpdated", "_list", "_text", "_content", "_has", "_filter")
_OF_WORDS = ("token", "reference", "uri")
MOST_WORDS = 10_000
"""Most alternatives of a token, reference or uri, codes of a value set among them."""
MOST_VALUES = 200
"""Most alternatives of anything else: each is a condition of its own."""
MOST_LINKS = 300
"""Most links of all the chains of a query, by way of every type that they may lead to."""
DEEPEST = 10
"""Most links of a chain: each is a query inside another."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a query is read with: value sets, the time, the server's own base, `Prefer: handling`."""

    terminology: Terminology | None = None
    now: int | None = None
    base: str = ""
    lenient: bool = False


def condition(types: tuple[str, ...], name: str, value: str, around: Around) -> Condition:
    """Read one pair; raises FhirError 400 for what is not served, 422 for too much."""
    if not value:
        raise bad(name, f"The search parameter {name} has no value.")
    if name.startswith("_has:"):
        return _reverse(types, name, value, around)
    head, dot, rest = name.partition(".")
    if dot:
        return _chain(types, (head, rest), value, around)
    if name in _OWN:
        return _OWN[name](_values(name, value, name in ("_id", "_list")))
    parameter, modifier = named(types, name)
    found = _values(name, value, parameter.type in _OF_WORDS and modifier != "text")
    return _plain(parameter, modifier, found, around)


def _values(name: str, value: str, of_words: bool) -> tuple[str, ...]:
    """Split alternatives; words are found together, anything else is a condition each."""
    found = tuple(split(value, ","))
    most = MOST_WORDS if of_words else MOST_VALUES
    if len(found) > most:
        raise too_much(name, f"{name} takes at most {most} values, not {len(found)}.")
    return found


_OWN: dict[str, Callable[[tuple[str, ...]], Condition]] = {
    "_id": Ids,
    "_lastUpdated": lambda values: Either(tuple(Updated(value) for value in values)),
    "_list": Listed,
    "_text": lambda values: Words("narrative", tuple(unescape(value) for value in values)),
    "_content": lambda values: Words("", tuple(unescape(value) for value in values)),
}


def known(types: tuple[str, ...]) -> Mapping[str, Parameter]:
    """Map code to the parameters that a search of these types has."""
    return parameters(types[0]) if len(types) == 1 else of_every_type()


def named(types: tuple[str, ...], name: str) -> tuple[Parameter, str]:
    """Find the parameter and modifier that a name means; FhirError 400 where there is none."""
    code, _, modifier = name.partition(":")
    served = known(types)
    if code not in served:
        if code in OWN:
            raise bad(name, f"{code} takes no modifier, or takes it otherwise than {name}.")
        where = types[0] if len(types) == 1 else "A search of several types"
        raise bad(name, unknown(where, code, [*served, *OWN]))
    parameter = served[code]
    allowed = MODIFIERS[parameter.type]
    if modifier in allowed or (parameter.type == "reference" and modifier in parameter.targets):
        return parameter, modifier
    listed = ", ".join(f":{each}" for each in allowed if each) or "none"
    if parameter.type == "reference":
        listed += ", and its target types"
    raise bad(
        name, f"The modifier :{modifier} is not supported on {code}; supported here: {listed}."
    )


def _plain(
    parameter: Parameter, modifier: str, values: tuple[str, ...], around: Around
) -> Condition:
    if parameter.type == "reference" and around.base:
        values = tuple(value.removeprefix(f"{around.base}/") for value in values)
    if parameter.type == "reference" and modifier in ("above", "below"):
        return _hierarchical(parameter, modifier, values)
    if parameter.type != "token" or modifier not in ("in", "not-in", "above", "below"):
        return Criterion(parameter, modifier, values)
    codes = tuple(code for value in values for code in _codes(parameter, modifier, value, around))
    if len(codes) > MOST_WORDS:
        raise _too_many(f"{parameter.code}:{modifier}")
    found = Criterion(parameter, "", codes)
    return Not(found) if modifier == "not-in" else found


def _hierarchical(parameter: Parameter, modifier: str, values: tuple[str, ...]) -> Condition:
    """Read `:above` and `:below`: versions of a canonical, or a hierarchy of resources."""
    if is_canonical(parameter):
        return Criterion(parameter, modifier, values)
    if not hierarchies(parameter):
        text = f"{parameter.code} refers to nothing that is part of another of its type."
        raise bad(f"{parameter.code}:{modifier}", text)
    return Within(parameter, modifier, values)


def hierarchies(parameter: Parameter) -> dict[str, str]:
    """Map the target types that have parts of their own type to the parameter that says of what."""
    return {kind: code for kind in parameter.targets if (code := _part_of(kind))}


@cache
def _part_of(resource_type: str) -> str:
    for code, parameter in parameters(resource_type).items():
        if code in _PARTS and parameter.type == "reference" and resource_type in parameter.targets:
            return code
    return ""


def _codes(parameter: Parameter, modifier: str, value: str, around: Around) -> list[str]:
    """List the codes of a value set, or those above or below a code, as tokens."""
    name = f"{parameter.code}:{modifier}"
    if around.terminology is None:
        raise bad(name, f"The modifier :{modifier} is not supported here.")
    if modifier in ("in", "not-in"):
        try:
            codings = around.terminology.expand(unescape(value))
        except FhirError as problem:
            raise bad(name, f"{name}={value}: {problem}") from None
        return [token(coding["system"], coding["code"]) for coding in codings]
    return _hierarchy(name, modifier, value, around.terminology)


def _hierarchy(name: str, modifier: str, value: str, terminology: Terminology) -> list[str]:
    system, _, code = (unescape(part) for part in value.partition("|"))
    held = terminology.sources.system(system) if code else None
    concept = None if held is None else held.concept(code)
    if held is None or concept is None:
        raise bad(name, f"{name}={value}: a code is asked with its system, which is known here.")
    found = held.ancestors(code) if modifier == "above" else held.descendants(code)
    codes = list(dict.fromkeys((code, concept.code, *islice(found, MOST_WORDS))))
    if len(codes) > MOST_WORDS:
        raise _too_many(name)
    return [token(system, each) for each in codes]


def _too_many(name: str) -> FhirError:
    text = f"{name} means more than {MOST_WORDS} codes: ask for codes that mean fewer."
    return too_much(name, text)


def token(system: str, code: str) -> str:
    """Write a code as the value of a token parameter."""
    return f"{escape(system)}|{escape(code)}"


def _chain(types: tuple[str, ...], name: tuple[str, str], value: str, around: Around) -> Condition:
    """Read `reference.parameter`, for each target type that has the parameter."""
    head, rest = name
    parameter, modifier = named(types, head)
    whole = f"{head}.{rest}"
    if rest.count(".") >= DEEPEST:
        raise too_much(whole, f"A chain has at most {DEEPEST} links.")
    _must_refer(parameter, whole)
    if modifier and modifier not in parameter.targets:
        raise bad(
            whole, f"The modifier :{modifier} is not supported in a chain, but a target type is."
        )
    wanted = modifier or parameter.only
    links: list[Condition] = []
    problem = None
    for target in (wanted,) if wanted else parameter.targets:
        try:
            inner = condition((target,), rest, value, around)
        except FhirError as found:
            if found.issues[0].code == "too-costly":
                raise
            problem = found
        else:
            chained = Named if is_canonical(parameter) else Chained
            if chained is Chained or "url" in parameters(target):
                links.append(chained(parameter, target, inner))
            check_links(whole, links)
    if not links:
        raise problem or bad(whole, f"{head} refers to nothing that can be chained.")
    return links[0] if len(links) == 1 else Either(tuple(links))


def check_links(name: str, links: Sequence[Condition]) -> None:
    """Raise FhirError 422 where chains, by way of all the types they may lead to, are too wide."""
    if sum(_links(each) for each in links) > MOST_LINKS:
        text = (
            f"{name} leads to more than {MOST_LINKS} types: name them, as in subject:Patient.name."
        )
        raise too_much(name, text)


def _links(found: Condition) -> int:
    if isinstance(found, Chained | Reverse | Named | Naming):
        return 1 + _links(found.inner)
    if isinstance(found, Not):
        return _links(found.part)
    return sum(map(_links, found.parts)) if isinstance(found, Either | All) else 0


def _must_refer(parameter: Parameter, name: str) -> None:
    if parameter.type != "reference":
        raise bad(name, f"{parameter.code} is no reference: it cannot be chained.")


@cache
def is_canonical(parameter: Parameter) -> bool:
    """Tell whether a reference parameter holds canonical URLs instead of references."""
    found = [expressions.plain(each) for each in expressions.alternatives(parameter.expression)]
    kinds = {path.type for paths in found if paths is not None for path in paths}
    return bool(kinds) and kinds <= {"canonical", "uri"}


def _reverse(types: tuple[str, ...], name: str, value: str, around: Around) -> Condition:
    """Read `_has:Type:reference:parameter`."""
    parts = name.split(":", 3)
    if len(parts) != 4 or parts[1] not in definitions.resource_types():  # noqa: PLR2004
        raise bad(name, f"{name} is not of the form _has:Type:reference:parameter.")
    _, source, reference, rest = parts
    if name.count("_has:") > DEEPEST:
        raise too_much(name, f"A chain has at most {DEEPEST} links.")
    parameter, modifier = named((source,), reference)
    _must_refer(parameter, name)
    if modifier or not set(types) & set(parameter.targets):
        raise bad(name, f"{source}.{reference} does not refer to {' or '.join(types)}.")
    inner = condition((source,), rest, value, around)
    if is_canonical(parameter):
        targets = tuple(kind for kind in types if kind in parameter.targets)
        return Naming(source, parameter, targets, inner)
    return Reverse(source, parameter, inner)
