"""Which messages of the inbox carry a child: the rule by which a purge takes them.

A FHIR request does where it, or its answer, names something of the child's: by `type/id`, or by an
identifier with its system. An HL7 v2 message, in pipes or XML and by whatever door, does where a PID or
MRG segment holds one of the numbers and its mapping gives that number the same system; a message that
cannot be mapped, where it holds one.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from fhir_server.store.belonging import Child, Identifiers, Named, pairs_of
from fhir_server.store.inbox import Message
from mappings import hl7v2, layers
from mappings.hl7v2 import MappingContext
from r4.issue import FhirError
from r4.json import decode
from terminology import Terminology

_NAMED = re.compile(rb"\b([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
_BARE = re.compile(rb'"resourceType":\s*"([A-Za-z]+)"|"id":\s*"([A-Za-z0-9\-.]{1,64})"')
_WHO = re.compile(rb"^(?:PID|MRG)[^\r\n]*", re.MULTILINE)
_APART = re.compile(rb"[|^~&\r\n\\]")
_WHOSE = frozenset({"PID", "MRG"})
_IGNORED = re.compile(r"[\s-]")
_IGNORED_BYTES = re.compile(rb"[\s-]")
_ESCAPED = re.compile(rb"\\X|&#")
"""What may hide a number from whoever looks for its digits."""


def carries(message: Message, child: Child, *, mappings: Path | None = None) -> bool:
    """Tell whether a message carries a child. mappings: the operator's folder, where there is one."""
    if message.is_hl7v2:
        return _hl7v2(message.raw, child, _mapping(mappings))
    return _fhir(message, child)


@cache
def _mapping(mappings: Path | None) -> MappingContext:
    return MappingContext(Terminology.load(), engine=layers.engine(mappings))


def _fhir(message: Message, child: Child) -> bool:
    target = unquote_plus(message.target)
    texts = (message.raw, target.encode(), message.answer or b"")
    if any(found in child.theirs for text in texts for found in _names(text)):
        return True
    if any(f"{system}|{value}" in target for system, value in child.identifiers):
        return True
    said = (message.reason or "").encode() + (message.answer or b"")
    if any(_holds(said, value) for _, value in child.identifiers):
        return True
    try:
        return bool(set(_identifiers(decode(message.raw))) & child.identifiers)
    except (
        ValueError
    ):  # XML (a CDA document may space its numbers, and be UTF-16), or no JSON at all
        plain = _IGNORED_BYTES.sub(b"", message.raw.replace(b"\0", b""))
        values = [value for _, value in child.identifiers]
        return any(_holds(text, value) for text in (message.raw, plain) for value in values)


def _names(text: bytes) -> Iterator[Named]:
    for kind, key in _NAMED.findall(text):
        yield kind.decode(), key.decode()
    bare = _BARE.findall(text)
    kinds = {kind.decode() for kind, _ in bare if kind}
    for _, key in bare:
        yield from ((kind, key.decode()) for kind in kinds if key)


def _identifiers(node: Any) -> Iterator[tuple[str, str]]:
    """Yield what may be an identifier: each pair of system and value, and those in conditional URLs."""
    if isinstance(node, dict):
        yield from pairs_of(node)
        for child in node.values():
            yield from _identifiers(child)
    elif isinstance(node, list):
        for child in node:
            yield from _identifiers(child)
    elif isinstance(node, str) and "identifier=" in node:
        for each in re.split(r"[&,?]", unquote_plus(node.partition("?")[2])):
            system, mark, value = each.rpartition("=")[2].partition("|")
            if mark:
                yield system, value


def _holds(text: bytes, value: str) -> bool:
    return re.search(rb"(?<![\w-])" + re.escape(value.encode()) + rb"(?![\w-])", text) is not None


def _hl7v2(raw: bytes, child: Child, mapping: MappingContext) -> bool:
    numbers = {_IGNORED.sub("", value) for _, value in child.identifiers}
    plain = _IGNORED_BYTES.sub(b"", raw)
    if not _ESCAPED.search(raw) and not any(number.encode() in plain for number in numbers):
        return False
    try:
        message = hl7v2.parse(raw)
    except FhirError:
        return not numbers.isdisjoint(_unread(raw)) or (
            _WHO.search(raw) is None and any(_holds(raw, value) for value in numbers)
        )
    told = {_IGNORED.sub("", leaf.text) for leaf in message.walk() if leaf.place.segment in _WHOSE}
    return not numbers.isdisjoint(told) and _same_child(message, child.identifiers, mapping)


def _unread(raw: bytes) -> set[str]:
    """Return the parts of the segments that name a child, in bytes that are no message."""
    segments = _WHO.findall(raw.replace(b"\r", b"\n"))
    parts = (part for segment in segments for part in _APART.split(segment))
    return {_IGNORED.sub("", part.decode("utf-8", "replace")) for part in parts}


def _same_child(message: hl7v2.Message, identifiers: Identifiers, mapping: MappingContext) -> bool:
    """Tell whether a message's number has the system of the child's; True where it cannot be mapped."""
    try:
        bundle = hl7v2.to_bundle(message, mapping)
    except FhirError:
        return True
    return bool(set(_identifiers(bundle)) & identifiers)
