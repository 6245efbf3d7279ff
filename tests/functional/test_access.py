"""Who is let in: callers on this machine, registered clients, and nobody else."""

import hashlib
from pathlib import Path

import httpx
import pytest

from fhir_server.access import admit, clients, identify, is_local, refuse_open_doors
from fhir_server.access.senders import senders
from fhir_server.app import application, context
from fhir_server.context import Principal
from fhir_server.settings import Settings
from r4.issue import FhirError
from tests.support.databases import new_database

TOKEN = "a-token-that-only-the-client-knows"  # noqa: S105 - a test's own


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    file = tmp_path / "clients.toml"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    file.write_text(f'[[client]]\nname = "integrator"\ntoken_sha256 = "{digest}"\n')
    return file


async def ask(registered: Path | None, tmp_path: Path, peer: str, **headers: str) -> httpx.Response:
    made = context(Settings(database=new_database("sqlite", tmp_path), clients=registered))
    transport = httpx.ASGITransport(application(made), client=(peer, 1))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get("/fhir/Patient", headers=headers)
    finally:
        made.database.close()


async def test_this_machine_is_let_in(tmp_path: Path) -> None:
    assert (await ask(None, tmp_path, "127.0.0.1")).status_code == 200


async def test_another_machine_is_not(tmp_path: Path) -> None:
    answer = await ask(None, tmp_path, "192.0.2.7")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["issue"][0]["code"] == "login"


async def test_a_registered_client_is_let_in_from_elsewhere(
    registered: Path, tmp_path: Path
) -> None:
    answer = await ask(registered, tmp_path, "192.0.2.7", Authorization=f"Bearer {TOKEN}")
    assert answer.status_code == 200


@pytest.mark.parametrize("header", ["Bearer wrong", f"Basic {TOKEN}", "Bearer"])
async def test_an_unknown_token_is_refused_even_on_this_machine(
    registered: Path, tmp_path: Path, header: str
) -> None:
    answer = await ask(registered, tmp_path, "127.0.0.1", Authorization=header)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({}, True),
        ({"fhir_host": "0.0.0.0"}, False),  # noqa: S104 - refused, which is the point
        ({"mllp_host": "0.0.0.0"}, False),  # noqa: S104
        ({"mllp_host": "192.0.2.7", "mllp": False}, True),
    ],
)
def test_a_door_that_would_be_open_to_anyone_is_not_opened(
    settings: dict[str, object], allowed: bool
) -> None:
    chosen = Settings(**settings)

    def opened() -> None:
        refuse_open_doors(chosen)
        senders(chosen)

    if allowed:
        opened()
    else:
        with pytest.raises(ValueError, match="can be reached from other machines"):
            opened()


def test_a_door_open_to_registered_clients_is(registered: Path) -> None:
    refuse_open_doors(Settings(fhir_host="0.0.0.0", clients=registered))  # noqa: S104


def test_a_principal_without_a_role_may_do_nothing() -> None:
    with pytest.raises(FhirError) as refusal:
        admit(Principal("nobody", frozenset()), "read", "Patient")
    assert refusal.value.status == 403


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("x", False)],
)
def test_local(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_no_client_is_known_without_a_file() -> None:
    assert clients(None) == ()
    with pytest.raises(FhirError):
        identify(None, None, ())


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
async def test_a_page_of_another_site_in_a_local_browser_is_not_a_local_caller(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    made = context(Settings(database=new_database("sqlite", tmp_path)))
    transport = httpx.ASGITransport(application(made), client=("127.0.0.1", 1))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            answer = await http.get("/fhir/Patient", headers=headers)
    finally:
        made.database.close()
    assert answer.status_code == 401


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
async def test_who_comes_through_a_proxy_on_this_machine_is_not_a_local_caller(
    tmp_path: Path, registered: Path, header: str
) -> None:
    """Whatever Host they send: some proxies pass it on, others put their own name for this server."""
    through = {header: "127.0.0.1"}
    assert (await ask(registered, tmp_path, "127.0.0.1")).status_code == 200
    assert (await ask(registered, tmp_path, "127.0.0.1", **through)).status_code == 401
    known = {**through, "Authorization": f"Bearer {TOKEN}"}
    assert (await ask(registered, tmp_path, "127.0.0.1", **known)).status_code == 200


def test_a_clients_file_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "clients.toml"
    file.write_text("[server]\n")
    with pytest.raises(ValueError, match=r"clients\.toml"):
        clients(file)
