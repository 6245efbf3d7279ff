"""The HTTP doors with TLS of their own, on real sockets; and where secrets stand, and do not stand."""

import logging
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_server.access import refuse_open_doors
from fhir_server.access.keys import Keys
from fhir_server.access.private import refuse_readable
from fhir_server.app import served_at
from fhir_server.settings import Settings
from fhir_server.store import apart
from tests.support.certificates import Authority, client
from tests.support.server import ROOT, Served, served

SECRET = "s3cret-of-nobody"  # noqa: S105 - nobody's


class Files:
    def __init__(self, folder: Path) -> None:
        self.ours, self.hospitals = Authority(folder, "ours"), Authority(folder, "hospitals")
        self.certificate, self.key = self.ours.issue("server")
        self.shown = self.hospitals.issue("hospital")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[Served]:
    given = {"tls_certificate": files.certificate, "tls_key": files.key}
    folder = tmp_path_factory.mktemp("tls")
    with served(folder, outcomes=False, mllp=False, **given) as running:
        yield running


@pytest.fixture
def http(server: Served, files: Files) -> Iterator[httpx.Client]:
    base = f"https://127.0.0.1:{server.context.settings.fhir_port}"
    with httpx.Client(base_url=base, verify=client(files.ours.pem)) as found:
        yield found


class TestTls:
    def test_fhir_is_answered_over_it_and_says_so(self, http: httpx.Client) -> None:
        answer = http.get("/fhir/metadata")
        assert answer.status_code == 200
        assert answer.json()["implementation"]["url"].startswith("https://127.0.0.1:")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"

    def test_what_is_beside_it_too(self, http: httpx.Client) -> None:
        for path in ("/health", "/", "/.well-known/jwks.json"):
            assert "strict-transport-security" in http.get(path).headers

    def test_plain_http_is_not_answered(self, server: Served) -> None:
        with pytest.raises(httpx.TransportError):
            server.http.get("/metadata")

    def test_tls_1_1_is_not_spoken(self, server: Served, files: Files) -> None:
        older = client(files.ours.pem)
        older.set_ciphers("DEFAULT@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            older.minimum_version = older.maximum_version = ssl.TLSVersion.TLSv1_1
        base = f"https://127.0.0.1:{server.context.settings.fhir_port}"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{base}/health", verify=older)

    def test_with_authorities_a_certificate_is_asked_for(
        self, tmp_path: Path, files: Files
    ) -> None:
        given = {
            "tls_certificate": files.certificate,
            "tls_key": files.key,
            "tls_client_ca": files.hospitals.pem,
        }
        with served(tmp_path, outcomes=False, mllp=False, **given) as running:
            url = f"https://127.0.0.1:{running.context.settings.fhir_port}/health"
            with pytest.raises(httpx.TransportError):
                httpx.get(url, verify=client(files.ours.pem))
            shown = client(files.ours.pem, files.shown)
            assert httpx.get(url, verify=shown).status_code == 200

    def test_without_it_no_answer_says_that_there_is(self, tmp_path: Path) -> None:
        with served(tmp_path, outcomes=False, mllp=False) as plain:
            assert "strict-transport-security" not in plain.http.get("/metadata").headers

    def test_the_base_url_is_https_then(self, files: Files) -> None:
        settings = Settings(tls_certificate=files.certificate, tls_key=files.key)
        assert served_at(settings) == "https://127.0.0.1:8000/fhir"

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"tls_certificate": "a.pem"}, "both, or neither"),
            ({"tls_key": "a.key"}, "both, or neither"),
            ({"tls_client_ca": "a.pem"}, "needs CSOR_TLS_CERTIFICATE"),
        ],
    )
    def test_half_of_it_does_not_start(self, given: dict[str, str], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            refuse_open_doors(Settings(**given))

    def test_a_certificate_of_another_key_does_not_start(
        self, tmp_path: Path, files: Files
    ) -> None:
        given = {"tls_certificate": files.certificate, "tls_key": files.shown[1]}
        with (
            pytest.raises(ValueError, match="cannot have TLS by"),
            served(tmp_path, outcomes=False, mllp=False, **given),
        ):
            pass


class TestSecrets:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o602])
    def test_a_file_that_others_can_read_or_write_is_refused_with_what_to_do(
        self, tmp_path: Path, mode: int
    ) -> None:
        file = tmp_path / "server.key"
        file.write_text(SECRET)
        file.chmod(mode)
        with pytest.raises(ValueError, match=f"chmod 600 {file}") as refused:
            refuse_readable(file)
        assert SECRET not in str(refused.value)
        file.chmod(0o600)
        refuse_readable(file)

    def test_the_key_of_tls_and_that_of_signed_notes_among_them(
        self, tmp_path: Path, files: Files
    ) -> None:
        key = tmp_path / "open.key"
        key.write_bytes(files.key.read_bytes())
        key.chmod(0o644)
        settings = Settings(tls_certificate=files.certificate, tls_key=key)
        with pytest.raises(ValueError, match="chmod 600"):
            refuse_open_doors(settings)
        with pytest.raises(ValueError, match="chmod 600"):
            Keys(key).seal(b"a note")

    def test_a_key_that_the_server_makes_is_its_own(self, tmp_path: Path) -> None:
        Keys(tmp_path / "signing.pem").seal(b"a note")
        assert (tmp_path / "signing.pem").stat().st_mode & 0o777 == 0o600

    def test_the_password_of_the_database_is_said_nowhere(self, tmp_path: Path) -> None:
        url = f"postgresql://csor:{SECRET}@127.0.0.1:1/csor"
        around = {**os.environ, "CSOR_DATABASE": url, "CSOR_CLIENTS": str(tmp_path / "absent")}
        for command in (["serve"], ["inbox"], ["serve", "--help"]):
            done = subprocess.run(
                [sys.executable, "-m", "fhir_server", *command],
                check=False, cwd=ROOT, env=around, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert SECRET not in done.stdout + done.stderr, command

    def test_processes_that_the_server_starts_are_told_no_secret_as_an_argument(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[list[str]] = []

        class Popen:
            def __init__(self, command: list[str], **_: object) -> None:
                started.append(command)

        monkeypatch.setattr(apart.subprocess, "Popen", Popen)
        _, end = apart._started(f"postgresql://csor:{SECRET}@127.0.0.1/csor")
        end.close()
        assert started
        assert SECRET not in " ".join(started[0])

    def test_a_token_is_in_no_answer_and_no_log(
        self, server: Served, http: httpx.Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG, "csor"):
            for path in ("/fhir/Patient", "/metrics", "/fhir/metadata"):
                answer = http.get(path, headers={"Authorization": f"Bearer {SECRET}"})
                assert SECRET not in answer.text + str(answer.headers)
            form = {"grant_type": "client_credentials", "client_assertion": SECRET}
            assert SECRET not in http.post("/token", data=form).text
        assert SECRET not in caplog.text

    def test_no_setting_takes_a_secret_but_the_url_of_the_database(self) -> None:
        """Secrets stand in files that a setting names: an environment is shown to child processes."""
        named = ("password", "secret", "token", "authorization", "key")
        suspect = {name for name in Settings.model_fields if any(each in name for each in named)}
        assert suspect == {"pseudonym_key", "signing_key", "suppression_key", "tls_key"}
        for name in suspect:
            assert "Path" in str(Settings.model_fields[name].annotation)
