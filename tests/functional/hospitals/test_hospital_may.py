"""What a hospital's own system may do is decided for each interaction, and refused where it is not."""

import pytest

from fhir_server.access import admit
from fhir_server.access.hospital import HOSPITAL_MAY, refused
from fhir_server.context import Principal
from fhir_server.rest.routes import TABLE
from r4.issue import FhirError
from tests.support.hospitals import (
    NORTH,
    REGISTRY,
    Asking,
    Ward,
)


def test_every_interaction_is_decided() -> None:
    codes = {row.code for row in TABLE} | {"process-message", "metrics"}
    assert codes == set(HOSPITAL_MAY)
    assert all(rule.why for rule in HOSPITAL_MAY.values())
    assert refused("$something-new")


def test_what_is_not_for_a_hospital_is_refused_whatever_else_its_client_may() -> None:
    both = Principal("epr", frozenset({"hospital", REGISTRY}), hospitals=frozenset({NORTH}))
    for code in (code for code, rule in HOSPITAL_MAY.items() if not rule.is_allowed):
        with pytest.raises(FhirError, match="not for a hospital"):
            admit(both, code)


def test_a_client_of_no_hospital_sees_what_is_everybodys(ask: Asking, ward: Ward) -> None:
    nobody = ask.made.asked_by(Principal("epr", frozenset({"hospital"})))
    rows = nobody.database.read("SELECT DISTINCT r.type FROM resource AS r")
    assert {row[0] for row in rows} <= {"Organization", "Practitioner"}


@pytest.mark.parametrize(
    "sql", ["SELECT body FROM content", "SELECT raw FROM inbox", "SELECT * FROM outcome"]
)
def test_a_statement_that_would_read_anything_else_is_an_error(ask: Asking, sql: str) -> None:
    own = ask.made.asked_by(Principal("epr", frozenset({"hospital"}), hospitals=frozenset({NORTH})))
    with pytest.raises(ValueError, match="no hospital may read"):
        own.database.read(sql)
