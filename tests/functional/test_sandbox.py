"""The sandbox: a database of its own, in which vendors register themselves; nowhere else does anybody."""

import asyncio
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.__main__ import main
from fhir_server.access import clients
from fhir_server.app import alone
from fhir_server.commands.sandbox import claimed, remove
from fhir_server.context import Context
from fhir_server.settings import Settings
from fhir_server.store.sandbox import claim
from tests.support.backend import ELLIPTIC, JWKS
from tests.support.databases import new_database
from tests.support.mllp import register
from tests.support.server import ROOT, Served, free_port, served

PLACE = "/integrators/api/registration"
ASKED = {"name": "wren-epr", "hospital": "RTH", "scopes": "system/*.cruds"}
FIRST = '[[client]]\nname = "sandbox"\nrevoked = true\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "clients.toml"
    found.write_text(FIRST)
    return found


def marked(folder: Path) -> None:
    """Have a folder's new database be a sandbox's."""
    where = new_database("sqlite", folder)
    claimed(Path(where))


def ask(server: Served, **changed: Any) -> httpx.Response:
    body = {name: value for name, value in {**ASKED, **changed}.items() if value is not None}
    return httpx.post(server.base_url.removesuffix("/fhir") + PLACE, json=body)


def said(answer: httpx.Response) -> str:
    return str(answer.json()["issue"][0]["diagnostics"])


def test_a_vendor_gets_a_client_by_itself(tmp_path: Path, file: Path) -> None:
    marked(tmp_path)
    with served(tmp_path, clients=file, sandbox=True, mllp=False) as server:
        register(server, "RTH")
        about = httpx.get(server.base_url.removesuffix("/fhir") + "/integrators/api/about").json()
        assert about == {
            "sandbox": True, "base": server.base_url, "hospitals": [{"code": "RTH", "name": "RTH"}],
        }  # fmt: skip
        answer = ask(server)
        assert answer.status_code == 201, answer.text
        token = answer.json()["token"]
        assert token not in file.read_text()
        found = httpx.get(
            f"{server.base_url}/TestReport/$scorecard", headers={"Authorization": f"Bearer {token}"}
        )
        assert found.json()["name"] == "Scorecard of wren-epr"
        assert (ask(server).status_code, len(clients(file))) == (409, 2)
        by_key = ask(server, name="wren-key", jwks=JWKS)
        assert (by_key.status_code, by_key.json()["token"]) == (201, None)
        assert "token endpoint" in by_key.json()["letter"]
    first, token_client, key_client = clients(file)
    assert first.revoked
    assert (token_client.hospitals, token_client.has_keys) == ({"RTH"}, False)
    assert key_client.has_keys


@pytest.mark.parametrize(
    ("changed", "status", "why"),
    [
        ({"name": "Wren EPR"}, 400, "small letters"),
        ({"name": "local"}, 400, "needs another name"),
        ({"name": "sandbox"}, 409, "choose another name"),
        ({"hospital": "RXX"}, 400, "no hospital RXX"),
        ({"hospital": ""}, 400, "whose system"),
        ({"scopes": "patient/*.read"}, 400, "no scope of a client"),
        ({"jwks": {"keys": []}}, 400, "keys"),
        ({"jwks": {"keys": [ELLIPTIC.as_dict(private=True) | {"kid": "a"}]}}, 400, "private"),
        ({"jwksUrl": "http://epr.example/jwks"}, 400, "https"),
        ({"jwks": JWKS, "jwksUrl": "https://epr.example/jwks"}, 400, "not both"),
        ({"doors": ["root"]}, 400, "doors"),
        ({"revoked": False}, 400, "Send an object"),
        ({"reason": "two\nlines"}, 400, "one line"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_what_to_mend(
    sandboxed: Served, changed: dict[str, Any], status: int, why: str
) -> None:
    sandboxed.context.settings.clients.write_text(FIRST)  # type: ignore[union-attr]
    answer = ask(sandboxed, **changed)
    assert (answer.status_code, why in said(answer)) == (status, True), answer.text
    assert sandboxed.context.settings.clients.read_text() == FIRST  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def sandboxed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("sandbox")
    (folder / "clients.toml").write_text(FIRST)
    marked(folder)
    with served(folder, clients=folder / "clients.toml", sandbox=True, mllp=False) as server:
        register(server, "RTH")
        yield server


def test_too_many_tries_from_one_address_wait(tmp_path: Path, file: Path) -> None:
    marked(tmp_path)
    with served(tmp_path, clients=file, sandbox=True, mllp=False) as server:
        statuses = {ask(server, name="").status_code for _ in range(40)}
    assert statuses == {400, 429}


def test_elsewhere_nobody_is_registered_and_the_operator_is_given_the_command(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path, clients=file, mllp=False) as server:
        reason = "--token 'it'; rm -rf $HOME"
        answer = ask(server, jwks=JWKS, doors=["fhir"], reason=reason)
    assert answer.status_code == 200, answer.text
    assert file.read_text() == FIRST
    told = answer.json()
    (tmp_path / told["file"]["name"]).write_text(told["file"]["content"])
    monkeypatch.setenv("CSOR_CLIENTS", str(file))
    monkeypatch.chdir(tmp_path)
    words = shlex.split(told["command"])
    assert words[:5] == ["python", "-m", "fhir_server", "client", "add"]
    assert main(words[3:]) == 0
    found = clients(file)[1]
    assert (found.name, found.hospitals, found.doors) == ("wren-epr", {"RTH"}, {"fhir"})
    assert found.has_keys


def test_a_sandbox_is_served_as_one_and_nothing_else_is(tmp_path: Path, file: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    marked(theirs)
    with (
        pytest.raises(ValueError, match="this database is no sandbox"),
        served(ours, clients=file, sandbox=True, mllp=False),
    ):
        pass
    with (
        pytest.raises(ValueError, match="whose children are fictitious"),
        served(theirs, clients=file, mllp=False),
    ):
        pass


def test_a_database_that_holds_anything_becomes_no_sandbox(tmp_path: Path) -> None:
    place = tmp_path / "csor.db"
    with served(tmp_path, mllp=False) as server:
        register(server, "RTH")
    with pytest.raises(ValueError, match="a sandbox begins with an empty one"):
        claimed(place)

    async def again(made: Context) -> None:
        await claim(made.database, 1)
        await claim(made.database, 2)

    asyncio.run(alone(Settings(database=str(tmp_path / "new.db")), again))


def test_a_reset_leaves_who_is_registered(tmp_path: Path, file: Path) -> None:
    marked(tmp_path)
    (tmp_path / "csor.db.bulk").mkdir()
    (tmp_path / "somebody's").touch()
    remove(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {"clients.toml", "somebody's"}


@pytest.mark.slow
def test_the_command_has_fictitious_children_and_is_reset(tmp_path: Path) -> None:
    environment = {
        **os.environ, "CSOR_FHIR_PORT": str(free_port()), "CSOR_MLLP_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT), "CSOR_SIGNING_KEY": str(tmp_path / "the registry's.pem"),
        "CSOR_HL7V2_SENDERS": "nowhere.toml",
    }  # fmt: skip

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        words = [
            sys.executable,
            "-m",
            "fhir_server",
            "sandbox",
            "--folder",
            str(tmp_path),
            "--exit",
        ]
        return subprocess.run(
            [*words, *more], env=environment, capture_output=True, text=True, check=False
        )

    first = run()
    assert first.returncode == 0, first.stderr
    assert "every child in it is fictitious" in first.stdout
    assert not (tmp_path / "the registry's.pem").exists(), "nor does any other setting count"
    assert "Simulating" not in run().stdout
    assert "Simulating" in run("--reset").stdout

    async def names(made: Context) -> list[bytes]:
        rows = made.database.read(
            "SELECT body FROM content JOIN resource USING (rid) WHERE type = 'Patient'"
        )
        return [row[0] for row in rows]

    settings = Settings(database=str(tmp_path / "csor.db"))
    bodies = asyncio.run(alone(settings, names))
    assert len(bodies) > 10
    assert all(b"Testchild-" in each for each in bodies)
