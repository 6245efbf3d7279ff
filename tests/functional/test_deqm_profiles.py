"""The reports of the operations, held to HL7's own profiles of uv.deqm by `$validate`.

DEQM_DEFINITIONS names what is loaded, as arguments of `load` with a colon between them: folders or packages
of the definitions of HL7/davinci-deqm, HL7/fhir-cqm, HL7/crmi-ig and HL7/fhir-extensions, and the measure
code systems of HL7's terminology. Of R5's elements as extensions, which these have not, the test has its own.
"""

import json
import os
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from fhir_server.__main__ import main
from r4.json import encode
from tests.functional.test_evaluate_reports import JSON, ask, children
from tests.outcome_engine.test_report_rules import BROKEN
from tests.support.deqm import LINK_ID
from tests.support.returned import reports
from tests.support.server import Served, served

DEFINITIONS = os.environ.get("DEQM_DEFINITIONS", "")
DEQM = "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-"
R5 = {
    "linkId": "string",
    "population.linkId": "string",
    "stratifier.linkId": "string",
    "stratifier.stratum.component.linkId": "string",
    "stratifier.stratum.population.linkId": "string",
}
SUPPLEMENTAL = LINK_ID.removesuffix("group.") + "supplementalData"

pytestmark = pytest.mark.skipif(
    not DEFINITIONS, reason="DEQM_DEFINITIONS names no definitions of HL7/davinci-deqm"
)


def extension(url: str, type: str) -> dict[str, Any]:
    """Define the extension that stands for an element of R5 (https://hl7.org/fhir/R5/versions.html)."""
    context = url.partition("extension-")[2].rpartition(".")[0]
    value = {"id": "Extension.value[x]", "path": "Extension.value[x]", "type": [{"code": type}]}
    name = {"id": "Extension.url", "path": "Extension.url", "fixedUri": url}
    return {
        "resourceType": "StructureDefinition", "id": url.rpartition("/")[2].replace("extension-", "r5-"),
        "url": url, "version": "0.0.1", "name": "ElementOfR5", "status": "draft", "fhirVersion": "4.0.1",
        "kind": "complex-type", "abstract": False, "type": "Extension", "derivation": "constraint",
        "context": [{"type": "element", "expression": context}],
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Extension",
        "differential": {"element": [{"id": "Extension", "path": "Extension"}, name, value]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("registry")
    (elements := place / "r5").mkdir()
    urls = {**{LINK_ID + name: type for name, type in R5.items()}, SUPPLEMENTAL: "Reference"}
    for number, (url, type) in enumerate(urls.items()):
        (elements / f"{number}.json").write_text(json.dumps(extension(url, type)))
    with served(place) as running, pytest.MonkeyPatch.context() as patched:
        patched.setenv("CSOR_DATABASE", running.context.settings.database)
        main(["load", str(elements), *DEFINITIONS.split(os.pathsep)])
        for each in children():
            url = f"/{each['resourceType']}/{each['id']}"
            assert running.http.put(url, content=encode(each), headers=JSON).is_success
        yield running


def found(server: Served, report: dict[str, Any]) -> list[str]:
    """List what is amiss with a report by the profile of its kind."""
    profile = f"{DEQM}{report['type'].replace('-', '')}measurereport"
    url = f"/MeasureReport/$validate?profile={profile}"
    issues = server.http.post(url, content=encode(report), headers=JSON).json()["issue"]
    return [each["diagnostics"] for each in issues if each["severity"] != "information"]


@pytest.mark.parametrize("kind", ["individual", "subject-list", "summary"])
def test_the_reports_of_an_operation_are_valid_by_the_profile(registry: Served, kind: str) -> None:
    made = [each for each in reports(ask(registry, reportType=kind)) if each["type"] == kind]
    assert made
    assert [found(registry, each) for each in made] == [[]] * len(made)


@pytest.mark.parametrize("rule", BROKEN)
def test_the_profile_finds_what_our_own_rules_find(registry: Served, rule: str) -> None:
    report = deepcopy(reports(ask(registry))[0])
    BROKEN[rule](report)
    assert found(registry, report)
