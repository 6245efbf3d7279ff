"""v2.xml is read as the message it is, answered in kind, and cannot reach or fill anything."""

from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mappings.hl7v2 import ack, identity, parse, to_bundle
from mappings.hl7v2.errors import issue
from mappings.hl7v2.xml import MAX_BYTES, NAMESPACE
from r4.issue import FhirError
from tests.mappings.messages import CONTEXT, SEGMENTS
from tests.mappings.trees import TREES, leaves

NOW = "2026-11-22T09:30:00Z"
MSH = """<MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.3><HD.1>EPR</HD.1></MSH.3>
  <MSH.4><HD.1>RTH</HD.1></MSH.4><MSH.5><HD.1>CSOR</HD.1></MSH.5><MSH.6><HD.1>NPEU</HD.1></MSH.6>
  <MSH.7><TS.1>202505060930</TS.1></MSH.7>
  <MSH.9><MSG.1>ADT</MSG.1><MSG.2>A01</MSG.2><MSG.3>ADT_A01</MSG.3></MSH.9>
  <MSH.10>4&amp;2</MSH.10><MSH.11><PT.1>P</PT.1></MSH.11><MSH.12><VID.1>2.4</VID.1></MSH.12></MSH>
"""


def document(inner: str, msh: str = MSH, namespace: str = NAMESPACE) -> bytes:
    return f'<?xml version="1.0"?><ADT_A01 xmlns="{namespace}">{msh}{inner}</ADT_A01>'.encode()


def pid(inner: str):
    return parse(document(f"<PID>{inner}</PID>")).segments("PID")[0]


def as_xml(er7: bytes) -> bytes:
    """A message of pipes as v2.xml: what a sender's own engine would write."""
    parts = []
    for segment in parse(er7):
        fields = []
        for number in range(1, segment.size + 1):
            name = f"{segment.name}.{number}"
            if segment.name == "MSH" and number < 3:
                fields.append(f"<{name}>{escape(segment.text(number))}</{name}>")
            else:
                fields += [f"<{name}>{one(v)}</{name}>" for v in segment.field(number).repetitions]
        parts.append(f"<{segment.name}>{''.join(fields)}</{segment.name}>")
    return f'<ADT_A01 xmlns="{NAMESPACE}">{"".join(parts)}</ADT_A01>'.encode()


def one(value) -> str:
    found: dict[int, dict[int, str]] = {}
    for component, part, text in value.leaves():
        found.setdefault(component, {})[part] = escape(text)
    return "".join(
        f"<T.{component}>{''.join(f'<S.{n}>{text}</S.{n}>' for n, text in parts.items())}"
        f"</T.{component}>"
        for component, parts in found.items()
    )


def test_fields_components_repetitions_and_groups_are_those_of_the_pipes():
    raw = document(
        "<PID><PID.3><CX.1>1</CX.1><CX.4><HD.1>RTH</HD.1><HD.2>x</HD.2></CX.4></PID.3>"
        "<PID.3><CX.1>2</CX.1></PID.3><!-- seen --><PID.8>F</PID.8></PID>"
        "<ADT_A01.PROCEDURE><PR1><PR1.4>a|b^c &lt;d&gt;</PR1.4></PR1></ADT_A01.PROCEDURE>"
    )
    message = parse(b"\xef\xbb\xbf\n" + raw)
    assert [segment.name for segment in message] == ["MSH", "PID", "PR1"]
    first, second = message.segments("PID")[0].field(3).repetitions
    assert (first.component(1), first.subcomponent(4, 2), second.component(1)) == ("1", "x", "2")
    assert message.segments("PID")[0].field(8).value == "F"
    assert message.segments("PR1")[0].field(4).value == "a|b^c <d>"
    assert message.encoding == "xml"
    header = message.header
    assert (header.message_code, header.trigger_event, header.structure) == (
        "ADT",
        "A01",
        "ADT_A01",
    )
    assert identity(message)[:2] == ("EPR|RTH", "4&2")
    assert len(message.digest) == 64
    assert message.raw.endswith(raw)


def test_escapes_are_elements_and_backslashes_are_text():
    field = pid('<PID.5><XPN.1>one<escape V=".br"/>two \\F\\</XPN.1></PID.5>').field(5)
    assert field.value == "one\ntwo \\F\\"


def test_two_quotes_delete_and_blank_elements_say_nothing():
    segment = pid('<PID.7>\n ""\n</PID.7><PID.8>\n  </PID.8><PID.9/>')
    assert segment.field(7).is_delete
    assert not segment.field(8)
    assert not segment.field(9)


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_what_is_written_as_xml_is_walked_over_leaf_by_leaf(tree):
    parts = []
    for name, fields in tree:
        inner = ""
        for at, repeated in enumerate(fields, start=1):
            for components in repeated:
                inner += f"<{name}.{at}>"
                for component, texts in enumerate(components, start=1):
                    subs = "".join(
                        f"<S.{n + 1}>{escape(t)}</S.{n + 1}>" for n, t in enumerate(texts)
                    )
                    inner += f"<T.{component}>{subs}</T.{component}>"
                inner += f"</{name}.{at}>"
        parts.append(f"<{name}>{inner}</{name}>")
    walked = list(parse(document("".join(parts))).walk())
    assert [leaf for leaf in walked if leaf.place.segment != "MSH"] == leaves(tree)


def test_an_admission_in_xml_becomes_the_same_bundle():
    er7 = "\r".join(SEGMENTS.values()).encode()
    xml = as_xml(er7)
    assert list(parse(xml).walk()) == list(parse(er7).walk())
    assert to_bundle(parse(xml), CONTEXT) == to_bundle(parse(er7), CONTEXT)


def test_the_answer_comes_as_xml_with_the_control_id_and_each_fault():
    issues = [issue("103", "Invalid <NHS number> & more", "PID^1^3^2")]
    for message in (parse(document("<PID/>")), document("<PID/>") + b"<broken"):
        answer = ack(message, code="AE", issues=issues, control_id="a1", now=NOW)
        root = etree.fromstring(answer)
        assert root.tag == f"{{{NAMESPACE}}}ACK"
        texts = {e.tag.rpartition("}")[2]: e.text for e in root.iter() if not len(e)}
        assert (texts["MSA.1"], texts["MSA.2"]) == ("AE", "4&2")
        assert (texts["ERR.4"], texts["ERR.8"]) == ("E", "Invalid <NHS number> & more")
        again = parse(answer)
        assert again.header.message_code == "ACK"
        assert again.segments("MSH")[0].value(6) == "RTH"
        assert again.header.timestamp == "20261122093000+0000"
        err = again.segments("ERR")[0]
        assert [err.field(2).component(n) for n in (1, 2, 3, 4)] == ["PID", "1", "3", "2"]
        assert err.field(3).value == "103"


def test_from_version_2_6_on_the_time_of_the_answer_is_simple():
    raw = document("", MSH.replace("2.4", "2.7"))
    answer = ack(parse(raw), code="AA", control_id="a1", now=NOW)
    assert b"<MSH.7>20261122093000+0000</MSH.7>" in answer


@pytest.mark.parametrize(
    ("raw", "begin"),
    [
        (b"<", b"MSH|"),
        (b"<a>", b"MSH|"),
        (b"<ADT_A01><MSH></MSH", b"<?xml"),
        (b"<ADT_A01><MSH><MSH.1>a</MSH>", b"<?xml"),
        (f'<ADT_A01 xmlns="{NAMESPACE}">'.encode(), b"<?xml"),
    ],
)
def test_markup_without_a_readable_header_is_answered_in_xml_if_it_looks_like_v2_xml(raw, begin):
    answer = ack(raw, code="AR", issues=[issue("100", "x")], control_id="a1", now=NOW)
    assert answer.startswith(begin)
    assert parse(answer).segments("MSA")[0].field(1).value == "AR"


DTD = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
BOMB = b'<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"<", "not well-formed"),
        (DTD + document("<PID><PID.5>&b;</PID.5></PID>")[21:], "document type"),
        (BOMB + document("<PID><PID.5>&c;</PID.5></PID>")[21:], "document type"),
        (document("<PID><PID.5>&b;</PID.5></PID>"), "not well-formed"),
        (document("", "<EVN/>" + MSH), "does not begin with an MSH"),
        (document("", ""), "does not begin with an MSH"),
        (document("", MSH, "urn:hl7-org:v3"), "namespace"),
        (document("", MSH.replace("^~\\&amp;", "^^\\&amp;")), "five different separators"),
        (document("<G>" * 20 + "</G>" * 20), "groups within one another"),
        (document("<G>" * 300 + "</G>" * 300), "no v2.xml"),
        (document("stray"), "ADT_A01 holds text beside its parts"),
        (document("<PID><PID.5>a<XPN.1>b</XPN.1></PID.5></PID>"), "PID.5 holds text beside"),
        (document("<PID><PV1.5>a</PV1.5></PID>"), "PV1.5 stands in PID"),
        (document("<PID><PID.256>a</PID.256></PID>"), "PID.256 is no field"),
        (document("<PID><PID.5><XPN.100>a</XPN.100></PID.5></PID>"), "XPN.100 is no field"),
        (document("<PID><PID.5><XPN>a</XPN></PID.5></PID>"), "XPN is no field"),
        (document("<PID><PID.5><X.1>a</X.1><X.1>b</X.1></PID.5></PID>"), "stands twice"),
        (document("<PID><PID.3><X.1><Y.1><Z.1>a</Z.1></Y.1></X.1></PID.3></PID>"), "no parts"),
        (document('<PID><PID.5>a<escape V="|"/></PID.5></PID>'), "which has no parts"),
    ],
)
def test_what_is_no_v2_xml_is_refused_as_structural(raw, words):
    with pytest.raises(FhirError) as refused:
        parse(raw)
    assert refused.value.status == 400
    assert refused.value.issues[0].rule == "100"
    assert words in refused.value.issues[0].diagnostics


def test_what_is_too_large_is_refused_before_it_is_parsed():
    with pytest.raises(FhirError, match="larger than"):
        parse(b"<" + b"a" * MAX_BYTES)
    with pytest.raises(FhirError, match=r"no v2\.xml"):
        parse(document(f'<PID a="{"x" * 11_000_000}"/>'))


@given(st.binary(max_size=120))
def test_any_bytes_after_a_bracket_are_a_message_or_a_fhir_error_and_are_answered(raw):
    for candidate in (b"<" + raw, document("")[:-10] + raw + b"</ADT_A01>"):
        try:
            message = parse(candidate)
        except FhirError as error:
            answer = ack(candidate, code="AR", issues=error.issues, control_id="1", now=NOW)
        else:
            answer = ack(message, code="AA", control_id="1", now=NOW)
        assert parse(answer).header.control_id == "1"
