"""The abstract syntax of FHIRPath, as frozen values.

https://hl7.org/fhirpath/N1/grammar.html
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: bool, int, Decimal, str, Temporal or Quantity."""

    value: Any


@dataclass(frozen=True, slots=True)
class Empty:
    """The empty collection `{}`."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable, `%name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Special:
    """`$this`, `$index` or `$total`."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """The name of an element, or of a type at the head of a path."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; position is where its name stands in the text."""

    name: str
    arguments: tuple["Ast", ...]
    position: int


@dataclass(frozen=True, slots=True)
class Path:
    """`source.step`: a member or a call, applied to the collection that source yields."""

    source: "Ast"
    step: "Member | Call | Special"


@dataclass(frozen=True, slots=True)
class Index:
    """`source[index]`."""

    source: "Ast"
    index: "Ast"


@dataclass(frozen=True, slots=True)
class Unary:
    """`+operand` or `-operand`."""

    operator: str
    operand: "Ast"


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`, for every operator but `is` and `as`."""

    operator: str
    left: "Ast"
    right: "Ast"


@dataclass(frozen=True, slots=True)
class TypeOperation:
    """`operand is type` or `operand as type`; the type may be qualified (`FHIR.Patient`)."""

    operator: str
    operand: "Ast"
    type: str
    position: int


Ast = (
    Literal
    | Empty
    | Variable
    | Special
    | Member
    | Call
    | Path
    | Index
    | Unary
    | Binary
    | TypeOperation
)
