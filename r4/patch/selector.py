"""The selector of an XML Patch operation: a path down to one node, and nothing dearer than that.

RFC 5261 allows child steps with simple conditions, no more. FHIR keeps values in attributes, so
conditions here may also hold relative paths, `and`, `or`, and a few functions. What is left out
(`//`, `..`, axes, variables, comparing many nodes with many) could cost a server much time.

https://www.rfc-editor.org/rfc/rfc5261#section-4.1, https://www.w3.org/TR/1999/REC-xpath-19991116/
"""

import re
from collections.abc import Mapping
from typing import Any

from lxml import etree  # type: ignore[import-untyped, unused-ignore]

from r4.patch.errors import failed, malformed

MAX_LENGTH = 1_000

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text> "[^"]*" | '[^']*' )
      | (?P<number> \d+ (?:\.\d*)? | \.\d+ )
      | (?P<name> [^\W\d][\w.\-·]* (?: :(?!:) (?: [^\W\d][\w.\-·]* | \* ) )? )
      | (?P<symbol> // | \.\. | :: | != | <= | >= | [/@.*()\[\],=<>+\-] )
    )\s*""",
    re.VERBOSE,
)
_REFUSED = ("//", "..", "::")
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_NODE_TESTS = ("text", "comment", "processing-instruction")
_FUNCTIONS = (*_NODE_TESTS, "position", "last", "not", "starts-with", "contains", "count")
_OPERATORS = ("and", "or", "div", "mod", "*")
_UNPREFIXED = "_"

_Token = tuple[str, str]
_EDGE: _Token = ("edge", "")


def select(document: Any, path: str, namespaces: Mapping[str | None, str], at: str) -> Any:
    """Return the one node that a path selects: an element, a comment, or an attribute or text.

    namespaces: prefix to URI; that of None is meant by element names without a prefix.
    Raises FhirError: 400 for a path that cannot be read or holds what is left out here, 422 where
    it selects no node or several.
    """
    bound = {prefix or _UNPREFIXED: uri for prefix, uri in namespaces.items()}
    absolute = _checked(path, None in namespaces, at)
    try:
        # EXSLT's regular expressions, on by default, may take for ever.
        found = etree.XPath(absolute, namespaces=bound, regexp=False)(document)
    except (etree.XPathError, ValueError) as why:
        raise malformed(at, f"the selector `{path}` cannot be read: {why}") from None
    if not isinstance(found, list):
        raise malformed(at, f"the selector `{path}` selects no nodes, but computes a value")
    if not found:
        raise failed(at, f"the selector `{path}` selects nothing", "not-found")
    if len(found) > 1:
        problem = f"the selector `{path}` selects {len(found)} nodes, not one"
        raise failed(at, problem, "multiple-matches")
    return found[0]


def _checked(path: str, has_default: bool, at: str) -> str:
    """Check every token, qualify names without a prefix, and start at the document."""
    tokens = _tokens(path, at)
    written = [
        _written(before, token, after, has_default)
        for before, token, after in zip(
            [_EDGE, *tokens], tokens, [*tokens[1:], _EDGE], strict=False
        )
        if _is_allowed(before, token, after, path, at)
    ]
    return " ".join(written if path.lstrip().startswith("/") else ["/", *written])


def _tokens(path: str, at: str) -> list[_Token]:
    if len(path) > MAX_LENGTH:
        raise malformed(at, f"the selector is longer than {MAX_LENGTH} characters")
    tokens: list[_Token] = []
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None or match.lastgroup is None:
            raise malformed(at, f"the selector `{path}` cannot be read at position {position}")
        kind, text = match.lastgroup, match[match.lastgroup]
        # After an operand these are operators, anywhere else they are names (XPath 1.0, 3.7).
        is_operator = text in _OPERATORS and tokens and _ends_operand(tokens[-1])
        tokens.append(("operator" if is_operator else kind, text))
        position = match.end()
    return tokens


def _is_allowed(before: _Token, token: _Token, after: _Token, path: str, at: str) -> bool:
    kind, text = token
    if text == "namespace" and after[1] == "::":
        raise failed(at, f"`{path}`: namespace declarations cannot be changed", "not-supported")
    if kind == "symbol" and text in _REFUSED:
        raise malformed(at, f"the selector `{path}` must go down step by step, without `{text}`")
    if text == "/" and before is not _EDGE and not _ends_operand(before):
        raise malformed(at, f"in the selector `{path}`, conditions must start at the element")
    if kind == "name" and after[1] == "(" and text not in _FUNCTIONS:
        raise malformed(at, f"the function `{text}` cannot be used in the selector `{path}`")
    if kind == "symbol" and text in _COMPARISONS and not _has_constant(before, after):
        raise malformed(at, f"the selector `{path}` must compare with a text or a number")
    return True


def _has_constant(before: _Token, after: _Token) -> bool:
    return {before[0], after[0]} & {"text", "number"} != set() or after[1] in ("last", "position")


def _written(before: _Token, token: _Token, after: _Token, has_default: bool) -> str:
    kind, text = token
    if kind != "name" or not has_default or ":" in text:
        return text
    return text if before[1] == "@" or after[1] == "(" else f"{_UNPREFIXED}:{text}"


def _ends_operand(token: _Token) -> bool:
    kind, text = token
    return kind in ("text", "number", "name") or (kind == "symbol" and text in (")", "]", ".", "*"))
