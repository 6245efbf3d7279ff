"""The target cells of HL7's v2-to-FHIR tables: read as syntax trees, and bound to R4's definitions.

https://build.fhir.org/ig/HL7/v2-to-fhir/mapping_guidelines.html
`x[2].y(Practitioner[1].name)` is an element, then an element of a resource that it refers to. Where R4
has no such element, one of a few repairs may say what is meant; each is named in what is returned:

- r1 an extension's `uri` is its `url`
- r2 a coding's `uri` is its `system`, its `value` its `code`
- r3 `path="literal"` is a path and an assignment
- r4 a bracket that is not closed, or closed wrongly
- r5 `(Annotation.text)` after an element of that very type is a path into it
- r6 an element's name in other letters, large for small
- r7 a choice without its type: a reference, or what the row's `Data Type` says
- r8 one complex element left out, where only one fits
- r9 a path that begins with `[n]` is about the nth of the resources that the table makes
- r10 `value.CodeableConcept` is `valueCodeableConcept`
- r11 `location(Location.x)` in a table about a Location is that Location's own x
- r12 `extension-Name.element` is R5's extension for that element
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mappings.hl7v2.elements import Place, children, place
from r4.definitions import resource_types, structure

WHOLE = frozenset({"$this", "$value"})
"""The target of a row that gives the value itself, not an element of it."""

_LITERAL = re.compile(r'(?P<path>[^="]+)="(?P<text>[^"]*?)\'?"?\Z')
_STEP = re.compile(
    r"(?P<name>[A-Za-z$][A-Za-z0-9-]*)(?:\[(?P<tag>[A-Za-z0-9.-]+)\])?(?::(?P<slice>[a-z-]+))?\Z"
)
_GROUP = re.compile(r"\[(?P<tag>[A-Za-z0-9.-]+)\]\.?")
_OPEN_TAG = re.compile(r"\[(\d+)(?=\.[A-Za-z]|\(|\Z)")
_CURLED = re.compile(r"\[(\d+)\}")
_SEPARATE = re.compile(r"\.(?![^\[]*\])")
_REFERENCE = ("reference", "id")
_LATER = re.compile(r"extension-[A-Z]")


@dataclass(frozen=True, slots=True)
class Step:
    """An element's name, and what tells it from others of the name: a tag, a slice (`tag:slice`)."""

    name: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A target cell as a tree.

    `group` is the tag that a path begins with, `types` and `tag` say what resource the last step refers
    to, `inner` is the path within it, `literal` an assignment. `repairs` are those of the text alone.
    """

    steps: tuple[Step, ...]
    group: str = ""
    types: tuple[str, ...] = ()
    tag: str = ""
    inner: "Target | None" = None
    literal: str | None = None
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hop:
    """A place in one resource on the way, and the type and tag of the resource it refers to, or "".

    `key` names the element at the place, as `elements` names those on the way to it: two rows with one
    key write to one element.
    """

    place: Place
    key: str
    type: str
    tag: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A target that R4 has: a place in each resource on the way, and the type at the end.

    There is no place where the target is the value itself, or a resource as such. `repairs` names
    every repair that was needed.
    """

    hops: tuple[Hop, ...]
    type: str
    repairs: tuple[str, ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """List the place in each resource on the way."""
        return tuple(hop.place for hop in self.hops)


def parse(cell: str) -> Target:
    """Read a cell of a segment or datatype map. Raises ValueError where it is no path."""
    text, repairs = re.sub(r"\s", "", cell), []
    assigned, literal = _LITERAL.match(text), None
    if assigned:
        text, literal = assigned["path"], assigned["text"]
        repairs.append("r3")
    mended = _closed(text)
    if mended != text:
        repairs.append("r4")
    return replace(_path(mended, cell), literal=literal, repairs=tuple(repairs))


def parse_resource(cell: str) -> Target:
    """Read a cell of a message table, which begins with a resource: `Observation[2].note`.

    The tree has no steps of its own: `types` and `tag` are the resource, `inner` the path within it.
    """
    text, repairs = re.sub(r"\s", "", cell), []
    assigned, literal = _LITERAL.match(text), None
    if assigned:
        text, literal = assigned["path"], assigned["text"]
        repairs.append("r3")
    found = _referred(Target(()), _closed(text), cell)
    return replace(found, literal=literal, repairs=tuple(repairs))


def _closed(text: str) -> str:
    text = _OPEN_TAG.sub(r"[\1]", _CURLED.sub(r"[\1]", text))
    text = text.replace(".(", "(")
    opened, closed = text.count("("), text.count(")")
    if closed > opened and text.endswith(")"):
        return text[: opened - closed]
    return text + ")" * (opened - closed)


def _path(text: str, cell: str) -> Target:
    group = _GROUP.match(text)
    rest = text[group.end() :] if group else text
    head, bracket, inner = rest.partition("(")
    names = _SEPARATE.split(head) if head else []
    found = Target(tuple(_step(name, cell) for name in names), group["tag"] if group else "")
    if not bracket:
        if not found.steps:
            raise ValueError(f"`{cell}` names no element")
        return found
    if not inner.endswith(")"):
        raise ValueError(f"`{cell}` does not close its bracket")
    return _referred(found, inner[:-1], cell)


def _referred(found: Target, text: str, cell: str) -> Target:
    """Read what stands in brackets: a resource, or several to choose from, and a path within it."""
    if "|" in text:
        return replace(found, types=tuple(text.split("|")))
    head = re.match(r"([A-Z][A-Za-z]*)(?:\[([A-Za-z0-9.-]+)\])?(\.|\(|\Z)", text)
    if head is None:
        raise ValueError(f"`{cell}`: `{text}` begins with no resource")
    rest = text[head.end() :] if head[3] == "." else text[head.end() - len(head[3]) :]
    inner = _path(rest, cell) if rest else None
    return replace(found, types=(head[1],), tag=head[2] or "", inner=inner)


def _step(text: str, cell: str) -> Step:
    match = _STEP.match(text)
    if match is None:
        raise ValueError(f"`{cell}`: `{text}` is no step of a path")
    return Step(match["name"], ":".join(filter(None, (match["tag"], match["slice"]))))


def bind(target: Target, base: str, *, hint: str = "", made: str = "") -> Bound:
    """Bind a target to a type: "Patient", "HumanName", "code", "Encounter.participant".

    `hint` is the row's Data Type, `made` the one type of the resources that the table makes. Raises
    ValueError where R4 has no such element, or where an element cannot refer to such a resource.
    """
    hops: list[Hop] = []
    repairs = list(target.repairs)
    if target.group and made:
        base = made
        repairs.append("r9")
    end, here = base, target
    at: Target | None = target
    while at is not None:
        here, mended = _dissolved(at, end)
        repairs += mended
        if here.steps and not _is_whole(here):
            found, key, mended = _bound(end, here, hint if here.inner is None else "")
            hops.append(Hop(found, key, here.types[0] if here.types else "", here.tag))
            repairs += mended
            end = found.type
        if here.types:
            _check_types(here, hops[-1].place if here.steps else None)
            end = here.types[0]
        at = here.inner
    return Bound(tuple(hops), end, tuple(dict.fromkeys(repairs)))


def _is_whole(target: Target) -> bool:
    return len(target.steps) == 1 and target.steps[0].name in WHOLE


def _dissolved(target: Target, base: str) -> tuple[Target, list[str]]:
    """Drop what a path says of its own type; join brackets that are no reference (r5, r11)."""
    steps = target.steps
    if len(steps) > 1 and (steps[0].name in WHOLE or steps[0].name == base):
        steps = steps[1:]
    target = replace(target, steps=steps)
    inner = target.inner
    if inner is None or not steps:
        return target, []
    if target.types == (base,) and steps[-1].name.lower() == base.lower():
        return inner, ["r11"]
    try:
        kind = place(base, _text(steps)).type
    except ValueError:
        return target, []
    if target.types == (kind,) and kind != "Reference":
        return replace(inner, steps=(*steps, *inner.steps), group=target.group), ["r5"]
    return target, []


def _check_types(target: Target, at: Place | None) -> None:
    unknown = [name for name in target.types if name not in resource_types()]
    if unknown:
        raise ValueError(f"R4 has no resource {unknown[0]}")
    if at is None:
        return
    if at.type not in ("Reference", "canonical"):
        raise ValueError(f"{at.name} is a {at.type}: it refers to no {target.types[0]}")
    if at.targets and "Resource" not in at.targets and not at.targets & set(target.types):
        raise ValueError(f"{at.name} cannot refer to {target.types[0]}")


def _text(steps: tuple[Step, ...]) -> str:
    """Write steps as `elements` reads them, which takes numbers alone for tags."""
    return ".".join(
        f"{step.name}[{_number(step.tag)}]" if step.tag else step.name for step in steps
    )


def _number(tag: str) -> str:
    return tag if tag.isdecimal() else str(int.from_bytes(tag.encode()))


def _key(owner: str, steps: tuple[Step, ...]) -> str:
    return ".".join((owner, *(f"{step.name}[{_number(step.tag or '1')}]" for step in steps)))


def _bound(base: str, target: Target, hint: str) -> tuple[Place, str, list[str]]:
    owner, _, rest = base.partition(".")
    steps = (*(Step(name) for name in rest.split(".") if name), *target.steps)
    if target.types and len(steps) > 1 and steps[-1].name in _REFERENCE:
        steps = steps[:-1]
    try:
        return place(owner, _text(steps)), _key(owner, steps), []
    except ValueError as refused:
        problem = refused
    repairs = []
    for name, repair in _REPAIRS.items():
        mended = repair(owner, steps, target, hint)
        if mended != steps:
            steps = mended
            repairs.append(name)
            try:
                return place(owner, _text(steps)), _key(owner, steps), repairs
            except ValueError:
                continue
    raise problem


Steps = tuple[Step, ...]


def _url(_: str, steps: Steps, __: Target, ___: str) -> Steps:
    return _renamed(steps, "extension", {"uri": "url"})


def _coding(_: str, steps: Steps, __: Target, ___: str) -> Steps:
    return _renamed(steps, "coding", {"uri": "system", "value": "code"})


def _renamed(steps: Steps, after: str, names: dict[str, str]) -> Steps:
    *before, last = steps
    if not before or before[-1].name != after:
        return steps
    return (*before, replace(last, name=names.get(last.name, last.name)))


def _letters(owner: str, steps: Steps, _: Target, __: str) -> Steps:
    """Write the first step that R4 lacks as R4 does, where only its letters' size differs."""
    number = _failing(owner, steps)
    for name in _names(owner, steps[:number]):
        if name.lower() == steps[number].name.lower():
            return (*steps[:number], replace(steps[number], name=name), *steps[number + 1 :])
    return steps


def _names(owner: str, steps: Steps) -> Iterator[str]:
    """Yield every name below a path, those of choices with each of their types."""
    stem = "Extension" if steps and steps[-1].name == "extension" else owner
    definition = structure(stem)
    path = ".".join((stem, *(step.name for step in steps))) if stem == owner else stem
    for element in definition["snapshot"]["element"] if definition else ():
        above, _, name = element["path"].rpartition(".")
        if above == path:
            for kind in element.get("type", ()):
                code = kind["code"]
                yield name.replace("[x]", code[:1].upper() + code[1:])


def _choice(owner: str, steps: Steps, target: Target, hint: str) -> Steps:
    kind = "Reference" if target.types else hint
    if not kind.isalpha():
        return steps
    last = f"{steps[-1].name}{kind[0].upper()}{kind[1:]}"
    mended = (*steps[:-1], replace(steps[-1], name=last))
    return mended if _failing(owner, mended) == len(mended) else steps


def _left_out(owner: str, steps: Steps, _: Target, __: str) -> Steps:
    """Put the one complex element before the first step that R4 lacks with which it is there."""
    number = _failing(owner, steps)
    try:
        below = children(owner, _text(steps[:number]))
    except ValueError:
        return steps
    fits = []
    for name, kind in below.items():
        if kind[:1].isupper() and kind not in ("Extension", "Reference"):
            mended = (*steps[:number], Step(name), *steps[number:])
            if _failing(owner, mended) == len(mended):
                fits.append(mended)
    return fits[0] if len(fits) == 1 else steps


def _concept(_: str, steps: Steps, __: Target, ___: str) -> Steps:
    names = [step.name for step in steps]
    if names[:2] != ["value", "CodeableConcept"]:
        return steps
    return (Step("valueCodeableConcept"), *steps[2:])


def _later(_: str, steps: Steps, __: Target, ___: str) -> Steps:
    """Put a reference into R5's extension: `extension-EncounterHistory.subject.reference`."""
    if not _LATER.match(steps[0].name):
        return steps
    return (Step("extension", steps[0].name), Step("valueReference"))


def _failing(owner: str, steps: Steps) -> int:
    """Find the number of the first step that R4 lacks; of steps, where it has all."""
    for number in range(1, len(steps) + 1):
        try:
            place(owner, _text(steps[:number]))
        except ValueError:
            return number - 1
    return len(steps)


_REPAIRS: dict[str, Callable[[str, Steps, Target, str], Steps]] = {
    "r1": _url,
    "r2": _coding,
    "r10": _concept,
    "r12": _later,
    "r6": _letters,
    "r7": _choice,
    "r8": _left_out,
}
