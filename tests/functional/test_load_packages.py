"""`load` of FHIR packages and folders, as an operator uses it."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.__main__ import main
from fhir_server.store.packages import Packages, generation
from fhir_server.store.read import current
from r4 import artefacts
from r4.definitions.catalogue import Catalogue
from r4.xml import encode as encode_xml
from tests.support.databases import KINDS, new_database, opened

SETS = "https://example.org/ValueSet/"
Load = Callable[..., tuple[int, str]]


def value_set(name: str, version: str | None = "1.0.0", **more: Any) -> dict[str, Any]:
    said = {"version": version} if version is not None else {}
    return {
        "resourceType": "ValueSet", "id": name, "url": SETS + name, **said, "status": "active", **more
    }  # fmt: skip


def folder(place: Path, **files: Any) -> Path:
    """Write a folder of files, `a__b` for a/b.json; returns it."""
    for name, content in files.items():
        file = place / (name.replace("__", "/") + ".json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return place


def package(place: Path, manifest: dict[str, Any], **files: Any) -> Path:
    """Write an npm archive; returns it."""
    with tarfile.open(place, "w:gz") as archive:
        for name, content in {"package__package": manifest, **files}.items():
            text = json.dumps(content).encode()
            member = tarfile.TarInfo(name.replace("__", "/") + ".json")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return place


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    database = new_database(request.param, tmp_path)
    monkeypatch.setenv("CSOR_DATABASE", database)
    return database


@pytest.fixture
def load(where: str, capsys: pytest.CaptureFixture[str]) -> Load:
    """Run `load`; returns its exit status and what it says."""

    def run(*places: Path) -> tuple[int, str]:
        status = main(["load", *map(str, places)])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_a_folder_is_loaded_for_users_and_for_behaviour_and_a_second_time_changes_nothing(
    where: str, load: Load, tmp_path: Path
) -> None:
    place = folder(tmp_path / "ours", sets__a=value_set("a"), sets__b=value_set("b"))
    (place / "sets" / "c.xml").write_bytes(encode_xml(value_set("c")))
    status, said = load(place)
    assert status == 0
    assert said == f"ours ({place})\n  3 definitions: 3 ValueSet\n  3 new, 0 changed, 0 unchanged\n"
    with opened(where) as database:
        loaded = Packages(database)
        assert list(loaded.urls("ValueSet")) == [SETS + "a", SETS + "b", SETS + "c"]
        assert loaded.find("ValueSet", SETS + "c", "1.0.0") == value_set("c")
        assert loaded.find("ValueSet", SETS + "c", "2.0.0") is None
        assert loaded.find("ValueSet", SETS + "d", None) is None
        assert current(database, "ValueSet", "a") is not None
        first = generation(database)
    assert load(place) == (0, f"ours ({place})\n  3 definitions: 3 ValueSet\n  nothing changed\n")
    with opened(where) as database:
        assert generation(database) == first
        again = current(database, "ValueSet", "a")
        assert again is not None
        assert again.version == 1


def test_what_changed_is_told_and_gives_another_generation(
    where: str, load: Load, tmp_path: Path
) -> None:
    load(folder(tmp_path / "ours", a=value_set("a"), b=value_set("b")))
    with opened(where) as database:
        first = generation(database)
    _, said = load(folder(tmp_path / "ours", b=value_set("b", title="Better")))
    assert "0 new, 1 changed, 1 unchanged" in said
    with opened(where) as database:
        assert generation(database) > first
        catalogue = Catalogue.of((), Packages(database), generation(database))
        found = catalogue.find("ValueSet", SETS + "b")
        assert found is not None
        assert found["title"] == "Better"


def test_a_file_that_cannot_be_read_is_reported_with_its_line_and_the_rest_is_loaded(
    where: str, load: Load, tmp_path: Path
) -> None:
    place = folder(
        tmp_path / "ours",
        broken='{\n  "resourceType": "ValueSet",\n  oops\n}',
        good=value_set("good"),
        invalid=value_set("invalid", title=7),
        unknown={"resourceType": "Sorcery", "id": "s"},
        unnamed={"resourceType": "ValueSet", "id": "unnamed", "status": "active"},
        z_again=value_set("good"),
        settings={"editor": "not a resource"},
    )
    (place / "broken.xml").write_text(
        '<ValueSet xmlns="http://hl7.org/fhir">\n<id value="a"/>c\n</ValueSet>'
    )
    status, said = load(place)
    assert status == 1
    assert "1 definitions: 1 ValueSet" in said
    assert "6 refused:" in said
    assert "broken.json, line 3: " in said
    assert "broken.xml, line 1: <ValueSet> has text" in said
    assert "unknown.json: 'Sorcery' is no resource type of FHIR R4" in said
    assert "unnamed.json: it has no url" in said
    assert "z_again.json: good.json has the same url and version" in said
    assert "invalid.json: ValueSet.title: " in said
    with opened(where) as database:
        assert list(Packages(database).urls("ValueSet")) == [SETS + "good"]


def test_a_package_says_what_it_needs_and_what_of_that_is_missing(
    where: str, load: Load, tmp_path: Path
) -> None:
    needs = {
        "hl7.fhir.r4.core": "4.0.1", "example.terms": "1.2.x", "example.other": "2.0.0", "gone": "1.0"
    }  # fmt: skip
    profiles = package(
        tmp_path / "profiles.tgz",
        {"name": "example.profiles", "version": "1.0.0", "dependencies": needs},
        package__a=value_set("a"),
        package__p={"resourceType": "Patient", "id": "p"},
        package__example__b=value_set("b"),
    )
    terms = package(
        tmp_path / "terms.tgz",
        {"name": "example.terms", "version": "1.2.9"},
        package__t=value_set("t"),
    )
    other = package(
        tmp_path / "o.tgz", {"name": "example.other", "version": "2.1.0"}, package__o=value_set("o")
    )
    status, said = load(profiles, terms, other)
    assert status == 0
    assert "example.profiles 1.0.0" in said
    assert "not definitions, left out: 1 Patient" in said
    assert [line.strip() for line in said.splitlines() if "missing" in line] == [
        "missing dependency: example.other 2.0.0 (loaded: 2.1.0)",
        "missing dependency: gone 1.0",
    ]
    with opened(where) as database:
        assert list(Packages(database).urls("ValueSet")) == [SETS + name for name in "aot"]
    assert "example.terms" not in load(profiles)[1]


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_of_an_unpacked_package_only_its_content_is_read_and_of_another_folder_all(
    where: str, load: Load, tmp_path: Path
) -> None:
    manifest = {"name": "example.a", "version": "1.0.0"}
    unpacked = folder(
        tmp_path / "unpacked",
        package__package=manifest,
        package__a=value_set("a"),
        package__example__b=value_set("b"),
        c=value_set("c"),
    )
    status, said = load(unpacked)
    assert (status, said.splitlines()[:2]) == (
        0,
        [f"example.a 1.0.0 ({unpacked})", "  1 definitions: 1 ValueSet"],
    )
    manifest["dependencies"] = {"example.a": "1.0.0"}
    sources = folder(tmp_path / "sources", package=manifest, d=value_set("d"), x__y=value_set("e"))
    assert load(sources)[1].splitlines()[1] == "  2 definitions: 2 ValueSet"
    (sources / "package.json").write_text("[]")
    assert "package.json is not that of a package" in load(sources)[1]


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_what_this_release_defines_itself_is_not_replaced_and_naming_systems_go_by_their_id(
    where: str, load: Load, tmp_path: Path
) -> None:
    ours = artefacts.load("terminology")[0]
    naming = {
        "resourceType": "NamingSystem",
        "id": "numbers",
        "name": "Numbers",
        "status": "active",
        "kind": "identifier",
        "date": "2026-01-01",
        "uniqueId": [{"type": "uri", "value": "urn:numbers"}],
    }
    status, said = load(folder(tmp_path / "theirs", a=ours, n=naming))
    assert status == 1
    assert f"a.json: {ours['url']} is one of this release's own" in said
    with opened(where) as database:
        loaded = Packages(database)
        assert list(loaded.urls("NamingSystem")) == ["NamingSystem/numbers"]
        assert loaded.find("NamingSystem", "NamingSystem/numbers", None) == naming


def test_of_several_versions_the_newest_is_found_and_users_keep_it(
    where: str, load: Load, tmp_path: Path
) -> None:
    newer = folder(tmp_path / "newer", a=value_set("a", "1.10.0"))
    older = folder(tmp_path / "older", a=value_set("a", "1.9.0"))
    load(newer, older)
    assert "nothing changed" in load(newer, older)[1]
    with opened(where) as database:
        loaded = Packages(database)
        assert loaded.find("ValueSet", SETS + "a", None) == value_set("a", "1.10.0")
        assert loaded.find("ValueSet", SETS + "a", "1.9.0") == value_set("a", "1.9.0")
        kept = current(database, "ValueSet", "a")
        assert kept is not None
        assert b"1.10.0" in kept.body


def test_an_id_that_is_taken_stays_with_whom_it_belongs_to(
    where: str, load: Load, tmp_path: Path
) -> None:
    load(folder(tmp_path / "ours", a=value_set("a")))
    theirs = folder(
        tmp_path / "theirs",
        a=value_set("a", url="urn:theirs"),
        b=value_set("a", url="urn:invalid", title=7),
    )
    status, said = load(theirs)
    assert status == 1
    assert "1 refused:\n    b.json: ValueSet.title: " in said
    assert f"a.json: ValueSet/a is {SETS}a here" in said
    with opened(where) as database:
        assert list(Packages(database).urls("ValueSet")) == [SETS + "a", "urn:theirs"]
        kept = current(database, "ValueSet", "a")
        assert kept is not None
        assert b"urn:theirs" not in kept.body


def test_a_guide_that_lists_examples_is_kept_without_a_copy(
    where: str, load: Load, tmp_path: Path
) -> None:
    guide = {
        "resourceType": "ImplementationGuide",
        "id": "guide",
        "url": "urn:guide",
        "name": "Guide",
        "status": "active",
        "packageId": "example.guide",
        "fhirVersion": ["4.0.1"],
        "definition": {"resource": [{"reference": {"reference": "Patient/example"}}]},
    }
    status, said = load(folder(tmp_path / "ours", guide=guide, a=value_set("a")))
    assert status == 0
    assert "1 kept without a copy for users:\n    guide.json: " in said
    assert "Patient/example is not known here" in said
    with opened(where) as database:
        assert Packages(database).find("ImplementationGuide", "urn:guide", None) == guide
        assert current(database, "ImplementationGuide", "guide") is None
        assert current(database, "ValueSet", "a") is not None


def test_an_archive_that_breaks_off_and_a_place_that_is_none_are_said(
    load: Load, tmp_path: Path
) -> None:
    files = {f"package__{number}": value_set(f"v{number}", title="x" * 999) for number in range(99)}
    whole = package(tmp_path / "whole.tgz", {"name": "p", "version": "1"}, **files)
    half = tmp_path / "half.tgz"
    half.write_bytes(whole.read_bytes()[:-200])
    status, said = load(half)
    assert status == 1
    assert "half.tgz: the archive breaks off here" in said
    assert "is neither a folder nor a package" in load(tmp_path / "nowhere")[1]


def test_a_package_for_another_release_of_fhir_is_refused(load: Load, tmp_path: Path) -> None:
    manifest = {"name": "five", "version": "1", "fhirVersions": ["5.0.0"]}
    status, said = load(package(tmp_path / "five.tgz", manifest, package__a=value_set("a")))
    assert status == 1
    assert "the package is for FHIR 5.0.0" in said


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)
def test_uk_core_is_loaded_but_for_its_one_broken_file(
    where: str, load: Load, library: Path
) -> None:
    status, said = load(library / "ukcore")
    assert status == 1
    assert "153 StructureDefinition" in said
    assert "1 refused:" in said
    assert "CodeSystem-UKCore-EthnicCategoryScotland.xml, line " in said
    with opened(where) as database:
        assert len(list(Packages(database).urls("StructureDefinition"))) == 153
    assert "nothing changed" in load(library / "ukcore")[1]


def test_a_zip_is_read_as_the_folder_or_the_package_that_it_holds(
    where: str, load: Load, tmp_path: Path
) -> None:
    place = folder(tmp_path / "guide", sets__a=value_set("a"))
    (place / "sets" / "b.xml").write_bytes(encode_xml(value_set("b")))
    (place / "sets" / "._a.json").write_text("what a Mac adds")
    zipped = Path(shutil.make_archive(str(tmp_path / "ukguide"), "zip", place))
    assert load(zipped) == (
        0, f"ukguide ({zipped})\n  2 definitions: 2 ValueSet\n  2 new, 0 changed, 0 unchanged\n",
    )  # fmt: skip
    manifest = {"name": "example.terms", "version": "1.2.0"}
    unpacked = folder(
        tmp_path / "npm", package__package=manifest, package__c=value_set("c"),
        package__examples__d=value_set("d"),
    )  # fmt: skip
    zipped = Path(shutil.make_archive(str(tmp_path / "npm"), "zip", unpacked))
    status, said = load(zipped)
    assert (status, said.splitlines()[0]) == (0, f"example.terms 1.2.0 ({zipped})")
    with opened(where) as database:
        assert list(Packages(database).urls("ValueSet")) == [SETS + "a", SETS + "b", SETS + "c"]
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    status, said = load(tmp_path / "bad.zip")
    assert (status, "bad.zip cannot be read" in said) == (1, True)


def test_a_definition_that_leaves_unsaid_what_it_must_say_is_not_gone_by(
    where: str, load: Load, tmp_path: Path
) -> None:
    absent = {"extension": [{"url": "https://example.org/why", "valueCode": "unknown"}]}
    compose = {"include": [{"system": "urn:x", "concept": [{"_code": absent}]}]}
    place = folder(tmp_path / "ours", a=value_set("a", compose=compose), b=value_set("b"))
    status, said = load(place)
    assert status == 1
    assert "a.json: compose.include[0].concept[0].code" in said.replace("ValueSet.", "")
    with opened(where) as database:
        assert list(Packages(database).urls("ValueSet")) == [SETS + "b"]
