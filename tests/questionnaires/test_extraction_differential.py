"""Our extraction of our forms is that of npm's @aehrc/sdc-template-extract, resource for resource."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

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


class Case(NamedTuple):
    """A form, an example response to it, and what the library made of both."""

    name: str
    form: Resource
    response: Resource
    theirs: list[Any]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, library: Path) -> list[Case]:
    """Extract every example of every form with the library, in one process of Node."""
    asked = [*own(), *of_guide(library)]
    install()
    folder = tmp_path_factory.mktemp("extraction")
    sent, answered = folder / "sent.json", folder / "answered.json"
    sent.write_bytes(encode([{"form": form, "response": held} for _, form, held in asked]))
    result = run("node", ["extract.cjs", str(sent), str(answered)], 120)
    assert result.returncode == 0, result.stderr
    found = json.loads(answered.read_text(encoding="utf-8"))
    bundles = [(each["bundle"] or {}).get("entry", []) for each in found]
    return [Case(*each, theirs) for each, theirs in zip(asked, bundles, strict=True)]


def own() -> Iterator[tuple[str, Resource, Resource]]:
    for form in forms().values():
        for path in sorted((EXAMPLES / form["id"]).glob("*.response.json")):
            yield f"{form['id']}/{path.name}", form, {**decode(path.read_bytes()), "id": ID}


def of_guide(library: Path) -> Iterator[tuple[str, Resource, Resource]]:
    for name in GUIDES:
        path = library / "sdc" / "hl7-sdc-examples" / f"{name}.json"
        form = decode(path.read_bytes())
        yield f"{name}/guide", form, {**of_the_guide(form), "id": ID}


def test_every_resource_is_the_librarys_but_for_the_listed_differences(cases: list[Case]) -> None:
    unexplained, met, count = [], set(), 0
    for case in cases:
        if case.form.get("id") in DIFFERENT["form"]:
            assert case.theirs == [], f"{case.name}: the reason in the list no longer holds"
            continue
        ours = canonical(extract(case.form, case.response, new_id=ids()).get("entry", []))
        theirs = canonical(case.theirs)
        kinds = [each["resource"]["resourceType"] for each in ours]
        assert kinds == [each["resource"]["resourceType"] for each in theirs], case.name
        count += len(kinds)
        listed = DIFFERENT["guide" if case.form["id"] in GUIDES else "entry"]
        for left, right in zip(ours, theirs, strict=True):
            for path in differing(left, right):
                met.add(path)
                if path not in listed:
                    unexplained.append((case.name, left["resource"]["resourceType"], path))
    assert unexplained == []
    assert met == DIFFERENT["entry"].keys() | DIFFERENT["guide"].keys()
    assert count > 100


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
