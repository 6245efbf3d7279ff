"""What a form says of one answer's value: length, format, bounds, places, size, units, targets.

The rules' ids are those of HL7's test cases for responses (FHIR/fhir-test-cases).
https://hl7.org/fhir/R4/questionnaire-profilelist.html and https://hl7.org/fhir/uv/sdc/
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from questionnaires.comparison import compare
from questionnaires.elements import CORE, SDC, Item, extension_value, extensions, value_of
from r4 import reference
from r4.definitions import resource_types
from r4.issue import Severity

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\\<>\"{}|^`]+|[^\s:\\<>\"{}|^`]+")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOCAL = re.compile(r"(?:urn:(?:uuid|oid):|#)\S+")

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is no Char of XML 1.0: https://www.w3.org/TR/xml/#charsets"""


class Finding(NamedTuple):
    """What is wrong with an answer: the severity and code of the issue, the rule, a sentence."""

    severity: Severity
    code: str
    rule: str
    text: str


Check = Callable[[Item, Any], Iterator[Finding]]


def violations(definition: Item, kind: str, value: Any) -> Iterator[Finding]:
    """Yield what is wrong with an answer's value, by its item's definition and its FHIR type."""
    for check in _CHECKS.get(kind, ()):
        yield from check(definition, value)


def unwritable(text: str) -> str | None:
    """Return the first character, as U+000B, that a narrative (XML) cannot hold; None without one."""
    found = _NOT_XML.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def _broken(rule: str, text: str, code: str = "business-rule") -> Finding:
    return Finding("error", code, rule, text)


def _text(definition: Item, value: str) -> Iterator[Finding]:
    if definition["type"] == "string" and re.search(r"[\r\n]", value):
        text = "a string cannot contain a new line"
        yield Finding("fatal", "business-rule", "invalidNewLine", text)
    if (found := unwritable(value)) is not None:
        text = f"the character {found} cannot be written in a document: take it out"
        yield _broken("character", text, "value")
    minimum = extension_value(definition, CORE + "minLength")
    if minimum is not None and len(value) < minimum:
        yield _broken("minLength", f"at least {minimum} characters are needed, {len(value)} given")
    maximum = definition.get("maxLength")
    if maximum is not None and len(value) > maximum:
        yield _broken("maxLength", f"at most {maximum} characters are allowed, {len(value)} given")
    if (pattern := extension_value(definition, CORE + "regex")) is not None:
        yield from _form(definition, pattern, value)


def _form(definition: Item, pattern: str, value: str) -> Iterator[Finding]:
    try:
        has_form = re.fullmatch(pattern, value)
    except re.error:
        text = f"the form's pattern {pattern!r} cannot be read"
        yield Finding("warning", "invariant", "invariantExecution", text)
        return
    if not has_form:
        form = extension_value(definition, CORE + "entryFormat") or pattern
        yield _broken("regex", f"{value!r} does not have the form {form}", "invalid")


def _bounds(definition: Item, value: Any) -> Iterator[Finding]:
    for name, direction in (("min", -1), ("max", 1)):
        urls = (CORE + f"{name}Value", SDC + f"{name}Quantity")
        if (bound := extension_value(definition, *urls)) is None:
            continue
        order = compare(value, bound)
        if order == direction:
            word = "below the minimum" if direction < 0 else "above the maximum"
            yield _broken(f"{name}Value", f"{_shown(value)} is {word} {_shown(bound)}")
        elif order is None and isinstance(value, dict):
            text = f"{_shown(value)} cannot be compared with {_shown(bound)}"
            yield _broken(f"{name}ValueIncompatUnits", text, "value")


def _places(definition: Item, value: Any) -> Iterator[Finding]:
    allowed = extension_value(definition, CORE + "maxDecimalPlaces")
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    given = -exponent if isinstance(exponent, int) else 0
    if allowed is not None and given > allowed:
        yield _broken("maxDecimalPlaces", f"at most {allowed} decimal places, {given} given")


def _units(definition: Item, value: dict[str, Any]) -> Iterator[Finding]:
    options = [found[1] for held in extensions(definition, CORE + "questionnaire-unitOption")
               if (found := value_of(held)) is not None]  # fmt: skip
    unit = (value.get("system"), value.get("code"))
    if options and unit not in {(option.get("system"), option.get("code")) for option in options}:
        names = ", ".join(str(option.get("display") or option.get("code")) for option in options)
        yield _broken("invalidUnit", f"{_shown(value)} is not in one of the units {names}", "value")


def _attachment(definition: Item, value: dict[str, Any]) -> Iterator[Finding]:
    kinds = [held.get("valueCode") for held in extensions(definition, CORE + "mimeType")]
    if kinds and value.get("contentType") not in kinds:
        names = ", ".join(str(kind) for kind in kinds)
        text = f"the attachment is {value.get('contentType')}, not one of {names}"
        yield _broken("invalidAttachmentType", text)
    held = _size(value)
    if held is not None and "size" in value and value["size"] != held:
        text = f"the attachment says {value['size']} bytes and holds {held}"
        yield Finding("fatal", "invalid", "attachmentSizeInconsistent", text)
    size = value.get("size") if held is None else held
    allowed = extension_value(definition, CORE + "maxSize")
    if allowed is not None and size is not None and size > allowed:
        yield _broken("maxAttachmentSize", f"at most {allowed} bytes are allowed, {size} given")


def _size(attachment: dict[str, Any]) -> int | None:
    try:
        return len(b64decode(attachment["data"])) if "data" in attachment else None
    except NotBase64:
        return None


def _reference(definition: Item, value: dict[str, Any]) -> Iterator[Finding]:
    text = value.get("reference")
    if text is None or _LOCAL.fullmatch(text):
        return
    target = reference.literal(text) or reference.conditional(text)
    allowed = [held.get("valueCode") for held in
               extensions(definition, CORE + "questionnaire-referenceResource")]  # fmt: skip
    if target is None:
        yield _broken("invalidRefValue", f"{text!r} is not a reference to a resource", "invalid")
    elif target.type not in resource_types():
        wrong = f"{text!r}: R4 has no resource type {target.type}"
        yield _broken("invalidRefResourceType", wrong, "invalid")
    elif allowed and target.type not in allowed:
        wrong = f"{text!r} does not refer to a {' or '.join(str(name) for name in allowed)}"
        yield _broken("invalidRefResourceTypeRestriction", wrong, "value")


def _url(_: Item, value: str) -> Iterator[Finding]:
    pattern = _UUID if value.startswith("urn:uuid:") else _URI
    if not pattern.fullmatch(value):
        yield _broken("invalidUrlValue", f"{value!r} is not a URL", "value")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value.get('value')} {value.get('unit') or value.get('code', '')}".strip()
    return str(value)


_CHECKS: dict[str, tuple[Check, ...]] = {
    "String": (_text,),
    "Uri": (_text, _url),
    "Integer": (_bounds,),
    "Decimal": (_bounds, _places),
    "Date": (_bounds,),
    "DateTime": (_bounds,),
    "Time": (_bounds,),
    "Quantity": (_units, _bounds),
    "Attachment": (_attachment,),
    "Reference": (_reference,),
}
