"""FHIR XML at the door: what is sent and answered in XML is what it is in JSON."""

import pytest

from r4 import xml
from r4.json import decode
from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

XML = "application/fhir+xml"
PATIENT = b"""<Patient xmlns="http://hl7.org/fhir">
  <identifier><system value="https://fhir.nhs.uk/Id/nhs-number"/><value value="9990000018"/></identifier>
  <name><family value="Testchild-\xc3\x85ngstr\xc3\xb6m"/></name>
  <birthDate value="2020-02-29"/>
</Patient>"""


def test_a_resource_sent_as_xml_is_read_as_json_and_as_xml(server: Served) -> None:
    headers = {"Content-Type": XML, "Accept": XML}
    answer = server.http.post("/Patient", content=PATIENT, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Content-Type"].startswith(XML)
    created = xml.decode(answer.content)
    as_json = server.http.get(f"/Patient/{created['id']}")
    assert decode(as_json.content) == created
    assert created["name"] == [{"family": "Testchild-Ångström"}]


def test_decimals_keep_their_digits_in_xml(server: Served) -> None:
    body = b"""<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="w"/></code>
    <valueQuantity><value value="3.10"/></valueQuantity></Observation>"""
    created = server.http.post("/Observation", content=body, headers={"Content-Type": XML})
    assert '"value":3.10' in created.text
    again = server.http.get(f"/Observation/{created.json()['id']}?_format=xml")
    assert '<value value="3.10"/>' in again.text


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("_format=xml", "*/*", XML),
        ("_format=application/fhir%2Bxml", "application/json", XML),
        ("_format=application/fhir+xml", "*/*", XML),
        ("", "application/fhir+json;q=0.5, application/fhir+xml", XML),
        ("", "application/fhir+xml;q=0.1, application/fhir+json", "application/fhir+json"),
        ("", "text/html, application/xml;q=0.9", "application/fhir+json"),
        ("_format=json", XML, "application/fhir+json"),
    ],
)
def test_format_decides_then_accept_by_its_weights(
    server: Served, query: str, accept: str, kind: str
) -> None:
    answer = server.http.get(f"/Patient?{query}", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(kind)


def test_a_searchset_and_a_capability_statement_are_served_as_xml(server: Served) -> None:
    for url in ("/Patient", "/metadata", "/_history"):
        answer = server.http.get(url, headers={"Accept": XML})
        as_json = server.http.get(url).json()
        assert xml.decode(answer.content)["resourceType"] == as_json["resourceType"]


def test_a_refusal_is_said_in_xml_with_line_and_expression(server: Served) -> None:
    body = b'<Patient xmlns="http://hl7.org/fhir">\n<birthdate value="2020"/></Patient>'
    answer = server.http.post(
        "/Patient", content=body, headers={"Content-Type": XML, "Accept": XML}
    )
    assert answer.status_code == 400
    (issue,) = xml.decode(answer.content)["issue"]
    assert "Line 2" in issue["diagnostics"]


def test_entities_are_refused(server: Served) -> None:
    body = b'<!DOCTYPE x [<!ENTITY a "b">]><Patient xmlns="http://hl7.org/fhir"/>'
    answer = server.http.post("/Patient", content=body, headers={"Content-Type": XML})
    assert answer.status_code == 400
