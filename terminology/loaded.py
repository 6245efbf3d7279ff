"""Code systems that are too large to be held as resources: what a store of them is able to answer.

The terminology service asks these questions of SNOMED CT, ICD-10 and the like; it does not know where
they are kept. https://hl7.org/fhir/R4/codesystem.html
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from r4.json import Resource


class LoadedConcept(Protocol):
    """One concept of a loaded code system."""

    @property
    def code(self) -> str:
        """Return the code."""
        ...

    @property
    def display(self) -> str | None:
        """Return the preferred term, where the release gives one."""
        ...

    @property
    def is_active(self) -> bool:
        """Tell whether the code may still be used."""
        ...

    @property
    def designations(self) -> Sequence[Resource]:
        """Return the terms as `CodeSystem.concept.designation` has them: language, use, value."""
        ...

    @property
    def properties(self) -> Sequence[tuple[str, Any]]:
        """Return the properties as (code, value): a string, a boolean, a number or a Coding."""
        ...

    @property
    def replaced_by(self) -> Sequence[str]:
        """Return the codes that stand in the place of one that is inactive."""
        ...


class LoadedSystem(Protocol):
    """One loaded version of a code system."""

    @property
    def url(self) -> str:
        """Return the canonical uri of the system."""
        ...

    @property
    def version(self) -> str:
        """Return the version that is loaded."""
        ...

    @property
    def is_complete(self) -> bool:
        """Tell whether a code that is absent is a code that does not exist."""
        ...

    def concept(self, code: str, /) -> LoadedConcept | None:
        """Return the concept of a code, active or not; None where there is none."""
        ...

    def subsumes(self, ancestor: str, descendant: str, /) -> bool:
        """Tell whether one code is above another; each is above itself."""
        ...

    def ancestors(self, code: str, /) -> Iterator[str]:
        """Yield every code above a code, itself left out."""
        ...

    def descendants(self, code: str, /) -> Iterator[str]:
        """Yield every code below a code, itself left out."""
        ...

    def is_member(self, refset: str, code: str, /) -> bool:
        """Tell whether a reference set holds a code."""
        ...

    def members(self, refset: str, /) -> Iterator[str]:
        """Yield the codes that a reference set holds."""
        ...

    def search(
        self,
        words: str,
        language: str | None,
        within: Callable[[str], bool] | None,
        offset: int,
        count: int,
        /,
    ) -> tuple[Sequence[LoadedConcept], int | None]:
        """Return a page of the active concepts whose terms hold every word, and how many there are.

        No words: every concept. within: leaves out the codes it refuses. The number is None where it
        is not known.
        """
        ...


class Loaded(Protocol):
    """The code systems that an operator has loaded."""

    def system(self, url: str, version: str | None = None, /) -> LoadedSystem | None:
        """Return a code system in a version; without one, the version in use. None: not loaded."""
        ...
