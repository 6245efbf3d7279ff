"""The file of clients: what it may say, what stops the start, and that a change counts at once."""

import hashlib
import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from fhir_server.access import Callers, Clients, admit, clients, identify
from fhir_server.access.clients import Client
from fhir_server.context import Principal
from r4.issue import FhirError

TOKEN, OTHER = "first-token", "second-token"  # a test's own


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def jwk(kid: str = "one", **members: object) -> dict[str, object]:
    return {**ECKey.generate_key("P-384").as_dict(private=False), "kid": kid, **members}


def inline(*keys: dict[str, object]) -> str:
    """Write a JWKS as TOML has it in a line."""
    listed = (
        ", ".join(f"{name} = {json.dumps(value)}" for name, value in key.items()) for key in keys
    )
    return f"jwks = {{ keys = [{', '.join(f'{{ {each} }}' for each in listed)}] }}"


def written(folder: Path, text: str) -> Path:
    file = folder / "clients.toml"
    file.write_text(text)
    return file


def test_a_client_has_a_name_and_what_it_is_known_by(tmp_path: Path) -> None:
    key = jwk()
    (tmp_path / "leeds.json").write_text(json.dumps({"keys": [jwk("two")]}))
    file = written(
        tmp_path,
        f"""
        [[client]]
        name = "registry-reports"
        token_sha256 = ["{sha256(TOKEN)}", "{sha256(OTHER).upper()}"]

        [[client]]
        name = "oxford-epr"
        hospitals = ["RTH"]
        scopes = "system/Patient.cru system/Observation.cu system/Patient.cru"
        jwks_url = "https://epr.example/jwks.json"
        reason = "the integration engine of Oxford"

        [[client]]
        name = "analysis"
        scopes = "system/*.rs"
        {inline(key)}
        doors = ["fhir"]

        [[client]]
        name = "leeds"
        scopes = "system/*.rs"
        jwks = "leeds.json"
        revoked = true
        """,
    )
    reports, oxford, analysis, leeds = clients(file)
    assert reports == Client("registry-reports", (sha256(TOKEN), sha256(OTHER)))
    assert oxford == Client(
        "oxford-epr",
        hospitals=frozenset({"RTH"}),
        scopes=("system/Patient.cru", "system/Observation.cu"),
        jwks_url="https://epr.example/jwks.json",
    )
    assert json.loads(analysis.jwks or b"") == {"keys": [key]}
    assert analysis.doors == {"fhir"}
    assert b'"two"' in (leeds.jwks or b"")
    assert leeds.revoked


PRIVATE = {**ECKey.generate_key("P-384").as_dict(private=True), "kid": "one"}
SMALL = {"kty": "RSA", "n": 341 * "w", "e": "AQAB", "kid": "one"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"no \[\[client\]\] tables"),
        ("[server]\n", "the file has `server`"),
        ("[[client]]\nscopes = 'system/*.rs'", "a \\[\\[client\\]\\] has no name"),
        ("name = 'local'", "needs another name"),
        ("name = 'a'", "the client a cannot be known by anything"),
        ("name = 'a'\nhospital = 'RTH'", "the client a has `hospital`"),
        ("name = 'a'\ntoken_sha256 = 'secret'", "token_sha256 of the client a must be 64"),
        (f"name = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\nhospitals = []", "a list of ODS codes"),
        (f"name = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\nhospitals = ['oxford']", "`oxford`"),
        ("name = 'a'\njwks_url = 'https://epr.example/jwks'", "the client a has keys, and needs"),
        ("name = 'a'\nscopes = 'system/*.rs'\njwks_url = 'http://epr.example'", "https URL"),
        ("name = 'a'\nscopes = 'system/*.rs'\njwks_url = 'https://u:p@epr.example'", "without user"),
        ("name = 'a'\nscopes = 'system/*.rs'\njwks_url = 'https://e.example'\njwks = {keys=[]}", "JWKS"),
        ("name = 'a'\nscopes = 'system/*.rs'\njwks = {keys=[{kty='EC'}]}", "needs a kid"),
        (f"name = 'a'\nscopes = 'system/*.rs'\n{inline(PRIVATE)}", "'one' is not public"),
        (f"name = 'a'\nscopes = 'system/*.rs'\n{inline(SMALL)}", "fewer than 2048 bits"),
        (f"name = 'a'\nscopes = 'system/*.rs'\n{inline(jwk(use='enc'))}", "not for signatures"),
        (f"name = 'a'\nscopes = 'system/*.rs'\n{inline(jwk(), jwk())}", "have one kid"),
        ("name = 'a'\nscopes = 'system/*.rs'\njwks = {keys=[{kid='o', kty='oct', k='AA'}]}", "not public"),
        ("name = 'a'\nscopes = 'system/*.rs'\njwks = 'nowhere.json'", "nowhere.json"),
        ("name = 'a'\nscopes = 'system/Patient.read'", "SMART 1: write system/Patient.rs"),
        ("name = 'a'\nscopes = 'patient/Patient.rs'", "is no scope of a client"),
        ("name = 'a'\nscopes = 'system/Person.sr'", "cruds, in order"),
        ("name = 'a'\nscopes = 'system/Child.rs'", "Child is no resource type"),
        ("name = 'a'\nscopes = 'system/Observation.rs?value-quantity=1'", "value-quantity is a quantity"),
        ("name = 'a'\nscopes = 'system/*.rs?status=final'", "a query is of one type"),
        (
            f"name = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\nrole = 'analyst'\n"
            "scopes = 'system/Observation.rs?status=final'",
            "an analyst, whose scopes have no queries",
        ),
        ("name = 'a'\nscopes = ' '", "there are no scopes"),
        (f"name = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\ndoors = ['mllp']", "doors is a list of fhir"),
        (f"name = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\nrevoked = 'no'", "true or false"),
        ("name = 'a'\nrevoked = true\n[[client]]\nname = 'a'\nrevoked = true", "a and a, have the same"),
        (
            f"name = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\n"
            f"[[client]]\nname = 'b'\ntoken_sha256 = '{sha256(TOKEN)}'",
            "two clients, a and b, have the same token_sha256",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_stops_the_start_by_name(tmp_path: Path, text: str, reason: str) -> None:
    text = f"[[client]]\n{text}" if text.startswith("name") else text
    with pytest.raises(ValueError, match=reason) as said:
        clients(written(tmp_path, text))
    assert "clients.toml" in str(said.value)


def test_a_client_of_no_hospital_is_the_registry_as_far_as_its_scopes_reach(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        f"[[client]]\nname = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\n"
        f"[[client]]\nname = 'b'\ntoken_sha256 = '{sha256(OTHER)}'\nscopes = 'system/Patient.r'",
    )
    known = clients(file)
    assert identify(None, f"Bearer {TOKEN}", known) == Principal("a", frozenset({"registry"}))
    narrow = identify(None, f"Bearer {OTHER}", known)
    assert narrow == Principal("b", frozenset({"registry"}), scopes=("system/Patient.r",))


def test_a_hospitals_client_may_what_hospitals_may_and_nothing_else(
    tmp_path: Path,
) -> None:
    file = written(
        tmp_path,
        f"[[client]]\nname = 'a'\nhospitals = ['RTH', 'RGT']\ntoken_sha256 = '{sha256(TOKEN)}'\n"
        "scopes = 'system/*.cruds'",
    )
    principal = identify(None, f"Bearer {TOKEN}", clients(file))
    assert principal.hospitals == {"RTH", "RGT"}
    assert principal.roles == {"hospital"}
    for interaction in ("capabilities", "read", "search-type", "create", "transaction"):
        admit(principal, interaction, None if interaction == "capabilities" else "Patient")
    for interaction in ("delete", "$purge", "$import", "$evaluate", "metrics", "unheard-of"):
        with pytest.raises(FhirError) as refusal:
            admit(principal, interaction, "Patient")
        assert refusal.value.status == 403


def test_a_door_that_a_client_is_not_registered_for_is_shut(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        f"[[client]]\nname = 'a'\ndoors = ['hl7v2']\ntoken_sha256 = '{sha256(TOKEN)}'",
    )
    callers = Callers(Clients(file))
    headers = {b"host": b"registry.example", b"authorization": b"Bearer " + TOKEN.encode()}
    assert callers.identify("192.0.2.1", headers, "POST", "hl7v2").name == "a"
    with pytest.raises(FhirError, match="not registered for this door") as refusal:
        callers.identify("192.0.2.1", headers)
    assert refusal.value.status == 403


def test_a_change_of_the_file_counts_at_once(tmp_path: Path) -> None:
    registered = f"[[client]]\nname = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\n"
    file = written(tmp_path, registered)
    callers = Callers(Clients(file))
    headers = {b"host": b"registry.example", b"authorization": b"Bearer " + TOKEN.encode()}
    assert callers.identify("192.0.2.1", headers).name == "a"
    written(tmp_path, f"{registered}revoked = true\n")
    with pytest.raises(FhirError) as refusal:
        callers.identify("192.0.2.1", headers)
    assert refusal.value.status == 401


def test_a_file_of_keys_that_changes_counts_as_well(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [jwk("one")]}))
    found = Clients(
        written(tmp_path, "[[client]]\nname='a'\nscopes='system/*.rs'\njwks='keys.json'")
    )
    assert b'"one"' in (found.known["a"].jwks or b"")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [jwk("another")]}))
    assert b'"another"' in (found.known["a"].jwks or b"")


def test_a_change_that_cannot_be_read_changes_nothing_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registered = f"[[client]]\nname = 'a'\ntoken_sha256 = '{sha256(TOKEN)}'\n"
    found = Clients(written(tmp_path, registered))
    written(tmp_path, f"{registered}revoked = maybe\n")
    assert found.known["a"].revoked is False
    assert "the registered clients stay as they were" in caplog.text
    written(tmp_path, f"{registered}revoked = true\n")
    assert found.known["a"].revoked is True
