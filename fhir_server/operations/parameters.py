"""Read an operation's input: a Parameters resource, a bare resource, or a query string.

An operation states the kind of each of its parameters; an operation is given no other kind.
https://hl7.org/fhir/R4/parameters.html
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from r4.issue import FhirError, error
from r4.json import Resource

Input = dict[str, Any]
Kind = Literal[
    "resource", "reference", "string", "date", "party", "uri", "code", "boolean", "integer",
    "dateTime", "Coding", "CodeableConcept", "questionnaire",
    "Identifier", "parts",
]  # fmt: skip
"""A `party` is a Reference or its text; a `questionnaire` its canonical, a Reference or the resource; a date
is text here, and its operation says what it takes."""
Kinds = Mapping[str, Kind]
_SAID: Mapping[Kind, str] = {
    "resource": "a resource",
    "reference": "a Reference that has a reference",
    "string": "a string",
    "date": "a date",
    "party": "a Reference that has a reference, or a string",
    "uri": "a uri",
    "code": "a code",
    "boolean": "true or false",
    "integer": "a whole number",
    "dateTime": "a dateTime",
    "Coding": "a Coding with a code",
    "CodeableConcept": "a CodeableConcept, each of whose codings has a code",
    "questionnaire": "a canonical, a Reference that has a reference, or a Questionnaire",
    "Identifier": "an Identifier with a value",
    "parts": "made of parts",
}
_TEXTS = frozenset({"string", "date", "uri", "code", "dateTime"})
_NO_TEXT = frozenset({"resource", "Coding", "CodeableConcept", "Identifier", "parts"})
_DIGITS = 9


def of_resource(
    body: Resource | None,
    kinds: Kinds,
    bare: str | None = None,
    repeats: Collection[str] = (),
) -> Input:
    """Map each parameter's name to its value or resource; a bare resource is the parameter `bare`.

    What repeats is mapped to the list of its values. Raises FhirError 400 for a parameter that the
    operation does not have, of another kind, or given twice though it does not repeat.
    """
    if body is None:
        return {}
    if body.get("resourceType") != "Parameters":
        if bare is None:
            raise FhirError(400, [error("structure", "Send a Parameters resource.", "Parameters")])
        return {bare: body}
    listed = body.get("parameter", [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        text = "Parameters.parameter is an array of objects."
        raise FhirError(400, [error("structure", text, "Parameters.parameter")])
    pairs = [(each.get("name"), value_of(each)) for each in listed]
    for name, value in pairs:
        if isinstance(name, str) and name in kinds and not _is(kinds[name], value):
            raise _other_kind(name, kinds[name])
    return _checked(pairs, kinds, "Parameters.parameter", repeats)


def of_query(
    pairs: Iterable[tuple[str, str]], kinds: Kinds, repeats: Collection[str] = ()
) -> Input:
    """Map each pair's name to its value, of what repeats to a list; raises FhirError 400 as above.

    A boolean and an integer are read; any other value is text. What cannot be text is refused.
    """
    listed = (
        (name, _read(name, kinds[name], value) if name in kinds else value)
        for name, value in pairs
        if name not in ("_format", "_pretty")
    )
    return _checked(listed, kinds, "http", repeats)


def given(
    query: Iterable[tuple[str, str]],
    body: Resource | None,
    kinds: Kinds,
    repeats: Collection[str] = (),
) -> Input:
    """Map what a query string and a Parameters resource give; the resource stands before the query."""
    return of_query(query, kinds, repeats) | of_resource(body, kinds, repeats=repeats)


def required(given: Input, name: str) -> Any:
    """Return a parameter's value; raises FhirError 400 where it is missing."""
    if name not in given:
        raise missing(name)
    return given[name]


def one_of(given: Input, *names: str) -> Any:
    """Return the value of a parameter that has several names; raises FhirError 400 but for one of them."""
    found = [name for name in names if name in given]
    if not found:
        raise missing(*names)
    if len(found) > 1:
        raise twice(" or ".join(found))
    return given[found[0]]


def missing(name: str, *others: str) -> FhirError:
    """Return the refusal of a request without a parameter that it needs, or any of several."""
    text = f"The parameter {' or '.join((name, *others))} is required."
    return FhirError(400, [error("required", text, f"Parameters.parameter('{name}')")])


def twice(name: str) -> FhirError:
    """Return the refusal of a request that gives a parameter twice: neither value is ignored."""
    text = f"The parameter {name} is given more than once."
    return FhirError(400, [error("invalid", text, f"Parameters.parameter('{name}')")])


def _other_kind(name: str, kind: Kind) -> FhirError:
    text = f"The parameter {name} is {_SAID[kind]}."
    return FhirError(400, [error("structure", text, f"Parameters.parameter('{name}')")])


def _read(name: str, kind: Kind, text: str) -> str | bool | int:
    """Read the value of a query string's parameter."""
    if kind in _NO_TEXT:
        said = f"The parameter {name} is {_SAID[kind]}: send a Parameters resource with POST."
        raise FhirError(400, [error("not-supported", said, f"http.{name}")])
    if kind == "boolean":
        if text not in ("true", "false"):
            raise _other_kind(name, kind)
        return text == "true"
    if kind == "integer":
        if not (text.isascii() and text.removeprefix("-").isdecimal() and len(text) <= _DIGITS):
            raise _other_kind(name, kind)
        return int(text)
    return text


def _checked(
    listed: Iterable[tuple[Any, Any]], kinds: Kinds, where: str, repeats: Collection[str]
) -> Input:
    read: Input = {}
    for name, value in listed:
        if not isinstance(name, str) or name not in kinds:
            has = f"it has: {', '.join(kinds)}" if kinds else "it has none"
            text = f"The operation has no parameter {name!r}; {has}."
            raise FhirError(400, [error("not-supported", text, where)])
        if name in repeats:
            read.setdefault(name, []).append(value)
        elif name in read:
            raise twice(name)
        else:
            read[name] = value
    return read


def value_of(parameter: Resource) -> Any:
    """Return the resource, the parts or the value of a parameter or a part; None where it has none."""
    for key in ("resource", "part"):
        if key in parameter:
            return parameter[key]
    return next((value for key, value in parameter.items() if key.startswith("value")), None)


def _is(kind: Kind, value: Any) -> bool:
    if kind in _TEXTS:
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "Coding":
        return _is_coding(value)
    if kind == "CodeableConcept":
        return isinstance(value, dict) and _are_codings(value.get("coding", []))
    if kind in ("party", "questionnaire") and isinstance(value, str):
        return True
    if kind == "questionnaire" and isinstance(value, dict) and "resourceType" in value:
        return isinstance(value["resourceType"], str)
    if kind == "parts":
        return isinstance(value, list) and all(isinstance(each, dict) for each in value)
    key = {"resource": "resourceType", "Identifier": "value"}.get(kind, "reference")
    return isinstance(value, dict) and isinstance(value.get(key), str)


def _are_codings(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_coding, value))


def _is_coding(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and "code" in value
        and all(isinstance(value.get(name, ""), str) for name in _OF_CODING)
    )


_OF_CODING = ("system", "version", "code", "display")
