"""Full text: words of the narrative or of any text, all of which must be there.

https://hl7.org/fhir/R4/search.html#content
"""

import re

from r4.issue import FhirError, error

_WORD = re.compile(r"[^\W_]+")


def words_in(column: str, value: str) -> str:
    """Return the expression that finds all words of a value; FhirError 400 where it has none."""
    words = _WORD.findall(value)
    if not words:
        text = f"{value!r} has no words to search for."
        raise FhirError(400, [error("value", text, "http._content", "search")])
    found = " AND ".join(f'"{word}"' for word in words)
    return f"({column} : ({found}))" if column else f"({found})"
