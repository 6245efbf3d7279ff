"""FHIR XML, construct by construct: what is read from it, what is written, what is refused."""

from decimal import Decimal

import pytest

from r4 import json, xml
from r4.issue import FhirError

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>'
XHTML = "http://www.w3.org/1999/xhtml"


def of(type: str, content: str) -> bytes:
    return f'<{type} xmlns="http://hl7.org/fhir">{content}</{type}>'.encode()


def refusal(text: bytes, **how):
    with pytest.raises(FhirError) as caught:
        xml.decode(text, **how)
    assert caught.value.status == 400
    return [(issue.code, issue.expression) for issue in caught.value.issues]


def unwritable(resource) -> tuple[str | None, str]:
    with pytest.raises(FhirError) as caught:
        xml.encode(resource)
    assert caught.value.status == 406
    (issue,) = caught.value.issues
    return issue.expression, issue.diagnostics


BOTH_WAYS = {
    "a boolean, a date, a code": (
        of("Patient", '<active value="true"/><gender value="female"/><birthDate value="2026-01"/>'),
        b'{"active":true,"gender":"female","birthDate":"2026-01"}',
    ),
    "an integer and a decimal keep their kinds and digits": (
        of(
            "Observation",
            '<valueQuantity><value value="10.0100"/></valueQuantity>'
            '<referenceRange><low><value value="-7"/></low></referenceRange>'
            '<component><valueInteger value="7"/></component>',
        ),
        b'{"valueQuantity":{"value":10.0100},"referenceRange":[{"low":{"value":-7}}],'
        b'"component":[{"valueInteger":7}]}',
    ),
    "one of a repeating element is an array": (
        of("Patient", '<name><given value="Ada"/></name>'),
        b'{"name":[{"given":["Ada"]}]}',
    ),
    "the id of an element is an attribute, of a resource an element": (
        of("Patient", '<id value="1"/><name id="n"><family value="Fictitious"/></name>'),
        b'{"id":"1","name":[{"id":"n","family":"Fictitious"}]}',
    ),
    "the url of an extension is an attribute": (
        of("Patient", '<extension url="http://a.b/c"><valueCode value="x"/></extension>'),
        b'{"extension":[{"url":"http://a.b/c","valueCode":"x"}]}',
    ),
    "a primitive's id and extensions stand beside it": (
        of(
            "Patient",
            '<birthDate id="b" value="2026-01-05">'
            '<extension url="u"><valueDecimal value="1.0"/></extension></birthDate>',
        ),
        b'{"birthDate":"2026-01-05",'
        b'"_birthDate":{"id":"b","extension":[{"url":"u","valueDecimal":1.0}]}}',
    ),
    "a primitive may have extensions and no value": (
        of(
            "Patient",
            '<birthDate><extension url="u"><valueCode value="unknown"/></extension></birthDate>',
        ),
        b'{"_birthDate":{"extension":[{"url":"u","valueCode":"unknown"}]}}',
    ),
    "two arrays of a repeating primitive are aligned with nulls": (
        of(
            "Patient",
            '<name><given id="1"/><given value="Ada"/><given id="3" value="Bea"/>'
            '<given value="Cai"/></name>',
        ),
        b'{"name":[{"_given":[{"id":"1"},null,{"id":"3"},null],"given":[null,"Ada","Bea","Cai"]}]}',
    ),
    "an array of nulls alone is left out": (
        of("Patient", '<name><given id="1"/><given id="2"/></name>'),
        b'{"name":[{"_given":[{"id":"1"},{"id":"2"}]}]}',
    ),
    "contained resources": (
        of(
            "Patient",
            '<contained><Organization><id value="o"/></Organization></contained>'
            '<contained><Practitioner><id value="p"/></Practitioner></contained>',
        ),
        b'{"contained":[{"resourceType":"Organization","id":"o"},'
        b'{"resourceType":"Practitioner","id":"p"}]}',
    ),
    "the resources of a Bundle, a resource without content among them": (
        of(
            "Bundle",
            '<type value="batch-response"/><entry><resource><Patient/></resource><response>'
            '<status value="200"/><outcome><OperationOutcome><id value="x"/></OperationOutcome>'
            "</outcome></response></entry>",
        ),
        b'{"type":"batch-response","entry":[{"resource":{"resourceType":"Patient"},"response":'
        b'{"status":"200","outcome":{"resourceType":"OperationOutcome","id":"x"}}}]}',
    ),
    "elements that refer to another's content": (
        of("Questionnaire", '<item><linkId value="1"/><item><linkId value="2"/></item></item>'),
        b'{"item":[{"linkId":"1","item":[{"linkId":"2"}]}]}',
    ),
    "what XML escapes": (
        of("Patient", '<name><text value="&lt;a&gt; &amp; &quot;b\'&#10;&#9;&#13;é&#x1F476;"/></name>'),
        '{"name":[{"text":"<a> & \\"b\'\\n\\t\\ré👶"}]}'.encode(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BOTH_WAYS.values(), ids=BOTH_WAYS)
def test_xml_and_json_say_the_same(text, expected):
    resource = xml.decode(text, strict=True)
    type = resource.pop("resourceType")
    assert json.encode(resource) == json.encode(json.decode(expected))
    again = xml.decode(xml.encode({"resourceType": type, **resource}))
    assert again == {"resourceType": type, **resource}


def test_what_is_written():
    resource = {
        "gender": "female",
        "_birthDate": {"id": "b"},
        "birthDate": "2026-01-05",
        "resourceType": "Patient",
        "name": [{"given": ["A<", "B\n"], "id": "n"}],
        "contained": [{"resourceType": "Basic", "id": "c"}],
    }
    inside = (
        '<contained><Basic><id value="c"/></Basic></contained>'
        '<name id="n"><given value="A&lt;"/><given value="B&#10;"/></name>'
        '<gender value="female"/><birthDate id="b" value="2026-01-05"/>'
    )
    assert xml.encode(resource) == HEAD + of("Patient", inside)


def test_indented_for_people():
    resource = {"resourceType": "Patient", "name": [{"family": "Fictitious"}], "active": True}
    assert xml.encode(resource, pretty=True).decode().splitlines() == [
        HEAD.decode(),
        '<Patient xmlns="http://hl7.org/fhir">',
        '  <active value="true"/>',
        "  <name>",
        '    <family value="Fictitious"/>',
        "  </name>",
        "</Patient>",
    ]


@pytest.mark.parametrize(
    "digits", ["0", "1.50", "-0.010", "1E+5", "1.0E-7", "12345678901234567890"]
)
def test_a_decimal_is_written_with_its_digits(digits):
    value = json.decode(digits)
    text = xml.encode({"resourceType": "Observation", "valueQuantity": {"value": value}})
    assert f'<value value="{digits}"/>'.encode() in text
    read = xml.decode(text)["valueQuantity"]["value"]
    assert (str(read), read.__class__) == (digits, value.__class__)


def test_comments_instructions_prefixes_and_schema_locations_say_nothing():
    text = b"""<?xml version='1.0'?><!-- a --><?b c?>
      <f:Patient xmlns:f="http://hl7.org/fhir" xmlns:x="http://www.w3.org/2001/XMLSchema-instance"
          x:schemaLocation="http://hl7.org/fhir patient.xsd">
        <!-- <f:active value="false"/> <div> --><f:active value="true"><!-- d --></f:active><?e?>
      </f:Patient>"""
    assert xml.decode(text) == {"resourceType": "Patient", "active": True}


NARRATIVES = [
    f'<div xmlns="{XHTML}">plain</div>',
    f'<div xmlns="{XHTML}"/>',
    f"<div  xmlns='{XHTML}' ><p></p><br /><br/>&quot;&#39;&#xA0;\r\n</div >",
    f'<div class="a>b" xmlns="{XHTML}"><div>in</div><div/><!-- </div> --><![CDATA[<div>]]></div>',
    f'<div xmlns="{XHTML}"><script>alert(1)</script></div>',  # to refuse it is the validator's
]


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("div", NARRATIVES)
def test_a_narrative_keeps_its_spelling(div, pretty):
    resource = {"resourceType": "Patient", "text": {"status": "generated", "div": div}}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource}, {"resource": resource}]}
    text = xml.encode(bundle, pretty=pretty)
    assert text.count(div.encode()) == 2
    assert xml.decode(text) == bundle


@pytest.mark.parametrize(
    ("around", "prefix"), [('xmlns:h="{}"', "h:"), ('xmlns="{}"', "")], ids=["prefix", "default"]
)
def test_a_narrative_that_leans_on_the_namespaces_around_it_is_written_anew(around, prefix):
    inside = (
        '<div class="&lt;k&quot;" xml:lang="en" s:a="b">a&amp;&lt;<b>b</b><!-- c -->c&#13;<div>d</div>'
        "<i/><br/><s:svg><s:g/></s:svg></div>"
    )
    inside = inside.replace("</", "\0").replace("<", f"<{prefix}").replace("\0", f"</{prefix}")
    inside = inside.replace(f"<{prefix}s:", "<s:").replace(f"</{prefix}s:", "</s:")
    inside = inside.replace(f"<{prefix}!", "<!")
    text = (
        f'<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:s="urn:svg" {around.format(XHTML)}>'
        f"<f:text>{inside}</f:text></f:Patient>"
    )
    resource = xml.decode(text.encode())
    assert resource["text"]["div"] == (
        f'<div xmlns="{XHTML}" class="&lt;k&quot;" xml:lang="en" xmlns:n2="urn:svg" n2:a="b">'
        "a&amp;&lt;<b>b</b>c&#13;<div>d</div><i></i><br/>"
        '<svg xmlns="urn:svg"><g></g></svg></div>'
    )
    assert xml.decode(xml.encode(resource)) == resource


def test_the_named_entities_of_html_become_characters():
    div = f'<div xmlns="{XHTML}">a&nbsp;b&amp;c</div>'
    text = xml.encode({"resourceType": "Patient", "text": {"div": div}})
    assert xml.decode(text)["text"]["div"] == div.replace("&nbsp;", "&#160;")


REFUSED = {
    "an unknown element": ('<nme value="a"/>', "structure", "Patient.nme"),
    "another namespace": ('<active xmlns="urn:a" value="true"/>', "structure", "Patient.active"),
    "no namespace": ('<active xmlns="" value="true"/>', "structure", "Patient.active"),
    "a narrative outside XHTML": ("<text><div>a</div></text>", "structure", "Patient.text.div"),
    "an unknown attribute": ('<active value="true" x="1"/>', "structure", "Patient.active"),
    "a value on what has none": ('<name value="a"/>', "structure", "Patient.name[0]"),
    "text": ("<name>Ada</name>", "structure", "Patient.name[0]"),
    "text between elements": ('<active value="true"/>b', "structure", "Patient"),
    "a second of one": (
        '<active value="true"/><active value="false"/>', "structure", "Patient.active"),
    "a second object of one": (
        '<maritalStatus><text value="a"/></maritalStatus><maritalStatus><text value="b"/>'
        "</maritalStatus>", "structure", "Patient.maritalStatus"),
    "a primitive without a value": ("<active/>", "structure", "Patient.active"),
    "an empty object": ("<name/>", "structure", "Patient.name[0]"),
    "an empty value": ('<language value=""/>', "value", "Patient.language"),
    "an empty id": ('<name id=""><text value="a"/></name>', "value", "Patient.name[0]"),
    "no boolean": ('<active value="TRUE"/>', "value", "Patient.active"),
    "no integer": ('<multipleBirthInteger value="1.0"/>', "value",
        "Patient.multipleBirth.ofType(integer)"),
    "no decimal": ('<extension url="u"><valueDecimal value=".5"/></extension>', "value",
        "Patient.extension[0].value.ofType(decimal)"),
    "an endless number": (f'<multipleBirthInteger value="{"9" * 5000}"/>', "value",
        "Patient.multipleBirth.ofType(integer)"),
    "a type that a choice does not allow": (
        '<multipleBirthString value="a"/>', "structure", "Patient.multipleBirthString"),
    "no resource contained": ("<contained/>", "structure", "Patient.contained[0]"),
    "two resources in one": (
        "<contained><Basic/><Basic/></contained>", "structure", "Patient.contained[0]"),
    "an unknown resource": ("<contained><Foo/></contained>", "structure", "Patient.contained[0].Foo"),
    "something deep inside": (
        '<contained><Patient><name><family value="a"/></name><name><family valu="b"/></name>'
        "</Patient></contained>", "structure", "Patient.contained[0].name[1].family"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "code", "expression"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_place_is_refused_and_named(content, code, expression):
    assert (code, expression) in refusal(of("Patient", content))


def test_every_finding_is_listed_with_its_line():
    with pytest.raises(FhirError) as caught:
        xml.decode(of("Patient", '\n<foo/>\n<active value="x"/>\n<bar/>'))
    said = [issue.diagnostics.partition(":")[0] for issue in caught.value.issues]
    assert said == ["Line 2", "Line 3", "Line 4"]


@pytest.mark.parametrize("text", [b"<Patient/>", b'<html xmlns="http://www.w3.org/1999/xhtml"/>'])
def test_only_a_resource_of_fhir_is_a_resource(text):
    ((code, _),) = refusal(text)
    assert code == "structure"


def test_the_order_of_elements_matters_to_the_strict_alone():
    text = of("Patient", '<gender value="female"/><active value="true"/>')
    assert xml.decode(text) == {"resourceType": "Patient", "gender": "female", "active": True}
    assert refusal(text, strict=True) == [("structure", "Patient.active")]
    apart = '<name><family value="a"/></name><active value="true"/><name><family value="b"/></name>'
    assert [each["family"] for each in xml.decode(of("Patient", apart))["name"]] == ["a", "b"]


def test_a_resource_is_not_changed_by_being_written():
    resource = {"resourceType": "Patient", "_active": {"id": "a"}, "name": [{"given": ["b"]}]}
    before = json.encode(resource)
    xml.encode(resource)
    assert json.encode(resource) == before


UNWRITABLE = {
    "an unknown type": ({"resourceType": "Foo"}, None),
    "no type": ({"active": True}, None),
    "no resource": ([], None),
    "an unknown property": ({"resourceType": "Patient", "nme": 1}, "Patient"),
    "deep inside": (
        {"resourceType": "Patient", "contact": [{}, {"name": {"x": 1}}]}, "Patient.contact[1].name"),
    "a companion of an object": ({"resourceType": "Patient", "_name": []}, "Patient"),
    "a value hidden beside one": (
        {"resourceType": "Patient", "_active": {"value": "true"}}, "Patient.active"),
    "an array for one": ({"resourceType": "Patient", "active": [True]}, "Patient.active"),
    "one for an array": ({"resourceType": "Patient", "name": {}}, "Patient"),
    "one primitive for an array": (
        {"resourceType": "Patient", "name": [{"given": "a"}]}, "Patient.name[0]"),
    "an object for a primitive": ({"resourceType": "Patient", "active": {}}, "Patient.active"),
    "a primitive for an object": ({"resourceType": "Patient", "name": ["a"]}, "Patient.name[0]"),
    "neither value nor extension": (
        {"resourceType": "Patient", "name": [{"given": [None]}]}, "Patient.name[0].given[0]"),
    "a binary fraction": (
        {"resourceType": "Observation", "valueQuantity": {"value": 0.1}},
        "Observation.value.ofType(Quantity).value"),
    "a control character": (
        {"resourceType": "Patient", "name": [{"text": "a\x08"}]}, "Patient.name[0].text"),
    "half a character": (
        {"resourceType": "Patient", "name": [{"text": "\ud800"}]}, "Patient.name[0].text"),
    "no narrative": ({"resourceType": "Patient", "text": {"div": 1}}, "Patient.text.div"),
    "a broken narrative": (
        {"resourceType": "Patient", "text": {"div": f'<div xmlns="{XHTML}">'}}, "Patient.text.div"),
    "a narrative that ends early": (
        {"resourceType": "Patient", "text": {"div": f'<div xmlns="{XHTML}"/><status/>'}},
        "Patient.text.div"),
    "a narrative that closes what is around it": (
        {"resourceType": "Patient", "text": {"div": f'<div xmlns="{XHTML}"/></text><active/>'}},
        "Patient.text.div"),
    "a narrative without its namespace": (
        {"resourceType": "Patient", "text": {"div": "<div>a</div>"}}, "Patient.text.div"),
    "a narrative with half a character": (
        {"resourceType": "Patient", "text": {"div": f'<div xmlns="{XHTML}">\ud800</div>'}},
        "Patient.text.div"),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "expression"), UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_xml_cannot_say_is_not_written(resource, expression):
    assert unwritable(resource)[0] == expression


def test_a_control_character_is_named():
    _, said = unwritable({"resourceType": "Patient", "language": "\x0b"})
    assert "U+000B" in said


def test_an_extension_of_every_kind_of_value_goes_both_ways():
    values = {
        "valueBase64Binary": "YQ==", "valueBoolean": False, "valueDecimal": Decimal("0.10"),
        "valueInstant": "2026-01-05T09:30:00.10Z", "valueInteger": -5, "valueUnsignedInt": 0,
        "valueMarkdown": "# a\n\n* b", "valueTime": "09:30:00", "valueAge": {"value": 5},
        "valueReference": {"reference": "Patient/1"}, "valueTiming": {"repeat": {"count": 2}},
        "valueMeta": {"versionId": "1"},
    }  # fmt: skip
    resource = {
        "resourceType": "Basic",
        "extension": [{"url": name, name: value} for name, value in values.items()],
    }
    assert json.encode(xml.decode(xml.encode(resource))) == json.encode(resource)
