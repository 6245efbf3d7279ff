"""Who may send HL7 v2: a connection is known by one thing, and speaks for the hospitals it is given."""

from pathlib import Path

import pytest

from fhir_server.access.senders import LOCAL_SENDER, Peer, Sender, Senders, senders
from fhir_server.settings import Settings
from r4.issue import FhirError

FIRST, SECOND = "a" * 64, "b" * 64
LISTENER = '[[listener]]\nhost = "192.0.2.7"\nport = 2576\n'
TLS = 'certificate = "server.pem"\nkey = "server.key"\n'
OXFORD = f'[[sender]]\nname = "oxford"\nhospitals = ["RTH"]\ncertificate_sha256 = "{FIRST}"\n'


def said(folder: Path, text: str, **settings: object) -> Senders:
    file = folder / "senders.toml"
    file.write_text(text)
    return senders(Settings(hl7v2_senders=file, **settings))


def test_without_a_file_this_machine_may_send_for_any_hospital() -> None:
    found = senders(Settings())
    assert found.of(Peer("mllp", "127.0.0.1")) is LOCAL_SENDER
    assert LOCAL_SENDER.speaks_for("RTH")
    assert [(each.host, each.port) for each in found.listeners] == [("127.0.0.1", 2575)]


@pytest.mark.parametrize(
    "peer",
    [
        Peer("mllp", "192.0.2.9"),
        Peer("mllp", "127.0.0.1", certificate=FIRST),
        Peer("http-hl7v2", "127.0.0.1", client="epr"),
    ],
)
def test_without_a_file_nobody_else_may(peer: Peer) -> None:
    with pytest.raises(FhirError) as refusal:
        senders(Settings()).of(peer)
    assert refusal.value.status == 403


def test_a_sender_is_known_by_certificate_client_or_address(tmp_path: Path) -> None:
    registered = tmp_path / "clients.toml"
    registered.write_text(f'[[client]]\nname = "epr"\ntoken_sha256 = "{SECOND}"\n')
    found = said(
        tmp_path,
        f"""
        [[sender]]
        name = "oxford"
        hospitals = ["RTH"]
        certificate_sha256 = ["{":".join(["AA"] * 32)}", "{SECOND}"]
        client = "epr"

        [[sender]]
        name = "tunnel"
        hospitals = ["RGT", "RP4"]
        address = "127.0.0.1"
        acknowledge = "commit"
        reused = "accept"
        failing = "park"
        reason = "behind a tunnel; its interface engine waits two seconds for an answer"
        """,
        clients=registered,
    )
    for peer in (
        Peer("mllp", "192.0.2.1", FIRST),
        Peer("mllp", "192.0.2.1", SECOND),
        Peer("http-hl7v2", "192.0.2.1", client="epr"),
    ):
        assert found.of(peer) == Sender("oxford", frozenset({"RTH"}))
    with pytest.raises(FhirError):
        found.of(Peer("mllp", "127.0.0.1", "c" * 64))
    tunnel = Sender("tunnel", frozenset({"RGT", "RP4"}), "commit", "accept", "park")
    assert found.of(Peer("mllp", "127.0.0.1")) == tunnel
    assert found.of(Peer("http-hl7v2", "127.0.0.1")) == tunnel


def test_a_client_that_is_not_registered_for_hl7v2_is_no_sender(tmp_path: Path) -> None:
    registered = tmp_path / "clients.toml"
    client = f'[[client]]\nname = "epr"\ntoken_sha256 = "{SECOND}"\ndoors = ["fhir"]\n'
    registered.write_text(client)
    with pytest.raises(ValueError, match="not registered there for the door hl7v2"):
        said(tmp_path, f'{OXFORD}client = "epr"\n', clients=registered)


@pytest.mark.parametrize(
    "peer",
    [
        Peer("mllp", "127.0.0.1"),
        Peer("mllp", "127.0.0.1", SECOND),
        Peer("http-hl7v2", "127.0.0.1"),
        Peer("http-hl7v2", "127.0.0.1", client="epr"),
    ],
)
def test_with_a_file_who_is_not_in_it_may_not_send(tmp_path: Path, peer: Peer) -> None:
    with pytest.raises(FhirError, match="No sender of HL7 v2 is registered"):
        said(tmp_path, OXFORD).of(peer)


def test_an_address_beside_a_certificate_is_asked_as_well(tmp_path: Path) -> None:
    found = said(tmp_path, f'{OXFORD}address = "192.0.2.1"\n')
    assert found.of(Peer("mllp", "192.0.2.1", FIRST)).name == "oxford"
    for peer in (Peer("mllp", "192.0.2.2", FIRST), Peer("mllp", "192.0.2.1")):
        with pytest.raises(FhirError):
            found.of(peer)


@pytest.mark.parametrize(
    ("facility", "speaks"),
    [
        ("RTH", True),
        ("RTH08", True),
        ("RGT", False),
        ("RTH0", False),
        ("RGT08", False),
        ("", False),
    ],
)
def test_a_site_belongs_to_its_trust(facility: str, *, speaks: bool) -> None:
    assert Sender("oxford", frozenset({"RTH"})).speaks_for(facility) is speaks


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LISTENER, "does not ask them for certificates"),
        (LISTENER + TLS, "does not ask them for certificates"),
        ("[[listener]]\nport = 2576\n" + 'key = "server.key"\n', "both certificate and key"),
        (
            "[[listener]]\nport = 2576\n" + 'client_ca = "ca.pem"\n',
            "certificate and key of its own",
        ),
        ("[[listener]]\nport = 0\n", "above 0"),
        ('[[listener]]\nhost = "127.0.0.1"\n', "port is missing"),
        ("[[listener]]\nport = 2576\ntimeout = 3\n", "has `timeout`; known are"),
        ("[[sender]]\nname = ", "does not say who sends HL7 v2"),
        ('[[sender]]\nname = "a"\nhospitals = ["RTH"]\n', "cannot be told by anything"),
        ('[[sender]]\nname = "a"\naddress = "::1"\n', "hospitals is missing"),
        ('[[sender]]\nname = "a"\nhospitals = []\naddress = "::1"\n', "list of ODS codes"),
        ('[[sender]]\nname = "a"\nhospitals = ["rth"]\naddress = "::1"\n', "which is no ODS code"),
        (OXFORD.replace(FIRST, "abc"), "64 hexadecimal digits"),
        (OXFORD + 'acknowledge = "never"\n', "must be application or commit"),
        (OXFORD + 'client = "epr"\n', "not in the file of CSOR_CLIENTS"),
        (OXFORD + OXFORD.replace("oxford", "other"), "have the same certificate_sha256"),
    ],
)
def test_a_file_that_leaves_a_door_open_or_says_nothing_clear_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        said(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.toml"):
        senders(Settings(hl7v2_senders=tmp_path / "absent.toml"))


def test_no_listener_where_mllp_is_switched_off(tmp_path: Path) -> None:
    assert said(tmp_path, LISTENER + OXFORD, mllp=False).listeners == ()
