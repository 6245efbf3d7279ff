"""Code systems whose codes are made by a grammar: units, media types and languages. None is loaded.

There is no end of their codes, so none is listed; of each text it can be told whether it is one.
https://hl7.org/fhir/R4/terminologies-systems.html
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from r4.issue import FhirError, error
from terminology import ucum
from terminology.concepts import Concept
from terminology.systems import BCP_13, BCP_47, UCUM

_PART = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_PART}/{_PART}(?: ?;.*)?")
"""https://www.rfc-editor.org/rfc/rfc6838#section-4.2; parameters are not read, R4 writes some freely."""
_SHORT = frozenset({"xml", "json", "ttl"})
"""What FHIR writes for its own media types; https://hl7.org/fhir/R4/http.html#mime-type."""
_LANGUAGE = re.compile(
    r"[a-z]{2,3}(?:-[a-z]{3}){0,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+|i-[a-z]{3,8}|sgn-[a-z]{2}-[a-z]{2}",
    re.IGNORECASE,
)
"""https://www.rfc-editor.org/rfc/rfc5646#section-2.1"""
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Grammar:
    """A code system whose grammar tells whether a text is a code: a `terminology.loaded.LoadedSystem`.

    name: a code's name, where it has one, or why the text is no code.
    """

    url: str
    name: Callable[[str], tuple[str | None, str]]
    edition: Callable[[], str] = str

    @property
    def version(self) -> str:
        """Return the version of the grammar; "" where it has none."""
        return self.edition()

    @property
    def is_complete(self) -> bool:
        """Tell that what the grammar refuses is no code."""
        return True

    def problem(self, code: str) -> str:
        """Say why a text is no code; "" where it is one."""
        return self.name(code)[1]

    def concept(self, code: str) -> Concept | None:
        """Return a code's concept; None where the grammar refuses it."""
        name, problem = self.name(code)
        return None if problem else Concept(code, name, True, (), ())

    def subsumes(self, ancestor: str, descendant: str) -> bool:
        """Tell whether two codes are the same: none is above another."""
        return ancestor == descendant

    def ancestors(self, _code: str) -> Iterator[str]:
        """Yield the codes above a code: none."""
        return iter(())

    def descendants(self, _code: str) -> Iterator[str]:
        """Yield the codes below a code: none."""
        return iter(())

    def is_member(self, refset: str, code: str) -> bool:
        """Tell whether a reference set holds a code: there are none."""
        return code in self.members(refset)

    def members(self, _refset: str) -> Iterator[str]:
        """Yield the codes of a reference set: none."""
        return iter(())

    def search(
        self,
        _words: str,
        _language: str | None,
        _within: Callable[[str], bool] | None,
        _offset: int,
        _count: int,
    ) -> tuple[Sequence[Concept], int | None]:
        """Raise FhirError 422: there is no end of the codes."""
        text = (
            f"The codes of {self.url} are made by a grammar and cannot be listed: ask of a code with"
            " $validate-code."
        )
        raise FhirError(422, [error("too-costly", text)])


def _unit(code: str) -> tuple[str | None, str]:
    found = ucum.read(code)
    if found.problem:
        return None, f"{found.problem}; units are codes such as kg or mm[Hg], and case matters"
    return found.name, ""


def _media_type(code: str) -> tuple[str | None, str]:
    if code in _SHORT or (len(code) <= _LONGEST and _MEDIA_TYPE.fullmatch(code)):
        return None, ""
    return None, "a media type is written as application/pdf"


def _language(code: str) -> tuple[str | None, str]:
    if len(code) <= _LONGEST and _LANGUAGE.fullmatch(code):
        return None, ""
    return None, "a language is written as en or en-GB"


GRAMMARS = {
    each.url: each
    for each in (
        Grammar(UCUM, _unit, ucum.version),
        Grammar(BCP_13, _media_type),
        Grammar(BCP_47, _language),
    )
}
"""By the uri of the system."""
