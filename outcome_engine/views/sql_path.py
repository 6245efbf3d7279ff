"""FHIRPath to DuckDB: the closed subset that views need, typed by FHIR's own definitions.

https://hl7.org/fhirpath/N1/
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from outcome_engine.views.paths import ROW_INDEX
from outcome_engine.views.sql import (
    DECIMAL,
    NOTHING,
    Kind,
    Sql,
    applied,
    exists,
    filtered,
    kind_of,
    listed,
    name,
    quoted,
    single,
    step,
)
from outcome_engine.views.sql_dates import compared_dates, compared_times
from outcome_engine.views.view import Constant
from r4.fhirpath import syntax
from r4.fhirpath.parse import parse
from r4.fhirpath.syntax import Ast
from r4.fhirpath.temporal import Temporal
from r4.fhirpath.types import find, named
from r4.issue import FhirError, error

_COMPARISONS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_ID = r"[A-Za-z0-9\-.]{1,64}"
_ANY_TYPE = "[A-Z][A-Za-z]+"
_NUMBERS = ("integer", "decimal")


_LOGIC: dict[str, Callable[[str, str], str]] = {
    "and": lambda one, other: f"({one} AND {other})",
    "or": lambda one, other: f"({one} OR {other})",
    "implies": lambda one, other: f"((NOT {one}) OR {other})",
    "xor": lambda one, other: f"({one} <> {other})",
}

_FACTOR = "DECIMAL(38, 9)"
"""What is multiplied: DuckDB adds the scales of factors, and has 38 digits."""
_ARITHMETIC: dict[str, Callable[[str, str], str]] = {
    "+": lambda one, other: f"({one} + {other})",
    "-": lambda one, other: f"({one} - {other})",
    "*": lambda one, other: f"(CAST({one} AS {_FACTOR}) * CAST({other} AS {_FACTOR}))",
    "/": lambda one, other: f"round(CAST({one} AS DOUBLE) / nullif(CAST({other} AS DOUBLE), 0), 9)",
}


@dataclass(frozen=True, slots=True)
class Around:
    """What surrounds a path: the resource, the index of its row as SQL, the view's constants.

    element: where the path stands in the view, for what is refused.
    """

    resource: Sql
    index: str
    constants: Mapping[str, Constant]
    element: str


def expression(path: str, focus: Sql, around: Around) -> Sql:
    """Write a path of a view as SQL over a focus; raises FhirError 422 for what is not supported."""
    return _Writer(path, around).written(parse(path), focus)


def condition(source: Sql, what: str) -> str:
    """Write a collection as a condition: a single value that is no boolean is true."""
    one = single(source, what)
    return one if source.kind == "boolean" else f"CASE WHEN {one} IS NOT NULL THEN true END"


def _as(kind: Kind, source: Sql) -> Sql:
    """Write integers as decimals, where decimals stand beside them."""
    if (kind, source.kind) != ("decimal", "integer"):
        return source
    return applied(source, lambda x: f"CAST({x} AS {DECIMAL})", "decimal")


class _Writer:
    def __init__(self, path: str, around: Around) -> None:
        self._path = path
        self._around = around

    def written(self, tree: Ast, this: Sql) -> Sql:
        match tree:
            case syntax.Call():
                return self._call(tree, this, this)
            case syntax.Path(source, syntax.Member(member)):
                return self._member(self.written(source, this), member)
            case syntax.Path(source, syntax.Call() as call):
                return self._call(call, self.written(source, this), this)
            case syntax.Index(source, index):
                return self._indexed(self.written(source, this), self.written(index, this))
            case syntax.TypeOperation("as", operand, type_name, _):
                return self._of_type(self.written(operand, this), type_name)
            case syntax.Unary("-", operand):
                value = self.written(operand, this)
                return self._number(f"(-{single(value, 'a sign')})", value)
            case syntax.Binary(operator, left, right):
                return self._binary(operator, self.written(left, this), self.written(right, this))
            case _:
                return self._simple(tree, this)

    def _simple(self, tree: Ast, this: Sql) -> Sql:
        match tree:
            case syntax.Literal(value):
                return self._literal(value)
            case syntax.Empty():
                return NOTHING
            case syntax.Special("$this"):
                return this
            case syntax.Variable(variable):
                return self._variable(variable)
            case syntax.Member(member):
                if member[:1].isupper() and member in this.type.ancestors:
                    return this
                return self._member(this, member)
            case _:
                raise self._refused("This form of expression")

    def _literal(self, value: object) -> Sql:
        if isinstance(value, bool):
            return Sql("true" if value else "false", "boolean")
        if isinstance(value, int):
            return Sql(f"CAST({value} AS BIGINT)", "integer")
        if isinstance(value, Decimal):
            return Sql(f"CAST('{value}' AS {DECIMAL})", "decimal")
        if isinstance(value, str):
            return Sql(quoted(value), "text")
        if isinstance(value, Temporal):
            return Sql(quoted(str(value)), "time" if value.kind == "Time" else "date")
        raise self._refused("A quantity")

    def _variable(self, variable: str) -> Sql:
        if variable == ROW_INDEX:
            return Sql(self._around.index, "integer")
        if variable in ("resource", "rootResource"):
            return self._around.resource
        constant = self._around.constants.get(variable)
        if constant is None:
            raise self._refused(f"`%{variable}`")
        type_ = named(constant.type)
        kind = kind_of(type_) if type_ else "text"
        if isinstance(constant.value, str):
            return Sql(quoted(constant.value), kind)
        return replace(self._literal(constant.value), kind=kind)

    def _member(self, source: Sql, member: str) -> Sql:
        if source.kind in ("choice", "nothing"):
            if source.kind == "choice":
                raise self._refused(f"`{member}` of a choice without ofType()")
            return NOTHING
        if source.kind != "json":
            if member in ("extension", "id"):
                raise self._refused(f"`{member}` of a primitive")
            return NOTHING
        fields = {field.key: field for field in find(source.type, member).values()}
        if len(fields) == 1:
            [field] = fields.values()
            return step(source, field, source.type)
        if not fields:
            return NOTHING
        return replace(source, kind="choice", fields=tuple(fields.values()))

    def _of_type(self, source: Sql, type_name: str) -> Sql:
        wanted = type_name.rpartition(".")[2]
        if source.kind == "choice":
            owner = replace(source, kind="json", fields=())
            for field in source.fields:
                if field.type.name == wanted:
                    return step(owner, field, source.type)
            return NOTHING
        return source if wanted in source.type.ancestors else NOTHING

    def _indexed(self, source: Sql, index: Sql) -> Sql:
        if index.kind != "integer" or index.many:
            raise self._refused("An index that is no integer")
        at = index.text
        if source.many:
            return replace(source, base=f"({source.text})[{at} + 1]", listed=False, path="")
        return replace(source, base=f"CASE WHEN {at} = 0 THEN {source.text} END", path="")

    def _call(self, call: syntax.Call, source: Sql, this: Sql) -> Sql:
        write = self._FUNCTIONS.get((call.name, len(call.arguments)))
        if write is None:
            raise self._refused(f"`{call.name}()` with {len(call.arguments)} arguments")
        return write(self, source, call.arguments, this)

    def _where(self, source: Sql, arguments: tuple[Ast, ...], _: Sql) -> Sql:
        if source.kind in ("choice", "nothing"):
            return self._needs_type(source, "where()")

        def holds(item: str) -> str:
            one = Sql(item, source.kind, source.type)
            return condition(self.written(arguments[0], one), "A criterion of where()")

        if source.many:
            return replace(source, base=filtered(source.text, holds), listed=True, path="")
        kept = f"{filtered(f'[{source.text}]', holds)}[1]"
        return replace(source, base=kept, path="")

    def _exists(self, source: Sql, arguments: tuple[Ast, ...], this: Sql) -> Sql:
        found = self._where(source, arguments, this) if arguments else source
        return Sql(exists(found), "boolean")

    def _empty(self, source: Sql, _: tuple[Ast, ...], __: Sql) -> Sql:
        return Sql(f"(NOT {exists(source)})", "boolean")

    def _count(self, source: Sql, _: tuple[Ast, ...], __: Sql) -> Sql:
        if source.many:
            return Sql(f"len({source.text})", "integer")
        return Sql(f"CAST({exists(source)} AS BIGINT)", "integer")

    def _first(self, source: Sql, _: tuple[Ast, ...], __: Sql) -> Sql:
        if not source.many:
            return source
        return replace(source, base=f"({source.text})[1]", listed=False, path="")

    def _not(self, source: Sql, _: tuple[Ast, ...], __: Sql) -> Sql:
        return Sql(f"(NOT {condition(source, 'not()')})", "boolean")

    def _typed(self, source: Sql, arguments: tuple[Ast, ...], _: Sql) -> Sql:
        return self._of_type(source, self._type_name(arguments[0]))

    def _extension(self, source: Sql, arguments: tuple[Ast, ...], _: Sql) -> Sql:
        if not isinstance(arguments[0], syntax.Literal):
            raise self._refused("An extension whose url is no literal")
        url = quoted(str(arguments[0].value))
        found = self._member(source, "extension")
        if found.kind == "nothing":
            return found
        kept = filtered(found.text, lambda item: f"json_extract_string({item}, '$.url') = {url}")
        return replace(found, base=kept, listed=True, path="")

    def _join(self, source: Sql, arguments: tuple[Ast, ...], this: Sql) -> Sql:
        separator = "''"
        if arguments:
            separator = single(self.written(arguments[0], this), "join()")
        if source.kind not in ("text", "nothing"):
            raise self._refused("join() of what is no string")
        return Sql(f"array_to_string({listed(source)}, {separator})", "text")

    def _resource_key(self, source: Sql, _: tuple[Ast, ...], __: Sql) -> Sql:
        return self._member(source, "id")

    def _reference_key(self, source: Sql, arguments: tuple[Ast, ...], _: Sql) -> Sql:
        wanted = self._type_name(arguments[0]) if arguments else _ANY_TYPE
        if arguments and named(wanted) is None:
            return NOTHING
        pattern = quoted(f"^{wanted}/({_ID})(?:/_history/{_ID})?$")
        text = source if source.kind == "text" else self._member(source, "reference")
        return applied(text, lambda x: f"nullif(regexp_extract({x}, {pattern}, 1), '')", "text")

    def _iif(self, _: Sql, arguments: tuple[Ast, ...], this: Sql) -> Sql:
        test, *branches = (self.written(argument, this) for argument in arguments)
        kind = self._alike(branches)
        texts = [single(_as(kind, branch), "iif()") for branch in branches]
        otherwise = f" ELSE {texts[1]}" if len(texts) > 1 else ""
        return Sql(f"CASE WHEN {condition(test, 'iif()')} THEN {texts[0]}{otherwise} END", kind)

    def _binary(self, operator: str, left: Sql, right: Sql) -> Sql:
        if operator == "|":
            return self._union(left, right)
        if operator in _COMPARISONS:
            return Sql(self._compared(_COMPARISONS[operator], left, right), "boolean")
        what = f"`{operator}`"
        if operator in _LOGIC:
            given = condition(left, what), condition(right, what)
            return Sql(_LOGIC[operator](*given), "boolean")
        one, other = single(left, what), single(right, what)
        if operator == "+" and left.kind == right.kind == "text":
            return Sql(f"({one} || {other})", "text")
        if operator not in _ARITHMETIC:
            raise self._refused(f"The operator {what}")
        return self._number(_ARITHMETIC[operator](one, other), left, right, divided=operator == "/")

    def _number(self, text: str, *given: Sql, divided: bool = False) -> Sql:
        kinds = {each.kind for each in given}
        if not kinds <= {*_NUMBERS, "nothing"}:
            raise self._refused("Arithmetic of what are no numbers")
        if kinds == {"integer"} and not divided:
            return Sql(f"CAST({text} AS BIGINT)", "integer")
        return Sql(f"CAST({text} AS {DECIMAL})", "decimal")

    def _compared(self, operator: str, left: Sql, right: Sql) -> str:
        if "nothing" in (left.kind, right.kind):
            return "CAST(NULL AS BOOLEAN)"
        if "choice" in (left.kind, right.kind) or "json" in (left.kind, right.kind):
            raise self._refused("A comparison of what is no primitive")
        if operator in ("=", "<>") and (left.many or right.many):
            return self._equal_lists(operator, left, right)
        what = "A comparison"
        return self._compared_values(operator, left.kind, right.kind)(
            single(left, what), single(right, what)
        )

    def _compared_values(self, operator: str, left: Kind, right: Kind) -> Callable[[str, str], str]:
        if left == right == "date":
            return lambda one, other: compared_dates(operator, one, other)
        if left == right == "time":
            return lambda one, other: compared_times(operator, one, other)
        if left == right or {left, right} == set(_NUMBERS):
            return lambda one, other: f"({one} {operator} {other})"
        raise self._refused(f"A comparison of a {left} with a {right}")

    def _equal_lists(self, operator: str, left: Sql, right: Sql) -> str:
        if left.kind != right.kind or left.kind in ("date", "time"):
            raise self._refused("A comparison of several values of these kinds")
        pair = name()
        one, other = f"{pair}.a", f"{pair}.b"
        told = f"CASE WHEN len({one}) > 0 AND len({other}) > 0 THEN {one} {operator} {other} END"
        both = f"{{'a': {listed(left)}, 'b': {listed(right)}}}"
        return f"list_transform([{both}], lambda {pair}: {told})[1]"

    def _union(self, left: Sql, right: Sql) -> Sql:
        kind = self._alike([left, right])
        if kind in ("json", "choice"):
            raise self._refused("A union of what are no primitives")
        given = [_as(kind, each) for each in (left, right) if each.kind != "nothing"]
        parts = ", ".join(map(listed, given))
        items, item, at = name(), name(), name("i")
        first = f"lambda {item}, {at}: list_position({items}, {item}) = {at}"
        distinct = f"lambda {items}: list_filter({items}, {first})"
        united = f"list_transform([list_concat({parts})], {distinct})[1]"
        return Sql(united, kind, listed=True) if parts else NOTHING

    def _alike(self, given: list[Sql]) -> Kind:
        kinds: set[Kind] = {each.kind for each in given if each.kind != "nothing"}
        if kinds == set(_NUMBERS):
            return "decimal"
        if len(kinds) > 1:
            raise self._refused("A choice between values of different kinds")
        return kinds.pop() if kinds else "nothing"

    def _needs_type(self, source: Sql, what: str) -> Sql:
        if source.kind == "choice":
            raise self._refused(f"{what} of a choice without ofType()")
        return source

    def _type_name(self, tree: Ast) -> str:
        match tree:
            case syntax.Member(member):
                return member
            case syntax.Path(_, syntax.Member(member)):
                return member
            case _:
                raise self._refused("A type that is no name")

    def _refused(self, what: str) -> FhirError:
        message = (
            f"{what} is not written as SQL, in `{self._path}`: docs/views.md lists what is; "
            "flatten with Python instead, which evaluates all of FHIRPath."
        )
        return FhirError(422, [error("not-supported", message, self._around.element)])

    _FUNCTIONS: Mapping[tuple[str, int], Callable[["_Writer", Sql, tuple[Ast, ...], Sql], Sql]] = {
        ("where", 1): _where,
        ("exists", 0): _exists,
        ("exists", 1): _exists,
        ("empty", 0): _empty,
        ("count", 0): _count,
        ("first", 0): _first,
        ("not", 0): _not,
        ("ofType", 1): _typed,
        ("as", 1): _typed,
        ("extension", 1): _extension,
        ("join", 0): _join,
        ("join", 1): _join,
        ("getResourceKey", 0): _resource_key,
        ("getReferenceKey", 0): _reference_key,
        ("getReferenceKey", 1): _reference_key,
        ("iif", 2): _iif,
        ("iif", 3): _iif,
    }
