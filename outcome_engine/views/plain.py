"""Plain paths: FHIRPath that FHIR's own definitions turn into steps through JSON, once for each type.

A path is plain where it names elements, chooses types and extensions, takes the first, or asks for a
key. What is not plain is left to the evaluator.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from outcome_engine.views.elements import repeats
from r4.fhirpath import syntax
from r4.fhirpath.parse import parse
from r4.fhirpath.syntax import Ast
from r4.fhirpath.types import UNKNOWN, Field, Type, find


class NotPlain(Exception):  # noqa: N818 - no error: another way is taken
    """A path that is left to the evaluator."""


@dataclass(frozen=True, slots=True)
class Get:
    """The element under a key, of a list where many; shadow is the key of a primitive's extensions."""

    key: str
    many: bool
    shadow: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """The extensions of a url."""

    url: str


@dataclass(frozen=True, slots=True)
class First:
    """The first of what the steps before it find."""


@dataclass(frozen=True, slots=True)
class Key:
    """The id that the text of a reference gives: of a resource type, or of any where it is ""."""

    type: str


Step = Get | Extension | First | Key


@dataclass(frozen=True, slots=True)
class Plain:
    """Alternatives (a union; mostly one), and whether the first value of them all is taken.

    type is that of the elements which the last alternative finds.
    """

    alternatives: tuple[tuple[Step, ...], ...]
    first: bool
    type: Type


def plain(path: str, kind: Type) -> Plain:
    """Read a path over elements of a type; raises NotPlain."""
    tree, first = parse(path), False
    match tree:
        case syntax.Path(syntax.Binary("|") as union, syntax.Call("first", ())):
            tree, first = union, True
    branches = list(_alternatives(tree))
    read = [_Walk(kind).through(branch) for branch in branches]
    if len(branches) > 1 and any(_is_many(walk.steps) for walk in read):
        raise NotPlain
    return Plain(tuple(tuple(walk.steps) for walk in read), first, read[-1].kind)


def _is_many(steps: list[Step]) -> bool:
    return any(isinstance(s, Extension) or (isinstance(s, Get) and s.many) for s in steps)


def _alternatives(tree: Ast) -> Iterator[Ast]:
    if isinstance(tree, syntax.Binary) and tree.operator == "|":
        yield from _alternatives(tree.left)
        yield from _alternatives(tree.right)
    else:
        yield tree


class _Walk:
    """The steps of one path so far, and the type at which they have arrived."""

    def __init__(self, kind: Type) -> None:
        self.kind = kind
        self.steps: list[Step] = []
        self._choice: dict[str, Field] = {}

    def through(self, tree: Ast) -> "_Walk":
        """Walk a whole path."""
        for step in _in_order(tree):
            if isinstance(step, syntax.Member):
                self._member(step.name)
            else:
                self._call(step)
        if self._choice:
            raise NotPlain
        return self

    def _member(self, name: str) -> None:
        if self._choice or self.kind.is_primitive:
            raise NotPlain
        fields = {field.key: field for field in find(self.kind, name).values()}
        if len(fields) == 1:
            [field] = fields.values()
            self._get(field)
        elif fields:
            self._choice = fields
        else:
            raise NotPlain

    def _get(self, field: Field) -> None:
        if field.type is UNKNOWN or field.type.is_resource:
            raise NotPlain
        shadow = field.shadow if field.type.is_primitive else ""
        self.steps.append(Get(field.key, repeats(self.kind.path, field.key), shadow))
        self.kind = field.type

    def _call(self, call: syntax.Call) -> None:
        match call:
            case syntax.Call("ofType", (syntax.Member(name),)):
                self._of_type(name)
            case syntax.Call("first", ()) if not self._choice:
                self.steps.append(First())
            case syntax.Call("extension", (syntax.Literal(str() as url),)):
                self._extension(url)
            case syntax.Call("getResourceKey", ()):
                self._member("id")
            case syntax.Call("getReferenceKey", ()):
                self._key("")
            case syntax.Call("getReferenceKey", (syntax.Member(name),)):
                self._key(name)
            case _:
                raise NotPlain

    def _of_type(self, name: str) -> None:
        chosen = [field for field in self._choice.values() if field.type.name == name]
        if not chosen:
            raise NotPlain
        self._choice = {}
        self._get(chosen[0])

    def _extension(self, url: str) -> None:
        self._member("extension")
        self.steps[-1] = Extension(url)

    def _key(self, name: str) -> None:
        if self.kind.name != "Reference" or _is_many(self.steps):
            raise NotPlain
        self._member("reference")
        self.steps.append(Key(name))


def _in_order(tree: Ast) -> Iterator[syntax.Member | syntax.Call]:
    match tree:
        case syntax.Path(source, (syntax.Member() | syntax.Call()) as step):
            yield from _in_order(source)
            yield step
        case syntax.Member(name) if not name[:1].isupper():
            yield tree
        case syntax.Call():
            yield tree
        case _:
            raise NotPlain
