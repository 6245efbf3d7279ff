"""XML Patch: what HL7's suite leaves out, hardened reading, and how it fails."""

from decimal import Decimal
from pathlib import Path

import pytest

from r4 import xml
from r4.issue import FhirError
from r4.patch import selector, xml_patch

PATIENT = (
    b'<Patient xmlns="http://hl7.org/fhir"><id value="1"/>\n'
    b'  <name><use value="official"/><family value="Example"/></name>'
    b'<name><use value="usual"/></name><!-- end --></Patient>'
)
HEAD = b"<?xml version='1.0' encoding='UTF-8'?>\n"
DOC = b"<doc>a<x/>b<!--c-->d</doc>"


def patched(operations: str, resource: bytes = PATIENT, declared: str = "") -> str:
    found = xml_patch.apply(resource, f"<diff {declared}>{operations}</diff>".encode())
    assert found.startswith(HEAD)
    return found.removeprefix(HEAD).decode()


def refused(operations: str, resource: bytes = PATIENT) -> tuple[int, str, str | None]:
    with pytest.raises(FhirError) as caught:
        patched(operations, resource)
    (issue,) = caught.value.issues
    assert issue.diagnostics
    return caught.value.status, issue.code, issue.expression


def test_values_of_attributes_select_and_are_replaced() -> None:
    path = "f:Patient/f:name[f:use/@value='official' and position() = 1]/f:family/@value"
    found = patched(f'<replace sel="{path}">A &amp; B</replace>')
    assert '<family value="A &amp; B"/>' in found


def test_the_default_namespace_of_the_patch_is_meant_by_names_without_prefix() -> None:
    remove = "<remove sel=\"/Patient/name[use/@value='official' or not(id)][1]\"/>"
    fhir = 'xmlns="http://hl7.org/fhir"'
    assert "official" not in patched(remove, declared=fhir)
    assert refused(remove) == (422, "not-found", "operation[0]")


def test_a_resource_held_as_json_is_patched_by_way_of_xml() -> None:
    resource = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.50")}}
    patch = (
        b'<diff><add sel="f:Observation" pos="prepend" xmlns="http://hl7.org/fhir">'
        b'<status value="final"/></add>'
        b'<add sel="f:Observation/f:valueQuantity" xmlns="http://hl7.org/fhir">'
        b'<unit value="kg"/></add></diff>'
    )
    found = xml.decode(xml_patch.apply(xml.encode(resource), patch), strict=True)
    assert found["status"] == "final"
    assert found["valueQuantity"]["unit"] == "kg"
    assert str(found["valueQuantity"]["value"]) == "1.50"


def test_a_prefix_is_what_the_patch_declares() -> None:
    declared = 'xmlns:p="http://hl7.org/fhir"'
    assert "family" not in patched('<remove sel="p:Patient/*[2]/p:family"/>', declared=declared)
    assert refused('<remove sel="p:Patient"/>')[0] == 400


def test_names_of_operators_may_be_names_of_elements() -> None:
    resource = b"<and><div>1</div><mod>2</mod></and>"
    assert patched('<remove sel="and/mod[. div 2 = 1]"/>', resource) == "<and><div>1</div></and>"
    assert patched('<remove sel="and/div[not(mod)]"/>', resource) == "<and><mod>2</mod></and>"
    declared = 'xmlns="urn:x"'
    other = b'<and xmlns="urn:x"><div>1</div><mod/></and>'
    found = patched('<remove sel="and/div[. * 1 = 1 and . mod 2 = 1]"/>', other, declared)
    assert found == '<and xmlns="urn:x"><mod/></and>'


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('sel="doc"', "<doc>a<x/>b<!--c-->d1<n/>2</doc>"),
        ('sel="doc" pos="prepend"', "<doc>1<n/>2a<x/>b<!--c-->d</doc>"),
        ('sel="doc/x" pos="before"', "<doc>a1<n/>2<x/>b<!--c-->d</doc>"),
        ('sel="doc/x" pos="after"', "<doc>a<x/>1<n/>2b<!--c-->d</doc>"),
        ('sel="doc/x" pos="prepend"', "<doc>a<x>1<n/>2</x>b<!--c-->d</doc>"),
        ('sel="doc/comment()" pos="after"', "<doc>a<x/>b<!--c-->1<n/>2d</doc>"),
        ('sel="doc/text()[1]" pos="before"', "<doc>1<n/>2a<x/>b<!--c-->d</doc>"),
        ('sel="doc/text()[1]" pos="after"', "<doc>a1<n/>2<x/>b<!--c-->d</doc>"),
        ('sel="doc/text()[2]" pos="before"', "<doc>a<x/>1<n/>2b<!--c-->d</doc>"),
        ('sel="doc/text()[3]" pos="after"', "<doc>a<x/>b<!--c-->d1<n/>2</doc>"),
    ],
)
def test_content_is_added_where_pos_says(where: str, expected: str) -> None:
    assert patched(f"<add {where}>1<n/>2</add>", DOC) == expected


def test_text_alone_is_added_where_pos_says() -> None:
    assert patched('<add sel="doc" pos="prepend">1</add>', DOC) == "<doc>1a<x/>b<!--c-->d</doc>"
    after = '<add sel="doc/x" pos="after">1</add>'
    assert patched(after, DOC) == "<doc>a<x/>1b<!--c-->d</doc>"


def test_removing_keeps_the_text_around() -> None:
    assert patched('<remove sel="doc/x"/>', DOC) == "<doc>ab<!--c-->d</doc>"
    assert patched('<remove sel="doc/comment()"/>', DOC) == "<doc>a<x/>bd</doc>"
    assert patched('<remove sel="doc/text()[2]"/>', DOC) == "<doc>a<x/><!--c-->d</doc>"


def test_ws_removes_the_white_space_around_too() -> None:
    resource = b"<doc> <x/>\n<y/>b</doc>"
    assert patched('<remove sel="doc/x" ws="before"/>', resource) == "<doc>\n<y/>b</doc>"
    assert patched('<remove sel="doc/x" ws="after"/>', resource) == "<doc> <y/>b</doc>"
    assert patched('<remove sel="doc/x" ws="both"/>', resource) == "<doc><y/>b</doc>"
    assert refused('<remove sel="doc/y" ws="both"/>', resource)[0] == 422


def test_the_root_may_be_replaced_but_not_removed_or_joined() -> None:
    assert patched('<replace sel="doc"><other/></replace>', DOC) == "<other/>"
    for operation in ('<remove sel="doc"/>', '<add sel="doc" pos="after"><x/></add>'):
        assert refused(operation, DOC) == (422, "processing", "operation[0]")
    beside = b"<!--c--><doc/>"
    assert refused('<replace sel="/comment()"><!--d--></replace>', beside)[0] == 422


def test_a_namespaced_attribute_is_added_once() -> None:
    add = '<add sel="doc" type="@xml:lang">en</add>'
    assert patched(add, b"<doc/>") == '<doc xml:lang="en"/>'
    assert refused(add + add, b"<doc/>") == (422, "conflict", "operation[1]")


def test_a_namespace_is_declared_on_an_inner_element_and_only_once() -> None:
    add = '<add sel="doc/x" type="namespace::p">urn:p</add>'
    assert patched(add, DOC) == '<doc>a<x xmlns:p="urn:p"/>b<!--c-->d</doc>'
    assert refused(add + add, DOC) == (422, "conflict", "operation[1]")


def test_either_all_operations_apply_or_none() -> None:
    operations = '<remove sel="doc/x"/><remove sel="doc/x"/>'
    assert refused(operations, DOC) == (422, "not-found", "operation[1]")


@pytest.mark.parametrize(
    "operation",
    [
        "",
        "<!-- nothing -->",
        "<move/>",
        "<remove/>",
        '<remove sel=""/>',
        '<remove sel="doc/"/>',
        '<remove sel="doc["/>',
        '<remove sel="doc/#"/>',
        '<remove sel="q:doc"/>',
        '<remove sel="doc/x" ws="around"/>',
        '<add sel="doc" pos="first"><x/></add>',
        '<add sel="doc"/>',
        '<add sel="doc" type="attribute">1</add>',
        '<add sel="doc" type="@a"><x/></add>',
        '<add sel="doc" type="@q:a">1</add>',
        '<add sel="doc" type="namespace::p">not a : [uri]</add>',
        '<add sel="doc" type="namespace::p"></add>',
        f'<remove sel="{"x/" * selector.MAX_LENGTH}x"/>',
    ],
)
def test_a_patch_that_is_not_well_formed_is_a_400(operation: str) -> None:
    assert refused(operation, DOC)[:2] == (400, "structure")


@pytest.mark.parametrize(
    "path",
    [
        "//x",
        "doc//x",
        "doc/..",
        "descendant::x",
        "/doc/x[/doc/x]",
        "/doc/x[. and /doc/x = 1]",
        "/doc[1 * /doc/x]",
        "/doc[x = y]",
        "id('x')",
        "doc[re:test(., 'x')]",
        "$x",
        "doc | doc",
        "count(doc)",
        "doc = 1",
    ],
)
def test_selectors_go_down_step_by_step(path: str) -> None:
    assert refused(f'<remove sel="{path}"/>', DOC)[0] == 400


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ('<remove sel="doc/y"/>', "not-found"),
        ('<remove sel="/"/>', "not-found"),
        ('<remove sel="doc/text()"/>', "multiple-matches"),
        ('<remove sel="doc/namespace::p"/>', "not-supported"),
        ('<add sel="doc/text()[1]"><x/></add>', "processing"),
        ('<add sel="doc/comment()" type="@a">1</add>', "processing"),
        ('<replace sel="doc/x">text</replace>', "processing"),
        ('<replace sel="doc/x"><y/><z/></replace>', "processing"),
        ('<replace sel="doc/x"><!-- x --></replace>', "processing"),
        ('<replace sel="doc/text()[1]"><x/></replace>', "processing"),
    ],
)
def test_an_operation_that_cannot_be_applied_is_a_422(operation: str, code: str) -> None:
    assert refused(operation, DOC) == (422, code, "operation[0]")


def test_nothing_is_added_beside_an_attribute() -> None:
    operation = '<add sel="doc/@a" pos="before">x</add>'
    assert refused(operation, b'<doc a="1"/>')[:2] == (422, "processing")


@pytest.mark.parametrize(
    "patch", [b"", b"<diff>", b"\xff", b"<other/>", b'<?xml version="1.0" encoding="none"?><diff/>']
)
def test_a_patch_that_is_no_xml_patch_is_a_400(patch: bytes) -> None:
    with pytest.raises(FhirError) as caught:
        xml_patch.apply(DOC, patch)
    assert caught.value.status == 400


def test_entities_and_files_are_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    content = '<add sel="doc">&e;</add>'
    for declared in (f'<!ENTITY e SYSTEM "{secret.as_uri()}">', '<!ENTITY e "text">', ""):
        patch = f"<!DOCTYPE diff [{declared}]><diff>{content if declared else ''}</diff>"
        with pytest.raises(FhirError) as caught:
            xml_patch.apply(DOC, patch.encode())
        assert caught.value.status == 400
        with pytest.raises(FhirError):
            xml_patch.apply(f"<!DOCTYPE doc [{declared}]><doc/>".encode(), b"<diff/>")


def test_entities_that_multiply_are_refused_at_once() -> None:
    grown = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 20))
    patch = f'<!DOCTYPE diff [<!ENTITY e0 "x">{grown}]><diff><add sel="doc" type="&e19;"/></diff>'
    with pytest.raises(FhirError) as caught:
        xml_patch.apply(DOC, patch.encode())
    assert caught.value.status == 400
