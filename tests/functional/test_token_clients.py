"""Independent clients get tokens (Authlib), and work with them (Authlib, fhirpy, fhirclient)."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from fhirclient.client import FHIRClient
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRUnauthorizedException
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import ForbiddenError
from joserfc.jwk import ECKey, RSAKey

from fhir_server.store.audit import accesses
from tests.support.backend import ELLIPTIC, JWKS, RSA
from tests.support.server import Served, served

CLIENTS = """
[[client]]
name = "epr"
scopes = "system/Patient.crus"
jwks = "epr.jwks.json"
"""
BY = {"ES384": (ELLIPTIC, "elliptic"), "RS384": (RSA, "rsa"), "RS512": (RSA, "rsa")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("clients")
    (folder / "epr.jwks.json").write_text(json.dumps(JWKS))
    (folder / "clients.toml").write_text(CLIENTS)
    with served(folder, clients=folder / "clients.toml") as found:
        yield found


def session(
    server: Served, key: ECKey | RSAKey, kid: str, alg: str, **claims: Any
) -> OAuth2Session:
    """Return Authlib's session of a client; it finds the token endpoint by itself."""
    method = {"token_endpoint_auth_method": "private_key_jwt"}
    made = OAuth2Session("epr", key, scope="system/Patient.crus", **method)
    place = f"{server.base_url}/.well-known/smart-configuration"
    told = made.get(place, withhold_token=True).json()
    claims = {"exp": int(time.time()) + 240, **claims}
    made.register_client_auth_method(
        PrivateKeyJWT(told["token_endpoint"], claims, {"kid": kid}, alg)
    )
    made.metadata = told
    return made


def token(server: Served) -> str:
    with session(server, ELLIPTIC, "elliptic", "ES384") as made:
        found = made.fetch_token(made.metadata["token_endpoint"], grant_type="client_credentials")
    return str(found["access_token"])


class TestAuthlib:
    @pytest.mark.parametrize("alg", BY)
    def test_gets_a_token_works_with_it_and_ends_it(self, server: Served, alg: str) -> None:
        key, kid = BY[alg]
        with session(server, key, kid, alg) as made:
            told = made.metadata
            found = made.fetch_token(told["token_endpoint"], grant_type="client_credentials")
            assert (found["token_type"], found["scope"]) == ("bearer", "system/Patient.crus")
            assert made.get(f"{server.base_url}/Patient").status_code == 200
            asked = {"token": found["access_token"]}
            bearer = {"Authorization": f"Bearer {found['access_token']}"}
            answer = server.http.post(told["introspection_endpoint"], data=asked, headers=bearer)
            assert answer.json()["client_id"] == "epr"
            answer = server.http.post(told["revocation_endpoint"], data=asked, headers=bearer)
            assert answer.status_code == 200
            assert made.get(f"{server.base_url}/Patient").status_code == 401

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"exp": 9999999999}, "at most 300 seconds"),
            ({"exp": 1}, "has expired"),
            ({"aud": "https://elsewhere.example/token"}, "The aud"),
            ({"sub": "another"}, "iss and sub"),
            ({"nbf": 9999999999}, "nbf"),
        ],
    )
    def test_is_refused_what_is_wrong(
        self, server: Served, claims: dict[str, Any], reason: str
    ) -> None:
        with (
            session(server, RSA, "rsa", "RS384", **claims) as made,
            pytest.raises(OAuthError, match=reason),
        ):
            made.fetch_token(made.metadata["token_endpoint"], grant_type="client_credentials")
        deadline = time.monotonic() + 20
        while ("epr", "token", 400) not in audited(server):
            assert time.monotonic() < deadline, "the refusal is not audited"
            time.sleep(0.05)

    def test_that_repeats_its_jti_is_refused(self, server: Served) -> None:
        with session(server, RSA, "rsa", "RS384") as made:
            endpoint = made.metadata["token_endpoint"]
            made.fetch_token(endpoint, grant_type="client_credentials")
            with pytest.raises(OAuthError, match="jti of the assertion was used before"):
                made.fetch_token(endpoint, grant_type="client_credentials")


def audited(server: Served) -> list[tuple[str, str, int | None]]:
    found = accesses(server.context.database)
    return [(each.principal, each.interaction, each.status) for each in found]


def test_fhirpy_works_as_far_as_the_scopes_reach(server: Served) -> None:
    client = SyncFHIRClient(server.base_url, authorization=f"Bearer {token(server)}")
    child = client.resource(
        "Patient", name=[{"family": "Testchild-Siskin"}], birthDate="2021-01-01"
    )
    child.save()
    found = client.resources("Patient").search(family="Testchild-Siskin").first()
    assert found["id"] == child["id"]
    with pytest.raises(ForbiddenError, match=r"system/Observation\.c"):
        client.resource("Observation", status="final", code={"text": "weight"}).save()
    with pytest.raises(ForbiddenError, match=r"system/Patient\.d"):
        child.delete()


def test_fhirclient_works_with_a_token(server: Served) -> None:
    made = FHIRClient(settings={"app_id": "epr", "api_base": server.base_url})
    made.server.session.headers["Authorization"] = f"Bearer {token(server)}"
    created = Patient({"name": [{"family": "Testchild-Wren"}], "birthDate": "2021-02-03"}).create(
        made.server
    )
    assert created is not None
    read = Patient.read(created["id"], made.server)
    assert read.name[0].family == "Testchild-Wren"
    made.server.session.headers["Authorization"] = "Bearer of-somebody-else"
    with pytest.raises(FHIRUnauthorizedException):
        Patient.read(created["id"], made.server)
