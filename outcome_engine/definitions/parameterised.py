"""Parameters written into a definition: what is read and compiled is then a Library like any other.

In a Library, %`parameter-name` stands for a literal of the parameter file, `code.memberOf('#name')`
for one of its lists of codes; the facts of its score follow the Library's own.
"""

import re
from collections.abc import Mapping
from typing import Any

from outcome_engine.extensions import EXTENSION
from outcome_engine.parameter_files.form import CodeList
from r4.json import Resource

_LITERAL = re.compile(r"%`(parameter-[a-z-]+)`")
_LIST = re.compile(r"\b(\w+)\.memberOf\('#([a-z-]+)'\)")


def library(
    template: Resource,
    literals: Mapping[str, str],
    lists: Mapping[str, CodeList],
    facts: tuple[tuple[str, str], ...],
) -> Resource:
    """Return a Library with parameters in the place of their names, and the facts of its score.

    A name that the parameters do not have is left as it stands: the reader refuses it.
    """

    def text(expression: str) -> str:
        expression = _LITERAL.sub(lambda m: literals.get(m[1], m[0]), expression)
        return _LIST.sub(
            lambda m: _members(m[1], lists[m[2]]) if m[2] in lists else m[0], expression
        )

    written = _mapped(template, text)
    added = [_fact(id, expression) for id, expression in facts]
    return {**written, "extension": [*written.get("extension", []), *added]}


def _mapped(value: Any, text: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: text(entry) if name == "expression" else _mapped(entry, text)
            for name, entry in value.items()
        }
    return [_mapped(entry, text) for entry in value] if isinstance(value, list) else value


def _members(coding: str, codes: CodeList) -> str:
    """Write that a coding is in a list, in the language of definitions; in an empty one nothing is."""
    found = [f"{coding}.memberOf({_quoted(url)})" for url in codes.value_sets]
    for system in sorted({system for system, _ in codes.codes}):
        named = sorted(code for of, code in codes.codes if of == system)
        alternatives = " | ".join(map(_quoted, named))
        found.append(f"({coding}_system = {_quoted(system)} and {coding}_code in ({alternatives}))")
    return f"({' or '.join(found)})" if found else "false"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _fact(id: str, expression: str) -> Resource:
    return {
        "url": f"{EXTENSION}outcome-fact",
        "extension": [
            {"url": "id", "valueCode": id},
            {
                "url": "expression",
                "valueExpression": {"language": "text/fhirpath", "expression": expression},
            },
        ],
    }
