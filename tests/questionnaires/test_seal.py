"""The seal of a document: one way of writing it, and a signature that holds for nothing else."""

import stat
from base64 import b64decode, b64encode, urlsafe_b64encode
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from fhir_server.__main__ import main
from fhir_server.access.keys import Keys, signing_key, verify
from fhir_server.settings import Settings
from profiles.validate import validate
from questionnaires import sign
from questionnaires.seal import AUTHOR, canonical, sealed
from r4.issue import FhirError
from r4.json import Resource, decode, encode
from terminology import Terminology
from tests.profiles.unloaded import beyond
from tests.questionnaires.support import (
    HOSPITAL,
    NOTE,
    NOW,
    SIGNER,
    by_type,
    example,
    form,
    ids,
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys") / "signing.pem")


@pytest.fixture(scope="module")
def document(keys: Keys) -> Resource:
    note = example(NOTE, "duhamel-open-complication")
    bundle = sign(
        form(NOTE), note, signer=SIGNER, hospital=HOSPITAL, now=NOW, new_id=ids(), seal=keys.seal
    )
    [made] = by_type(bundle, "Bundle")
    return made


class TestCanonical:
    def test_names_are_sorted_at_every_depth_and_nothing_stands_between_tokens(self) -> None:
        bundle = {"type": "document", "entry": [{"resource": {"z": 1, "a": [{"y": "ü", "b": 2}]}}]}
        said = '{"entry":[{"resource":{"a":[{"b":2,"y":"ü"}],"z":1}}],"type":"document"}'
        assert canonical(bundle) == said.encode()

    def test_decimals_keep_the_digits_they_were_written_with(self) -> None:
        assert canonical(decode(b'{"value": 1.50}')) == b'{"value":1.50}'
        assert canonical({"value": Decimal("0.010")}) == b'{"value":0.010}'

    def test_what_its_keeper_says_of_a_document_is_left_out_at_the_root_alone(self) -> None:
        inner = {"id": "a", "meta": {"versionId": "1"}}
        kept = {"id": "x", "meta": {}, "signature": {}, "entry": [{"resource": inner}]}
        assert canonical(kept) == b'{"entry":[{"resource":{"id":"a","meta":{"versionId":"1"}}}]}'


class TestSignature:
    def test_the_surgeon_signs_the_document_at_the_moment_of_the_attestation(
        self, document: Resource, keys: Keys
    ) -> None:
        signature = verify(document, keys.jwks())
        [attester] = document["entry"][0]["resource"]["attester"]
        assert (signature["who"], signature["when"]) == (attester["party"], NOW)
        assert attester["party"]["reference"] in {each["fullUrl"] for each in document["entry"]}
        assert signature["type"][0]["code"] == "1.2.840.10065.1.12.1.1"
        assert beyond(validate(document, Terminology.load(), now=NOW)) == []

    def test_another_library_verifies_it_with_the_public_key(
        self, document: Resource, keys: Keys
    ) -> None:
        head, _, last = b64decode(document["signature"]["data"]).decode().split(".")
        content = urlsafe_b64encode(canonical(document)).rstrip(b"=").decode()
        [public] = keys.jwks()["keys"]
        assert "d" not in public
        found = jws.deserialize_compact(
            f"{head}.{content}.{last}", ECKey.import_key(public), algorithms=["ES384"]
        )
        assert found.headers() == {"alg": "ES384", "kid": public["kid"]}

    def test_a_server_may_give_it_an_id_and_a_version_and_write_it_otherwise(
        self, document: Resource, keys: Keys
    ) -> None:
        stored = {"meta": {"versionId": "1"}, "id": "a", **dict(reversed(document.items()))}
        verify(decode(encode(stored)), keys.jwks())

    @pytest.mark.parametrize("path", ["entry.1.resource.status", "timestamp", "identifier.value"])
    def test_a_changed_letter_is_found_out(self, document: Resource, keys: Keys, path: str) -> None:
        changed = deepcopy(document)
        node: Any = changed
        *steps, last = path.split(".")
        for step in steps:
            node = node[int(step)] if step.isdecimal() else node[step]
        node[last] = node[last][:-1] + ("x" if node[last][-1] != "x" else "y")
        assert "has been changed" in refused(changed, keys.jwks())

    def test_each_resource_of_the_document_is_signed(self, document: Resource, keys: Keys) -> None:
        for number in range(len(document["entry"])):
            rest = [each for at, each in enumerate(document["entry"]) if at != number]
            assert refused({**document, "entry": rest}, keys.jwks())

    @pytest.mark.parametrize("said", [{"when": "2020-01-01T00:00:00Z"}, {"who": SIGNER}])
    def test_the_signature_cannot_be_given_to_another_signer_or_time(
        self, document: Resource, keys: Keys, said: Resource
    ) -> None:
        changed = {**document, "signature": {**document["signature"], **said}}
        assert "another signer or time" in refused(changed, keys.jwks())

    @pytest.mark.parametrize(
        "said",
        [
            {"type": [{"system": AUTHOR["system"], "code": "1.2.840.10065.1.12.1.5"}]},
            {"type": [AUTHOR, AUTHOR]},
            {"onBehalfOf": SIGNER},
        ],
        ids=str,
    )
    def test_the_signature_cannot_be_given_another_purpose(
        self, document: Resource, keys: Keys, said: Resource
    ) -> None:
        changed = {**document, "signature": {**document["signature"], **said}}
        assert "another than its author's" in refused(changed, keys.jwks())

    def test_another_servers_key_is_not_ours(self, document: Resource, tmp_path: Path) -> None:
        other = Keys(tmp_path / "other.pem")
        assert "No key given" in refused(document, other.jwks())

    @pytest.mark.parametrize("algorithm", ["none", "HS256"])
    def test_other_algorithms_are_refused_whatever_key_they_name(
        self, document: Resource, keys: Keys, algorithm: str
    ) -> None:
        [public] = keys.jwks()["keys"]
        header = encode({"alg": algorithm, "kid": public["kid"]})
        head = urlsafe_b64encode(header).rstrip(b"=").decode()
        last = ""
        if algorithm == "HS256":  # with the public key as the secret, which is an old trick
            secret = OctKey.import_key(encode(public))
            token = jws.serialize_compact(
                {"alg": "HS256", "kid": public["kid"]}, canonical(document), secret
            )
            last = token.rpartition(".")[2]
        assert f"'{algorithm}'" in refused(forged(document, f"{head}..{last}"), keys.jwks())

    @pytest.mark.parametrize("data", ["", "a.b", "a.b.c.d", "e30..x", "bm90IGpzb24..x", "ü..x"])
    def test_what_is_no_signature_is_refused(
        self, document: Resource, keys: Keys, data: str
    ) -> None:
        assert refused(forged(document, data), keys.jwks())

    def test_a_document_without_a_signature_is_refused(
        self, document: Resource, keys: Keys
    ) -> None:
        bare = {key: value for key, value in document.items() if key != "signature"}
        assert "no document Bundle with a signature" in refused(bare, keys.jwks())


def forged(document: Resource, data: str) -> Resource:
    said = {**document["signature"], "data": b64encode(data.encode()).decode()}
    return {**document, "signature": said}


def refused(document: Resource, jwks: Resource) -> str:
    with pytest.raises(FhirError) as refusal:
        verify(document, jwks)
    assert refusal.value.status == 422
    [issue] = refusal.value.issues
    return issue.diagnostics


class TestKeys:
    def test_a_key_is_made_once_for_its_owner_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "below" / "signing.pem"
        first, second = Keys(file), Keys(file)
        assert first.jwks() == second.jwks()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [each.name for each in file.parent.iterdir()] == ["signing.pem"]

    def test_a_new_key_before_the_old_one_leaves_what_was_signed_verifiable(
        self, document: Resource, keys: Keys, tmp_path: Path
    ) -> None:
        old = ECKey.import_key(keys.file.read_bytes())
        new = ECKey.generate_key("P-384")
        file = tmp_path / "rotated.pem"
        file.write_bytes(new.as_pem(private=True) + old.as_pem(private=False))
        file.chmod(0o600)
        rotated = Keys(file)
        verify(document, rotated.jwks())
        again = sealed(document, rotated.seal, document["signature"]["who"], NOW)
        verify(again, rotated.jwks())
        assert "No key given" in refused(again, keys.jwks())

    @pytest.mark.parametrize("held", ["nothing", "another curve", "public alone", "broken"])
    def test_a_useless_file_is_said_at_start(self, tmp_path: Path, held: str) -> None:
        file = tmp_path / "signing.pem"
        file.write_bytes(
            {
                "nothing": b"",
                "another curve": ECKey.generate_key("P-256").as_pem(private=True),
                "public alone": ECKey.generate_key("P-384").as_pem(private=False),
                "broken": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            }[held]
        )
        file.chmod(0o600)
        with pytest.raises(ValueError, match=r"signing\.pem"):
            Keys(file).jwks()

    def test_the_key_stands_beside_the_database_unless_it_is_named(self, tmp_path: Path) -> None:
        assert signing_key(Settings(database="a/csor.db")) == Path("a/csor.db.signing.pem")
        assert signing_key(Settings(database="postgresql://h/csor")) == Path("csor.signing.pem")
        named = Settings(signing_key=tmp_path / "k.pem")
        assert signing_key(named) == tmp_path / "k.pem"


class TestCommand:
    def test_who_signed_and_when_is_said(
        self, document: Resource, keys: Keys, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file, jwks = tmp_path / "note.json", tmp_path / "jwks.json"
        file.write_bytes(encode(document))
        jwks.write_bytes(encode(keys.jwks()))
        assert main(["verify-document", str(file), "--keys", str(jwks)]) == 0
        said = capsys.readouterr().out
        assert "unchanged since Demo Surgeon" in said
        assert NOW in said

    def test_a_changed_document_has_exit_status_1(
        self, document: Resource, keys: Keys, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        file = tmp_path / "note.json"
        file.write_bytes(encode(document).replace(b"Demo Surgeon", b"Other Surgeon"))
        monkeypatch.setenv("CSOR_SIGNING_KEY", str(keys.file))
        assert main(["verify-document", str(file)]) == 1
        assert "has been changed" in capsys.readouterr().out

    def test_without_any_key_the_command_says_what_to_give(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "note.json").write_text("{}")
        monkeypatch.setenv("CSOR_SIGNING_KEY", str(tmp_path / "none.pem"))
        assert main(["verify-document", str(tmp_path / "note.json")]) == 1
        assert "--keys" in capsys.readouterr().err
