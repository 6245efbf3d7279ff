"""`client`: register, list, revoke and rotate, in a file whose other lines stay as they were."""

import json
import re
from pathlib import Path

import pytest

from fhir_server.__main__ import main
from fhir_server.access import clients, identify, token_hash
from fhir_server.access.client_file import changed
from r4.issue import FhirError
from tests.support.backend import ELLIPTIC, JWKS, RSA, public

BEFORE = """# Who calls the registry.
[[client]]
name = "reports"                 # the registry's own
token_sha256 = [
  "{0}",
]
scopes = "system/*.rs"

# Nobody but Leeds.
[[client]]
name = "leeds"
scopes = "system/Patient.rs"
jwks_url = "https://epr.example/jwks.json"
""".replace("{0}", "a" * 64)


APP = ["--redirect-uri", "https://app.example/", "--scopes"]
OPENED = [*APP, "launch patient/*.rs", "--launch-url"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "clients.toml"
    monkeypatch.setenv("CSOR_CLIENTS", str(found))
    monkeypatch.setenv("CSOR_BASE_URL", "https://registry.example/fhir")
    (tmp_path / "keys.json").write_text(json.dumps(JWKS))
    monkeypatch.chdir(tmp_path)
    return found


def run(*arguments: str) -> None:
    assert main(["client", *arguments]) == 0


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the token that was shown."""
    found = re.search(r"bearer token\s+(\S+) \(shown this once\)", capsys.readouterr().out)
    assert found is not None
    return found[1]


def test_an_app_is_added_by_where_it_has_people_sent_back_to(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back = "https://app.example/callback"
    run("add", "growth", "--redirect-uri", back, "--scopes", "launch/patient patient/*.rs")
    (found,) = clients(file)
    assert (found.redirect_uris, found.is_app, found.has_keys) == ((back,), True, False)
    told = capsys.readouterr().out
    for each in ("https://registry.example/authorize", f"app at {back}", "docs/smart.md"):
        assert each in told
    run("add", "ward-list", "--redirect-uri", back, "--jwks", "keys.json", "--scopes", "user/*.rs")
    assert clients(file)[1].has_keys
    opened = "https://app.example/launch"
    run(
        "add",
        "chart",
        "--redirect-uri",
        back,
        "--launch-url",
        opened,
        "--scopes",
        "launch patient/*.rs",
    )
    assert clients(file)[2].launch_url == opened
    assert f"opened at {opened}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--redirect-uri", "http://app.example/", "--scopes", "user/*.rs"], "https URL"),
        (["--redirect-uri", "https://app.example/#a", "--scopes", "user/*.rs"], "without fragment"),
        (
            ["--redirect-uri", "https://app.example/", "--scopes", "system/*.rs"],
            "patient/Patient.rs",
        ),
        (["--redirect-uri", "https://app.example/", "--scopes", "user/*.cruds"], "apps read"),
        (["--redirect-uri", "https://app.example/", "--scopes", "openid"], "scope of resources"),
        (["--redirect-uri", "https://app.example/"], "it has scopes"),
        (["--redirect-uri", "https://app.example/", "--scopes", "user/*.rs", "--token"], "neither"),
        (
            [
                "--redirect-uri",
                "https://app.example/",
                "--scopes",
                "user/*.rs",
                "--hospital",
                "RTH",
            ],
            "neither",
        ),
        (["--scopes", "system/*.rs"], "cannot be known by anything"),
        ([*OPENED, "http://app.example/launch"], "launch_url is an https URL"),
        ([*OPENED, "https://app.example/#a"], "without fragment"),
        ([*OPENED, "https://app.example/é"], "launch_url is a URL"),
        (OPENED[:-1], "an app that is opened here has both"),
        ([*APP, "patient/*.rs", "--launch-url", "https://app.example/"], "has both"),
        (["--token", "--launch-url", "https://app.example/"], "has both"),
    ],
)
def test_an_app_that_is_none_is_not_added(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert main(["client", "add", "growth", *arguments]) == 1
    assert reason in capsys.readouterr().err
    assert not file.exists()


def test_a_client_with_keys_is_added_and_its_vendor_told_what_it_needs(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "oxford", "--jwks", "keys.json", "--scopes", "system/Patient.rs", "--hospital", "RTH",
        "--hospital", "RGT", "--door", "fhir", "--reason", 'the "engine"')  # fmt: skip
    (found,) = clients(file)
    assert (found.name, found.hospitals, found.doors) == ("oxford", {"RTH", "RGT"}, {"fhir"})
    assert json.loads(found.jwks or b"") == JWKS
    assert file.stat().st_mode & 0o777 == 0o600
    letter = capsys.readouterr().out
    for said in (
        "https://registry.example/fhir/.well-known/smart-configuration",
        "https://registry.example/token", "oxford (iss and sub", "keys elliptic, rsa",
        "system/Patient.rs", "RGT RTH", "RS384, ES384, RS512",
    ):  # fmt: skip
        assert said in letter


def test_an_analyst_is_added_by_its_role_and_listed_by_it(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "study", "--token", "--role", "analyst", "--scopes", "system/*.rs")
    (client,) = clients(file)
    assert client.role == "analyst"
    capsys.readouterr()
    run("list")
    assert "study\tregistered\tanalyst" in capsys.readouterr().out


def test_a_token_is_shown_once_and_only_its_hash_is_kept(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "monitor", "--token")
    token = shown(capsys)
    assert len(token) == 43
    assert token not in file.read_text()
    assert clients(file)[0].tokens == (token_hash(token),)
    run("list")
    assert (
        capsys.readouterr().out
        == "monitor\tregistered\tregistry\t1 bearer token\tfhir hl7v2\teverything\n"
    )


def test_what_else_stands_in_the_file_stays_as_it_was(file: Path) -> None:
    file.write_text(BEFORE)
    run("add", "oxford", "--jwks-url", "https://oxford.example/jwks", "--scopes", "system/*.rs")
    assert file.read_text().startswith(BEFORE)
    run("revoke", "reports")
    assert file.read_text().startswith(BEFORE.replace('*.rs"\n', '*.rs"\nrevoked = true\n'))
    assert [(each.name, each.revoked) for each in clients(file)] == [
        ("reports", True), ("leeds", False), ("oxford", False),
    ]  # fmt: skip


def test_a_token_is_rotated_while_the_one_before_stays_good(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "monitor", "--token")
    first = shown(capsys)
    run("rotate", "monitor")
    second = shown(capsys)
    for token in (first, second):
        assert identify(None, f"Bearer {token}", clients(file)).name == "monitor"
    run("rotate", "monitor", "--finish")
    assert identify(None, f"Bearer {second}", clients(file)).name == "monitor"
    with pytest.raises(FhirError):
        identify(None, f"Bearer {first}", clients(file))


def test_keys_take_the_place_of_keys_and_of_tokens(file: Path) -> None:
    file.write_text(BEFORE)
    run("rotate", "leeds", "--jwks", "keys.json")
    run("rotate", "reports", "--jwks-url", "https://reports.example/jwks")
    run("rotate", "reports", "--finish")
    reports, leeds = clients(file)
    assert (leeds.jwks_url, json.loads(leeds.jwks or b"")) == (None, JWKS)
    assert (reports.jwks_url, reports.tokens) == ("https://reports.example/jwks", ())
    assert "# Nobody but Leeds." in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("add", "leeds", "--token"), "two clients, leeds and leeds"),
        (("add", "local", "--token"), "needs another name"),
        (("add", "a", "--jwks", "keys.json"), "needs the scopes"),
        (("add", "a", "--jwks", "private.json", "--scopes", "system/*.rs"), "is not public"),
        (("add", "a", "--jwks", "absent.json", "--scopes", "system/*.rs"), "absent.json"),
        (("add", "a", "--token", "--scopes", "system/Patient.write"), "write system/Patient.cud"),
        (("add", "a", "--token", "--hospital", "oxford"), "no ODS code"),
        (("revoke", "nobody"), "no client is named nobody"),
        (("rotate", "nobody"), "no client is named nobody"),
        (("rotate", "reports", "--jwks-url", "http://reports.example"), "https URL"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    file.write_text(BEFORE)
    secret = {**ELLIPTIC.as_dict(private=True), "kid": "one"}
    Path("private.json").write_text(json.dumps({"keys": [public(RSA, "rsa"), secret]}))
    assert main(["client", *arguments]) == 1
    assert reason in capsys.readouterr().err
    assert file.read_text() == BEFORE
    assert sorted(each.name for each in file.parent.iterdir()) == [
        "clients.toml", "keys.json", "private.json",
    ]  # fmt: skip


def test_without_the_setting_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CSOR_CLIENTS", raising=False)
    assert main(["client", "list"]) == 1
    assert "Set CSOR_CLIENTS" in capsys.readouterr().err


def test_a_revoked_client_is_not_rotated(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BEFORE)
    run("revoke", "leeds")
    assert main(["client", "rotate", "leeds"]) == 1
    assert "leeds is revoked" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        'client = [{ name = "a", token_sha256 = "b" }]\n',
        '[[client]]\nname = "a"\nreason = """\n[[client]]\nrevoked = false\n"""\n',
    ],
)
def test_an_entry_that_cannot_be_told_from_the_rest_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="do it in an editor"):
        changed(text, "a", {"revoked": True})
