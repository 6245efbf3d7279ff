"""ClaML, the XML in which WHO distributes ICD-10: classes that name the class above them.

ISO 13120. Modifiers, which make further codes of a class, are
rules and not classes: they are not applied, and a release that has them is not complete.
"""

from collections.abc import Iterable, Iterator

from lxml import etree  # type: ignore[import-untyped, unused-ignore]

from terminology.loaders.rows import Concept, Name, Parent, UnreadableError, unreadable

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_RANKS = {"preferred": 0, "preferredLong": 1}


def concepts(name: str, text: Iterable[bytes]) -> Iterator[Concept | Name]:
    """Yield each class: chapter, block or category, with its preferred titles."""
    for code, element in _classes(name, text):
        yield Concept(code, properties=(("kind", element.get("kind") or ""),))
        for rubric in element.iterfind("Rubric"):
            rank = _RANKS.get(rubric.get("kind"))
            for label in rubric.iterfind("Label") if rank is not None else ():
                term = " ".join("".join(label.itertext()).split())
                yield Name(code, term, label.get(_LANGUAGE) or "en", rank or 0)


def parents(name: str, text: Iterable[bytes]) -> Iterator[Parent]:
    """Yield, for each class, the classes above it."""
    for code, element in _classes(name, text):
        for above in element.iterfind("SuperClass"):
            yield Parent(code, above.get("code") or "")


def version(name: str, text: Iterable[bytes]) -> str | None:
    """Return the version that the title of a release states, if it does."""
    for element in _elements(name, text, "Title"):
        return element.get("version") or None
    return None


def has_modifiers(text: Iterable[bytes]) -> bool:
    """Tell whether a release has codes that are made by modifiers."""
    return any(b"<ModifiedBy" in line for line in text)


def _classes(name: str, text: Iterable[bytes]) -> Iterator[tuple[str, etree._Element]]:
    seen: set[str] = set()
    for element in _elements(name, text, "Class"):
        code = element.get("code")
        if not code or code in seen:
            what = f"the class {code} stands here a second time" if code else "a class has no code"
            raise unreadable(name, element.sourceline or 0, what)
        seen.add(code)
        yield code, element


def _elements(name: str, text: Iterable[bytes], tag: str) -> Iterator[etree._Element]:
    """Yield the elements of one name, each emptied after it was looked at.

    A document type may be named, as ClaML's is, but is not read: no entity of it is known.
    """
    parser = etree.XMLPullParser(
        events=("end",), tag=tag, resolve_entities=False, no_network=True, load_dtd=False
    )
    try:
        for part in text:
            parser.feed(part)
            yield from _emptied(parser)
        parser.close()
        yield from _emptied(parser)
    except etree.XMLSyntaxError as failure:
        raise UnreadableError(f"{name}, line {failure.lineno}: {failure.msg}") from None


def _emptied(parser: etree.XMLPullParser) -> Iterator[etree._Element]:
    for _, element in parser.read_events():
        yield element
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
