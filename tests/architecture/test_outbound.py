"""What leaves the server leaves one way, and what comes as XML is read one way: nothing leads elsewhere."""

import ast
import asyncio
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_server.access import outbound
from mappings import hl7v2
from mappings.cda import document
from profiles import narrative
from questionnaires.narrative_blocks import blocks
from r4 import xml
from r4.fhirpath.narrative import is_safe
from r4.issue import FhirError
from r4.patch import xml_patch
from r4.xml.narrative import problem

ROOT = Path(__file__).parent.parent.parent
SENDING = {
    "fhir_server/access/outbound.py": "what all others go by",
    "fhir_server/commands/local.py": "the server itself, in this process",
    "fhir_server/commands/demo.py": "the server that the demo has started",
}
PARSING = {
    "r4/xml/parse.py": "what FHIR XML, CDA, v2.xml and XML patches are read by",
    "r4/xml/narrative.py": "refuses a document type before it reads",
    "r4/fhirpath/narrative.py": "refuses a document type as it begins",
    "r4/positions.py": "refuses a document type as it begins",
    "profiles/narrative.py": "refuses a document type as it begins",
    "questionnaires/narrative_blocks.py": "refuses a document type before it reads",
    "terminology/loaders/claml.py": "the operator's own file; its document type is not read",
    "fhir_server/commands/demo_page.py": "the narrative that the server has just made",
    "fhir_server/commands/demo_results.py": "the narrative that the server has just made",
}
PARSERS = {"XMLParser", "XMLPullParser", "ParserCreate", "fromstring", "parseString", "iterparse"}


def named(*names: str, calls: bool = False) -> set[str]:
    """List the files of the packages that name something so, or call it."""
    found = set()
    packages = ("r4", "terminology", "profiles", "questionnaires", "mappings", "outcome_engine")
    for package in (*packages, "fhir_server"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                each = node.func if calls and isinstance(node, ast.Call) else node
                if calls == isinstance(node, ast.Call) and getattr(each, "attr", "") in names:
                    found.add(str(file.relative_to(ROOT)))
    return found


class TestOutbound:
    def test_only_one_module_makes_clients_that_leave_the_machine(self) -> None:
        makers = {"AsyncClient", "Client", "urlopen"}
        found = named(*makers, calls=True)
        simulated = {each for each in found if each.startswith("fhir_server/simulate/")}
        assert found - simulated == set(SENDING)

    async def test_no_redirect_is_followed_and_no_proxy_taken_unless_asked_for(self) -> None:
        async with outbound.client(1.0) as http:
            assert not http.follow_redirects
            assert not http.trust_env
            assert http.timeout.read == 1.0
        async with outbound.client(1.0, proxied=True) as http:
            assert http.trust_env
            assert not http.follow_redirects

    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
            "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1%eth0",
            "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::",
        ],
    )  # fmt: skip
    def test_an_address_that_is_not_public_is_known_as_such(self, address: str) -> None:
        assert not outbound.is_public(address)

    @pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
    def test_a_public_one_too(self, address: str) -> None:
        assert outbound.is_public(address)

    async def test_a_name_with_one_private_address_among_others_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def found(*_: object, **__: object) -> list[tuple[object, ...]]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, (each, 443)) for each in ("8.8.8.8", "10.0.0.1")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found, raising=False)
        with pytest.raises(outbound.PrivateAddressError):
            await outbound.public_address("rebinding.example", 443)
        allowed = await outbound.public_address("rebinding.example", 443, {"rebinding.example"})
        assert ipaddress.ip_address(allowed).is_global


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">&a;</div>'
LAUGHS = "".join(
    f'<!ENTITY {chr(97 + n)} "{f"&{chr(98 + n)};" * 10 if n < 9 else "ha"}">' for n in range(10)
)
TYPES = {
    "entities in entities": f"<!DOCTYPE x [{LAUGHS}]>",
    "a file": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "a parameter entity": '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd"> %p;]>',
    "a document type elsewhere": '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
}
FHIR = '<Patient xmlns="http://hl7.org/fhir"><id value="&a;"/></Patient>'
V2 = '<ADT_A05 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>&a;</MSH.1></MSH></ADT_A05>'
CDA = '<ClinicalDocument xmlns="urn:hl7-org:v3"><title>&a;</title></ClinicalDocument>'
PATCH = '<diff><remove sel="&a;"/></diff>'


def told(says: Callable[[str], object]) -> Callable[[bytes], None]:
    """Return a reader that raises where one tells that a text is not good."""

    def read(text: bytes) -> None:
        if not says(text.decode()):
            raise FhirError(422, [])

    return read


READERS: dict[str, tuple[str, Callable[[bytes], object]]] = {
    "FHIR XML": (FHIR, xml.decode),
    "v2.xml": (V2, hl7v2.parse),
    "CDA": (CDA, document.parse),
    "XML patch": (PATCH, xml_patch.parse),
    "a narrative to be stored": (DIV, told(lambda div: narrative._problem(div) is None)),
    "a narrative in FHIRPath": (DIV, told(is_safe)),
    "a narrative as XML": (DIV, told(lambda div: problem(div) is None)),
    "a narrative to be printed": (DIV, lambda text: blocks({"div": text.decode()})),
}


class TestXml:
    def test_every_parser_of_xml_is_one_of_those_below(self) -> None:
        assert named(*PARSERS) == set(PARSING)

    @pytest.mark.parametrize("reader", READERS)
    @pytest.mark.parametrize("kind", TYPES)
    def test_a_document_type_is_refused_and_nothing_of_it_read(
        self, reader: str, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def reached(*_: object, **__: object) -> None:
            pytest.fail("something was fetched")

        monkeypatch.setattr(socket.socket, "connect", reached)
        document, read = READERS[reader]
        with pytest.raises(FhirError) as refused:
            read((TYPES[kind] + document).encode())
        assert "root:" not in str(refused.value), "no file was read"
