"""Full text: words of the narrative or of any text, all of which must be there.

https://hl7.org/fhir/R4/search.html#content
"""

from fhir_server.store.search.dialect import words_of
from r4.issue import FhirError, error


def words_in(value: str) -> list[str]:
    """Return the words of a value; raises FhirError 400 where it has none."""
    words = words_of(value)
    if not words:
        text = f"{value!r} has no words to search for."
        raise FhirError(400, [error("value", text, "http._content", "search")])
    return words
