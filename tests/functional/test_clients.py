"""Independent FHIR clients, written by others, work against the server."""

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from tests.support.server import Served

pytestmark = pytest.mark.postgresql_slow

NHS = "https://fhir.nhs.uk/Id/nhs-number"


class TestFhirpy:
    def test_saves_reads_searches_and_updates(self, server: Served) -> None:
        client = SyncFHIRClient(server.base_url)
        child = client.resource(
            "Patient",
            identifier=[{"system": NHS, "value": "9990000018"}],
            name=[{"family": "Testchild-Linnet"}],
            birthDate="2021-01-01",
        )
        child.save()
        found = client.resources("Patient").search(identifier=f"{NHS}|9990000018").first()
        assert found["id"] == child["id"]
        found["gender"] = "female"
        found.save()
        again = client.reference("Patient", child["id"]).to_resource()
        assert (again["gender"], again["meta"]["versionId"]) == ("female", "2")

    def test_counts_and_pages_through_everything(self, server: Served) -> None:
        client = SyncFHIRClient(server.base_url)
        for day in range(1, 8):
            client.resource(
                "Observation",
                status="final",
                code={"text": "paged"},
                effectiveDateTime=f"2021-01-0{day}",
            ).save()
        everything = client.resources("Observation").search(date__ge="2021-01-03").limit(2)
        assert len(everything.fetch_all()) == 5

    def test_a_refusal_is_an_operation_outcome(self, server: Served) -> None:
        client = SyncFHIRClient(server.base_url)
        with pytest.raises(OperationOutcome, match="birthDate"):
            client.resource("Patient", birthDate="01/02/2021").save()
        with pytest.raises(ResourceNotFound):
            client.reference("Patient", "nobody").to_resource()


class TestFhirclient:
    def test_creates_reads_and_searches(self, server: Served) -> None:
        client = FHIRClient(settings={"app_id": "csor-test", "api_base": server.base_url})
        child = Patient({"name": [{"family": "Testchild-Siskin"}], "birthDate": "2021-02-03"})
        created = child.create(client.server)
        read = Patient.read(created["id"], client.server)
        assert read.name[0].family == "Testchild-Siskin"
        found = Patient.where({"family": "testchild-siskin"}).perform_resources_iter(client.server)
        assert [patient.id for patient in found] == [created["id"]]

    def test_reads_a_quantity(self, server: Served) -> None:
        client = FHIRClient(settings={"app_id": "csor-test", "api_base": server.base_url})
        body = {
            "status": "final",
            "code": {"text": "birth weight"},
            "valueQuantity": {"value": 3120, "unit": "g"},
        }
        created = Observation(body).create(client.server)
        assert Observation.read(created["id"], client.server).valueQuantity.value == 3120
