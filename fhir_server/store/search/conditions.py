"""A criterion as words or SQL: one small function for each parameter type.

https://hl7.org/fhir/R4/search.html#ptypes
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from fhir_server.store.search import comparisons, values
from fhir_server.store.search.dialect import Dialect
from fhir_server.store.search.keys import fold, key, link
from fhir_server.store.search.keys import place as key_of_place
from fhir_server.store.search.near import near
from fhir_server.store.search.parameters import Parameter, parameters
from fhir_server.store.search.quantities import unit
from fhir_server.store.search.query import Criterion
from fhir_server.store.search.sql import NEVER, Match, Part, Sql, marks
from fhir_server.store.search.texts import split, unescape
from r4.reference import literal


@dataclass(frozen=True, slots=True)
class Place:
    """Where a condition stands: types searched, the row's alias, whether others narrow it already."""

    types: tuple[str, ...]
    at: str
    dialect: Dialect
    narrowed: bool = False
    now: int | None = None


def as_sql(part: Part, place: Place) -> Sql:
    """Return any part as SQL about the place's row."""
    return place.dialect.of_match(part, place.at) if isinstance(part, Match) else part


def joined(parts: Sequence[Part], operator: str, place: Place) -> Sql:
    """Join parts by AND or OR."""
    if not parts:
        return NEVER
    found = [as_sql(part, place) for part in parts]
    text = f" {operator} ".join(f"({each.text})" for each in found)
    return Sql(text, tuple(value for each in found for value in each.parameters))


def criterion(asked: Criterion, place: Place) -> Part:
    """Return what a criterion asks; raises FhirError 400 for a value that cannot be read."""
    if asked.modifier == "missing":
        return _missing(asked, place)
    return _CONDITIONS[asked.parameter.type](asked, place)


def _codes(parameter: Parameter) -> tuple[str, ...]:
    return parameter.parts or (parameter.code,)


def _words(asked: Criterion, place: Place, texts: Iterable[str], suffix: str = "") -> Match:
    codes = _codes(asked.parameter)
    found = [
        key(kind, code + suffix, text) for text, kind, code in product(texts, place.types, codes)
    ]
    return Match(tuple(dict.fromkeys(found)))


def _params(asked: Criterion, place: Place, suffix: str = "") -> tuple[int, ...]:
    codes = _codes(asked.parameter)
    return tuple(key(kind, code + suffix) for kind, code in product(place.types, codes))


def _missing(asked: Criterion, place: Place) -> Match:
    wanted = asked.values[0]
    if wanted not in ("true", "false"):
        name = asked.parameter.code
        raise comparisons.refused(name, f"{name}:missing is true or false, not {wanted!r}.")
    if asked.parameter.only:
        found = _words(asked, place, [f"{asked.parameter.only}/"])
    else:
        found = _words(asked, place, [""], ":present")
    return Match(found.words, negated=wanted == "true")


def _token(asked: Criterion, place: Place) -> Part:
    if asked.modifier == "text":
        return _starting(asked, place, _params(asked, place, ":text"))
    if asked.modifier == "of-type":
        texts = [_typed_identifier(asked, value) for value in asked.values]
        return _words(asked, place, texts, ":of-type")
    found = _words(asked, place, [token_text(value) for value in asked.values])
    return Match(found.words, negated=asked.modifier == "not")


def token_text(value: str) -> str:
    """Return the text that a token asks for."""
    system, *code = [unescape(part) for part in split(value, "|")]
    return values.asked(system, "|".join(code)) if code else values.asked(None, system)


def _typed_identifier(asked: Criterion, value: str) -> str:
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) != 3 or not all(parts[1:]):  # noqa: PLR2004 - type's system, type's code, value
        name = f"{asked.parameter.code}:of-type"
        raise comparisons.refused(name, f"{name} takes system|code|value, not {value!r}.")
    return "|".join(parts)


def _reference(asked: Criterion, place: Place) -> Part:
    if asked.modifier == "identifier":
        texts = [token_text(value) for value in asked.values]
        return _words(asked, place, texts, ":identifier")
    if asked.modifier in ("below", "above", "named"):
        return _canonical(asked, place)
    wanted = asked.modifier or asked.parameter.only
    kinds = (wanted,) if wanted else asked.parameter.targets
    found: list[int] = []
    for value in (unescape(each) for each in asked.values):
        targets = _targets(value, kinds, wanted)
        places = [key_of_place(*target.split("/")) for target in targets]
        params = _params(asked, place)
        found += [link(param, target) for param, target in product(params, places)]
        if not targets:
            found += _words(asked, place, [value]).words
    return Match(tuple(found))


def _canonical(asked: Criterion, place: Place) -> Part:
    """Ask for canonicals: of a version or below it, of it or above it, or of one resource (`named`).

    What names a resource names its version, or none: `url|1` or `url`.
    """
    texts = [unescape(value) for value in asked.values]
    if asked.modifier == "above":
        return _words(asked, place, [above for text in texts for above in _and_above(text)])
    below = texts
    if asked.modifier == "named":
        texts, below = [t for t in texts if "|" in t], [f"{t.partition('|')[0]}|" for t in texts]
    found = [*_words(asked, place, texts).words, *_words(asked, place, below, ":below").words]
    return Match(tuple(dict.fromkeys(found)))


def _and_above(canonical: str) -> list[str]:
    url, _, version = canonical.partition("|")
    return [canonical, *(f"{url}|{each}" for each in values.versions_above(version))]


def _targets(value: str, kinds: tuple[str, ...], wanted: str) -> list[str]:
    """List the places here that a value may mean; none for what is elsewhere, or a canonical URL."""
    found = literal(value)
    if found is not None:
        here = found.base is None and wanted in ("", found.type)
        return [f"{found.type}/{found.id}"] if here else []
    return [] if re.search("[/:|]", value) else [f"{kind}/{value}" for kind in kinds]


def _uri(asked: Criterion, place: Place) -> Part:
    texts = [unescape(value) for value in asked.values]
    if asked.modifier == "below":
        return _words(asked, place, [text.rstrip("/") for text in texts], ":below")
    if asked.modifier == "above":
        texts = [ancestor for text in texts for ancestor in values.ancestors(text)]
    return _words(asked, place, texts)


def _string(asked: Criterion, place: Place) -> Part:
    if asked.modifier == "exact":
        return _words(asked, place, [unescape(value) for value in asked.values], ":exact")
    params = _params(asked, place)
    if asked.modifier == "equals":
        texts = tuple(fold(unescape(value)) for value in asked.values)
        return _among("search_string", params, Sql(f"value IN ({marks(texts)})", texts), place)
    return _containing(asked, place, params) if asked.modifier else _starting(asked, place, params)


def _starting(asked: Criterion, place: Place, params: tuple[int, ...]) -> Sql:
    texts = [fold(unescape(value)) for value in asked.values]
    found = " OR ".join(["(value >= ? AND value < ?)"] * len(texts))
    ends = [end for text in texts for end in (text, text + "\U0010ffff")]
    return _among("search_string", params, Sql(found, tuple(ends)), place)


def _containing(asked: Criterion, place: Place, params: tuple[int, ...]) -> Sql:
    end = "%" if asked.modifier == "contains" else ""
    texts = tuple(f"%{_like(fold(unescape(value)))}{end}" for value in asked.values)
    found = " OR ".join(["value LIKE ? ESCAPE '!'"] * len(texts))
    return _among("search_string", params, Sql(found, texts), place)


def _like(text: str) -> str:
    """Escape what LIKE does not take as it is."""
    return re.sub(r"([!%_])", r"!\1", text)


def _date(asked: Criterion, place: Place) -> Sql:
    name = asked.parameter.code
    if asked.modifier == "overlaps":
        found = [comparisons.overlapping(name, unescape(value)) for value in asked.values]
    else:
        found = [comparisons.date(name, unescape(value), place.now) for value in asked.values]
    return _among("search_date", _params(asked, place), _any(found), place)


def _number(asked: Criterion, place: Place) -> Sql:
    found = [_numeric(asked.parameter.code, unescape(value)) for value in asked.values]
    return _among("search_number", _params(asked, place), _any(found), place)


def _numeric(name: str, value: str) -> comparisons.Comparison:
    prefix, text = comparisons.split(value)
    return comparisons.numeric(prefix, comparisons.number(name, text))


def _any(found: Iterable[comparisons.Comparison]) -> Sql:
    listed = list(found)
    text = " OR ".join(f"({each.text.format(low='low', high='high')})" for each in listed)
    return Sql(text, tuple(value for each in listed for value in each.values))


def _among(table: str, params: tuple[int, ...], condition: Sql, place: Place) -> Sql:
    """Ask a table in the order of values, or row by row where other criteria leave few rows."""
    where = f"param IN ({marks(params)}) AND ({condition.text})"
    if place.narrowed:
        text = f"EXISTS (SELECT 1 FROM {table} WHERE rid = {place.at}.rid AND {where})"
    else:
        text = f"{place.at}.rid IN (SELECT rid FROM {table} WHERE {where})"
    return Sql(text, (*params, *condition.parameters))


def _quantity(asked: Criterion, place: Place) -> Sql:
    codes = _codes(asked.parameter)
    befores = tuple((kind, code, "") for kind, code in product(place.types, codes))
    found = [_measure(asked.parameter.code, value, befores, place) for value in asked.values]
    return joined(found, "OR", place)


def _measure(name: str, value: str, befores: tuple[tuple[str, str, str], ...], place: Place) -> Sql:
    """Compare a quantity, below each parameter (and a composite's first component)."""
    number, *units = [unescape(part) for part in split(value, "|")]
    prefix, text = comparisons.split(number)
    asked = comparisons.number(name, text)
    if len(units) == 1 or len(units) > 2:  # noqa: PLR2004 - system and code
        raise comparisons.refused(
            name, f"{name}={value}: a unit is given as |system|code or ||code."
        )
    system, code = units or ("", "")
    if system and code:
        scaled, named = _scaled(asked, system, code)
        params = tuple(
            key(kind, own, f"{first}${named}" if first else named) for kind, own, first in befores
        )
        found = _any([comparisons.numeric(prefix, scaled)])
    else:
        params = tuple(key(kind, own, first) for kind, own, first in befores)
        found = _any([comparisons.numeric(prefix, asked)])
        if code:
            found = Sql(f"({found.text}) AND unit = ?", (*found.parameters, unit(code)))
    return _among("search_number", params, found, place)


def _scaled(asked: comparisons.Number, system: str, code: str) -> tuple[comparisons.Number, str]:
    scaled = [values.scaled(system, code, each) for each in asked]
    return comparisons.Number(*scaled), values.unit_text(system, code)


def _composite(asked: Criterion, place: Place) -> Sql:
    found: list[Part] = []
    for value in asked.values:
        parts = split(value, "$")
        if len(parts) != len(asked.parameter.components):
            name, many = asked.parameter.code, len(asked.parameter.components)
            raise comparisons.refused(name, f"{name} takes {many} values joined by $: {value!r}.")
        if asked.parameter.root:
            found.append(_in_resource(asked.parameter, parts, place))
        if asked.parameter.elements:
            found.extend(_in_element(asked.parameter, kind, parts, place) for kind in place.types)
    return joined(found, "OR", place)


def _in_resource(parameter: Parameter, parts: list[str], place: Place) -> Sql:
    known = parameters(place.types[0])
    halves = [
        criterion(Criterion(known[code], "", (part,)), place)
        for code, part in zip(parameter.root, parts, strict=True)
    ]
    return joined(halves, "AND", place)


def _in_element(parameter: Parameter, kind: str, parts: list[str], place: Place) -> Part:
    form, name = token_text(parts[0]), parameter.code
    param = key(kind, name, form)
    kinds = tuple(component.type for component in parameter.components[1:])
    if kinds == ("number", "number"):
        low, high = (_numeric(name, unescape(part)) for part in parts[1:])
        text = f"({low.text.format(low='low', high='low')}) AND ({high.text.format(low='high', high='high')})"
        return _among("search_number", (param,), Sql(text, (*low.values, *high.values)), place)
    if kinds == ("quantity",):
        return _measure(name, parts[1], ((kind, name, form),), place)
    if kinds == ("date",):
        found = _any([comparisons.date(name, unescape(parts[1]), place.now)])
        return _among("search_date", (param,), found, place)
    second = token_text(parts[1]) if kinds == ("token",) else unescape(parts[1])
    return Match((key(kind, name, f"{form}${second}"),))


def _special(asked: Criterion, place: Place) -> Sql:
    found = [near(asked.parameter.code, value) for value in asked.values]
    return joined(
        [_among("search_number", _params(asked, place), each, place) for each in found],
        "OR",
        place,
    )


_CONDITIONS: dict[str, Callable[[Criterion, Place], Part]] = {
    "token": _token,
    "reference": _reference,
    "uri": _uri,
    "string": _string,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "composite": _composite,
    "special": _special,
}
