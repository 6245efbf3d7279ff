"""What an analyst may do is listed, and the rest refused; whom the role is given, and by what it stands."""

import stat
from pathlib import Path

import pytest

from fhir_server.access import admit, principal_of
from fhir_server.access.analyst import ANALYST_MAY, READABLE, SEARCHED, refused
from fhir_server.access.clients import clients
from fhir_server.access.pseudonym_files import read_policy, read_secrets
from fhir_server.access.pseudonyms import Pseudonyms, in_use, pseudonyms
from fhir_server.app import context
from fhir_server.context import ANALYST, HOSPITAL, Principal
from fhir_server.rest.routes import TABLE
from fhir_server.store.search.keys import place
from fhir_server.store.search.parameters import parameters
from fhir_server.store.whose import ALONE
from r4.issue import FhirError
from tests.support.analysts import POLICY, settings

KINDS_OF_PARAMETERS = {"id": None, "reference": "reference", "code": "token", "word": "token"}


def test_what_is_listed_is_served_and_has_its_reason() -> None:
    assert set(ANALYST_MAY) <= {row.code for row in TABLE}
    assert all(rule.why for rule in ANALYST_MAY.values())
    assert refused("$something-new")
    assert refused("read", "Practitioner")
    assert not READABLE & ALONE


def test_an_analyst_may_nothing_that_is_not_listed_whatever_else_it_is() -> None:
    both = Principal("a", frozenset({ANALYST, "registry", HOSPITAL}), hospitals=frozenset({"RN1"}))
    for code in {row.code for row in TABLE} - set(ANALYST_MAY):
        with pytest.raises(FhirError, match="not for an analyst"):
            admit(both, code, "Patient")
    admit(both, "read", "Patient")


def test_scopes_narrow_an_analyst_further() -> None:
    narrow = Principal("a", frozenset({ANALYST}), scopes=("system/Observation.rs",))
    admit(narrow, "read", "Observation")
    with pytest.raises(FhirError, match=r"system/Patient\.r"):
        admit(narrow, "read", "Patient")


def test_each_type_that_is_read_is_searched_by_parameters_of_the_kind_that_is_listed() -> None:
    assert set(SEARCHED) == READABLE
    for kind, listed in SEARCHED.items():
        for name, how in listed.items():
            found = parameters(kind).get(name)
            assert name == "_id" if found is None else found.type == KINDS_OF_PARAMETERS[how]


def test_a_client_is_an_analyst_by_the_file_and_then_no_hospitals(tmp_path: Path) -> None:
    file = tmp_path / "clients.toml"
    entry = f'[[client]]\nname = "study"\nrole = "analyst"\ntoken_sha256 = "{"0" * 64}"\n'
    file.write_text(entry)
    assert principal_of(clients(file)[0]).roles == {ANALYST}
    file.write_text(entry + 'hospitals = ["RTH"]\n')
    with pytest.raises(ValueError, match="no hospital's"):
        clients(file)
    file.write_text(entry.replace('"analyst"', '"registry"'))
    with pytest.raises(ValueError, match="role is one of analyst, auditor"):
        clients(file)


@pytest.mark.parametrize("missing", ["pseudonym_key", "pseudonym_policy"])
def test_without_a_key_or_a_policy_the_role_is_refused_by_the_settings_name(
    tmp_path: Path, missing: str
) -> None:
    given = settings(tmp_path, "unused", **{missing: None})
    with pytest.raises(ValueError, match=f"CSOR_{missing.upper()} is not set"):
        pseudonyms(given)
    with pytest.raises(FhirError, match="CSOR_PSEUDONYM_KEY and CSOR_PSEUDONYM_POLICY") as refusal:
        in_use(given)
    assert refusal.value.status == 403


def test_a_server_does_not_start_with_a_useless_key_file_or_policy(tmp_path: Path) -> None:
    given = settings(tmp_path, str(tmp_path / "csor.db"))
    (tmp_path / "policy.toml").write_text("version = 1")
    with pytest.raises(ValueError, match="no policy of pseudonyms"):
        context(given)


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "pseudonyms.toml"
    made = read_secrets(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_secrets(file) == made
    assert read_secrets(tmp_path / "other.toml") != made


def test_a_key_file_that_holds_something_else_is_refused_without_quoting_it(tmp_path: Path) -> None:
    file = tmp_path / "pseudonyms.toml"
    for text in ('tokens = "abcdef"\nshifts = "abcdef"', "abcdef", 'tokens = "abcdef'):
        file.write_text(text)
        with pytest.raises(ValueError, match="hexadecimal") as refusal:
            read_secrets(file)
        assert "abcdef" not in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shift_days = [0, 30]", "from 1 day on"), ("shift_days = [30, 30]", "from 1 day on"),
        ("shift_days = [30, 4000]", "at most"), ("shift_days = 30", "least, most"),
        ("shift_days = [true, 30]", "least, most"), ('birth_date = "day"', "month or year"),
        ('postcode = "whole"', "none or district"), ('version = "a b"', "short word"),
        ('approved = ""', "approved must be a text"), ("also = 1", "has `also`"),
    ],
)  # fmt: skip
def test_a_policy_says_what_is_wrong_with_it(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "policy.toml"
    name = line.partition(" ")[0]
    kept = [each for each in POLICY.splitlines() if not each.startswith(f"{name} ")]
    file.write_text("\n".join([*kept, line]))
    with pytest.raises(ValueError, match=said):
        read_policy(file)


def test_the_policy_of_the_document_is_one_and_says_that_it_is_fictitious(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "analysts.md").read_text()
    file = tmp_path / "policy.toml"
    file.write_text(text.partition("```toml\n")[2].partition("```")[0])
    assert "fictitious" in read_policy(file).approved


def test_a_policy_lacks_nothing(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    for left_out in POLICY.splitlines():
        file.write_text(POLICY.replace(left_out, ""))
        with pytest.raises(ValueError, match="it has no"):
            read_policy(file)


def by(folder: Path, **more: object) -> Pseudonyms:
    folder.mkdir()
    return pseudonyms(settings(folder, "unused", **more))


def test_tokens_are_of_one_type_and_one_version_of_the_key(tmp_path: Path) -> None:
    one, other = by(tmp_path / "one"), by(tmp_path / "other")
    at = place("Patient", "a")
    token = one.token("Patient", at)
    assert one.place("Patient", token) == at
    assert one.place("Observation", token) is None
    assert one.token("Observation", at) != token
    assert other.token("Patient", at) != token
    assert other.place("Patient", token) is None
    assert one.version != other.version
    for wrong in ("", "a", token[:-1], token + "a", token.upper(), "é" * 39, "a" * 39, "1" * 39):
        assert one.place("Patient", wrong) is None


def test_shifts_lie_within_the_policy_and_outlast_other_tokens(tmp_path: Path) -> None:
    one = by(tmp_path / "one")
    shifts = [one.days(child) for child in range(-2000, 2000)]
    assert min(shifts) == 40
    assert max(shifts) == 300
    assert len(set(shifts)) == 261
    file = tmp_path / "one" / "pseudonyms.toml"
    tokens, shifted = read_secrets(file)
    file.write_text(f'tokens = "{tokens[::-1].hex()}"\nshifts = "{shifted.hex()}"\n')
    again = Pseudonyms(read_secrets(file), one.policy)
    assert again.token("Patient", 1) != one.token("Patient", 1)
    assert [again.days(child) for child in range(-2000, 2000)] == shifts
