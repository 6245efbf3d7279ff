"""Our extraction of our forms is that of npm's @aehrc/sdc-template-extract, resource for resource."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from questionnaires import extract, forms
from r4.json import Resource, decode, encode
from tests.questionnaires.support import EXAMPLES, ids, of_the_guide
from tests.support.npm import install, run

DIFFERENT = tomllib.loads(
    (Path(__file__).parent / "extraction_differences.toml").read_text(encoding="utf-8")
)
ID = "00000000-0000-4000-8000-0000000000ff"
"""The id of the response, which both engines write into what they extract."""

ALLOCATED = re.compile(
    rf"(?:urn:uuid:)?(?!{ID})[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}"
)
GUIDES = ("extract-complex-template", "extract-complex-template2")


Asked = tuple[str, Resource, Resource]
"""A name, a form, and a response to it."""


def own() -> Iterator[Asked]:
    for form in forms().values():
        for path in sorted((EXAMPLES / form["id"]).glob("*.response.json")):
            yield f"{form['id']}/{path.name}", form, {**decode(path.read_bytes()), "id": ID}


def of_guide(library: Path) -> Iterator[Asked]:
    for name in GUIDES:
        path = library / "sdc" / "hl7-sdc-examples" / f"{name}.json"
        form = decode(path.read_bytes())
        yield f"{name}/guide", form, {**of_the_guide(form), "id": ID}


def test_every_example_of_our_forms_yields_what_the_library_makes_of_it(tmp_path: Path) -> None:
    assert compared(list(own()), tmp_path, DIFFERENT["entry"]) > 100


def test_the_guides_forms_yield_what_the_library_makes_of_them(
    library: Path, tmp_path: Path
) -> None:
    assert compared(list(of_guide(library)), tmp_path, DIFFERENT["guide"]) > 3


def comparable(entries: list[Any], form: Resource) -> list[Any]:
    """Leave out the resources of a form that the library cannot make."""
    out = DIFFERENT["resource"].get(form["id"], {})
    return [each for each in entries if each["resource"]["resourceType"] not in out]


def compared(asked: list[Asked], folder: Path, listed: dict[str, str]) -> int:
    """Assert that both differ as listed, and in all that is listed; return how many are compared."""
    unexplained, met, count = [], set(), 0
    for (name, form, response), theirs in zip(asked, by_the_library(asked, folder), strict=True):
        if form["id"] in DIFFERENT["form"]:
            assert theirs == [], f"{name}: the reason in the list no longer holds"
            continue
        made = extract(form, response, new_id=ids()).get("entry", [])
        ours = comparable(canonical(made), form)
        others = comparable(canonical(theirs), form)
        kinds = [each["resource"]["resourceType"] for each in ours]
        assert kinds == [each["resource"]["resourceType"] for each in others], name
        count += len(kinds)
        for left, right in zip(ours, others, strict=True):
            for path in differing(left, right):
                met.add(path)
                if path not in listed:
                    unexplained.append((name, left["resource"]["resourceType"], path))
    assert unexplained == []
    assert met == listed.keys()
    return count


def by_the_library(asked: list[Asked], folder: Path) -> list[list[Any]]:
    """Extract each response with the library, in one process of Node; return each one's entries."""
    install()
    sent, answered = folder / "sent.json", folder / "answered.json"
    sent.write_bytes(encode([{"form": form, "response": held} for _, form, held in asked]))
    result = run("node", ["extract.cjs", str(sent), str(answered)], 120)
    assert result.returncode == 0, result.stderr
    found = json.loads(answered.read_text(encoding="utf-8"))
    return [(each["bundle"] or {}).get("entry", []) for each in found]


def canonical(entries: list[Any]) -> list[Any]:
    """Return entries with allocated ids as what they name, numbers as numbers, in one order.

    The library orders entries by template, this package by item, and their ids have two forms.
    """
    read = json.loads(json.dumps(entries, default=float))
    named: dict[str, str] = {}
    for each in read:
        if found := ALLOCATED.fullmatch(each["fullUrl"]):
            named[found[0].removeprefix("urn:uuid:")] = _name(each["resource"])
    text = ALLOCATED.sub(lambda at: named[at[0].removeprefix("urn:uuid:")], json.dumps(read))
    return sorted(json.loads(text), key=lambda each: _order(each["resource"]))


def _name(resource: Resource) -> str:
    """Say what a resource is about, without the ids in it: a reference to it is read so."""
    said = ALLOCATED.sub("", json.dumps(resource.get("code", ""), sort_keys=True))
    return f"{resource['resourceType']}-{re.sub('[^a-z0-9]+', '-', said.lower())}"


def _order(resource: Resource) -> tuple[str, str]:
    return _name(resource), json.dumps(resource, sort_keys=True)


def differing(left: Any, right: Any, path: str = "") -> Iterator[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from differing(left.get(key), right.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for one, other in zip(left, right, strict=True):
            yield from differing(one, other, path)
    elif left != right:
        yield path
