"""The Treatment Success Score is refused, by name, until its parameters are there, whole and signed.

Every value in the files used here is fictitious: the true ones are not known here.
"""

from base64 import urlsafe_b64encode
from datetime import date
from pathlib import Path

import pytest
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey, RSAKey

import outcome_engine
from outcome_engine import Period
from outcome_engine.parameter_files.parameter_file import (
    NONE,
    REFUSALS,
    Parameters,
    known,
    refuse_without_parameters,
)
from outcome_engine.parameter_files.signature import (
    Signatories,
    Signatory,
    canonical,
    entry,
    made_key,
    sign,
)
from outcome_engine.parameter_files.treatment_success_form import Parameters as Values
from r4.issue import FhirError
from r4.json import decode, encode, pretty
from tests.outcome_engine.signing import (
    KEY,
    SIGNED_ON,
    TSS,
    body,
    measure,
    parameters,
    signed,
)

ON = "2024-06-30"


def refusal(*contents, on=ON, by=None):
    held = parameters(*contents)
    if by is not None:
        held = Parameters(dict(held), Signatories(by))
    with pytest.raises(FhirError) as caught:
        held.of(measure(), on)
    assert caught.value.status == 422
    assert {issue.rule.removeprefix("parameters-") for issue in caught.value.issues} <= set(
        REFUSALS
    )
    return caught.value.issues


def rules(issues):
    return [issue.rule.removeprefix("parameters-") for issue in issues]


def with_jws(file, token):
    return file | {"signature": file["signature"] | {"jws": token}}


def other_header(file, header, key, algorithms):
    token = jws.serialize_compact(header, canonical(file), key, algorithms=algorithms)
    head, _, last = token.split(".")
    return with_jws(file, f"{head}..{last}")


class TestAbsent:
    def test_nothing_signed_is_carried(self):
        assert list(known(None, None)) == []

    def test_each_parameter_is_named(self, record, terminology):
        with pytest.raises(FhirError) as caught:
            outcome_engine.assess(TSS, record("good"), ON, terminology)
        assert caught.value.status == 422
        assert {(issue.code, issue.rule) for issue in caught.value.issues} == {
            ("not-supported", "parameters-absent")
        }
        first, *others = [issue.diagnostics for issue in caught.value.issues]
        assert "absent" in first
        names = {name.replace("_", "-") for name in Values.model_fields}
        assert {name for name in names if any(f"`{name}`" in text for text in others)} == names
        assert len(others) == len(names)

    def test_only_that_measure_is_refused(self, record, terminology, core):
        assert outcome_engine.assess(core, record("good"), ON, terminology)
        refuse_without_parameters(outcome_engine.measures()[core])
        with pytest.raises(FhirError, match="absent"):
            outcome_engine.check(TSS, Period("2018-01-01", "2018-12-31"))

    def test_a_file_of_another_kind_is_not_it(self):
        other = sign(body(lambda file: file.update(kind="case-mix-model")), KEY, SIGNED_ON)
        assert rules(refusal(other))[0] == "absent"


class TestAccepted:
    def test_a_complete_signed_file_is_accepted(self):
        file = parameters(signed()).of(measure(), ON)
        assert (file.fictitious, file.version) == (True, "0.0.1")
        assert (file.signed.signatory, file.signed.on) == ("Test Signatory", SIGNED_ON)
        assert len(file.digest) == 64

    def test_the_order_of_members_and_the_layout_do_not_break_a_signature(self):
        file = signed()
        turned = pretty(dict(reversed(file.items())))
        one, other = (parameters(each).of(measure(), ON) for each in (file, turned))
        assert one.digest == other.digest

    @pytest.mark.parametrize(
        "key", [OKPKey.generate_key("Ed25519"), RSAKey.generate_key(3072)], ids=["Ed25519", "RSA"]
    )
    def test_other_keys_sign_too(self, key):
        known = Signatories([Signatory("A", "B", key, date(2020, 1, 1), date(2030, 1, 1))])
        content = encode(sign(body(), key, SIGNED_ON))
        assert Parameters({"a": content}, known).of(measure(), ON).signed.signatory == "A"

    def test_the_newest_version_that_is_valid_on_the_day_counts(self):
        def version(number, start):
            return signed(lambda file: file.update({"version": number, "valid-from": start}))

        known = parameters(version("0.9.0", "2020-01-01"), version("0.10.0", "2024-01-01"))
        assert known.of(measure(), "2023-12-31").version == "0.9.0"
        assert known.of(measure(), "2024-01-01").version == "0.10.0"

    def test_a_measure_without_parameters_has_none(self, core):
        assert NONE.of(outcome_engine.measures()[core], ON) is None

    def test_a_file_is_read_from_a_folder_with_the_file_of_signatories(self, tmp_path: Path):
        (tmp_path / "parameters").mkdir()
        (tmp_path / "parameters" / "a.json").write_bytes(encode(signed()))
        keys = [entry(KEY, "A", "B", date(2020, 1, 1), date(2030, 1, 1))]
        (tmp_path / "signatories.json").write_bytes(encode({"keys": keys}))
        found = known(tmp_path / "parameters", tmp_path / "signatories.json")
        assert found.of(measure(), ON).signed.role == "B"


class TestSignature:
    def test_a_file_without_a_signature_is_refused(self):
        [issue] = refusal(body())
        assert rules([issue]) == ["unsigned"]
        assert issue.diagnostics.endswith("carries no signature.")

    def test_a_signature_of_nobody_is_refused(self):
        header = encode({"alg": "none", "kid": KEY.thumbprint()})
        head = urlsafe_b64encode(header).rstrip(b"=").decode()
        assert rules(refusal(with_jws(signed(), f"{head}.."))) == ["algorithm-none"]

    def test_the_public_key_is_no_shared_secret(self):
        header = {"alg": "HS256", "kid": KEY.thumbprint()}
        secret = OctKey.import_key(KEY.as_pem(private=False).decode().replace("-----", "", 4))
        assert rules(refusal(other_header(signed(), header, secret, ["HS256"]))) == ["algorithm"]

    def test_an_algorithm_of_another_kind_of_key_is_refused(self):
        key = OKPKey.generate_key("Ed25519")
        header = {"alg": "Ed25519", "kid": KEY.thumbprint()}
        assert rules(refusal(other_header(signed(), header, key, ["Ed25519"]))) == ["algorithm"]

    def test_a_header_that_says_more_is_refused(self):
        header = {"alg": "ES384", "kid": KEY.thumbprint(), "typ": "JOSE"}
        assert rules(refusal(other_header(signed(), header, KEY, ["ES384"]))) == ["malformed"]

    @pytest.mark.parametrize("token", ["", "a.b", "e30..a", "bm8..a", "e30.eA.a", "…"])
    def test_what_is_no_detached_jws_is_refused(self, token):
        assert set(rules(refusal(with_jws(signed(), token)))) <= {"malformed", "algorithm"}

    def test_the_key_of_nobody_known_is_refused(self):
        assert rules(refusal(sign(body(), made_key(), SIGNED_ON))) == ["unknown-key"]
        assert rules(refusal(signed(), by=[])) == ["unknown-key"]

    def test_another_key_under_the_name_of_a_known_one_is_refused(self):
        header = {"alg": "ES384", "kid": KEY.thumbprint()}
        assert rules(refusal(other_header(signed(), header, made_key(), ["ES384"]))) == ["tampered"]

    @pytest.mark.parametrize(
        ("start", "end", "rule"),
        [
            (date(2022, 6, 2), date(2030, 1, 1), "key-not-yet-valid"),
            (date(2020, 1, 1), date(2022, 5, 31), "key-expired"),
        ],
    )
    def test_the_key_must_be_valid_on_the_day_of_signing(self, start, end, rule):
        assert rules(refusal(signed(), by=[Signatory("A", "B", KEY, start, end)])) == [rule]

    def test_a_file_signed_while_the_key_was_valid_stays_good(self):
        by = Signatories([Signatory("A", "B", KEY, SIGNED_ON, SIGNED_ON)])
        assert Parameters({"a": encode(signed())}, by).of(measure(), ON)


OUTSIDE = ("kind", "measure", "signed-on")
"""Names whose change makes something else of a file than one that was tampered with."""


def leaves(value, path=()):
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from leaves(entry, (*path, name))
    elif isinstance(value, list) and value:
        for place, entry in enumerate(value):
            yield from leaves(entry, (*path, place))
    elif path != ("signature", "jws"):
        yield path


class TestTampered:
    def test_no_value_of_a_signed_file_can_be_changed(self):
        file = signed()
        places = [path for path in leaves(file) if path[-1] not in OUTSIDE]
        assert len(places) > 200
        for path in places[:: len(places) // 30]:
            changed = decode(encode(file))
            at = changed
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = another(at[path[-1]])
            assert "tampered" in rules(refusal(changed)), path

    @pytest.mark.parametrize("member", ["kind", "measure"])
    def test_a_file_made_one_of_another_measure_is_not_there(self, member):
        assert rules(refusal(signed() | {member: "another"}))[0] == "absent"

    def test_the_day_of_signing_is_signed(self):
        file = signed()
        file["signature"]["signed-on"] = "2022-06-02"
        assert rules(refusal(file)) == ["tampered"]

    def test_a_list_cannot_be_put_in_another_order(self):
        file = signed()
        file["parameters"]["coefficients"].reverse()
        assert "tampered" in rules(refusal(file))

    def test_nothing_can_be_added_or_taken_away(self):
        assert "tampered" in rules(refusal(signed() | {"comment": "harmless"}))
        shorter = signed()
        shorter["checks"].pop()
        assert rules(refusal(shorter)) == ["tampered"]

    def test_a_name_cannot_stand_twice(self):
        text = encode(signed()).replace(b'{"kind"', b'{"version":"9.0.0","kind"')
        [issue] = refusal(text)
        assert rules([issue]) == ["unreadable"]
        assert "'version' stands twice" in issue.diagnostics

    def test_one_faulty_file_refuses_the_measure_though_another_is_good(self):
        file = signed()
        file["version"] = "0.0.2"
        assert rules(refusal(signed(), file)) == ["tampered"]


def another(value):
    if value is None or isinstance(value, (list, dict)):
        return "x"
    return not value if isinstance(value, bool) else value + type(value)(1)  # "1" or 1


class TestDates:
    @pytest.mark.parametrize(
        ("on", "change", "rule"),
        [
            ("2022-05-31", {}, "signed-in-future"),
            (ON, {"valid-from": "2024-07-01"}, "not-yet-valid"),
            (ON, {"valid-until": "2024-06-29"}, "expired"),
            (ON, {"measure": f"{TSS}|9.9.9"}, "wrong-measure-version"),
        ],
    )
    def test_a_file_for_another_day_or_version_is_refused(self, on, change, rule):
        [issue] = refusal(signed(lambda file: file.update(change)), on=on)
        assert rules([issue]) == [rule]

    @pytest.mark.parametrize("on", ["2022-06-01", "2024-06-30", "2024-07-01"])
    def test_the_first_and_the_last_day_count(self, on):
        file = signed(lambda f: f.update({"valid-from": "2022-06-01", "valid-until": "2024-07-01"}))
        assert parameters(file).of(measure(), on)

    def test_such_a_file_is_passed_over_where_another_fits(self):
        old = signed(lambda file: file.update({"measure": f"{TSS}|0.1.0", "version": "9.0.0"}))
        assert parameters(old, signed()).of(measure(), ON).version == "0.0.1"

    def test_two_files_of_one_version_that_differ_are_refused(self):
        other = signed(lambda file: file.update(description="Fictitious, and another"))
        assert rules(refusal(signed(), other)) == ["ambiguous"]
        assert parameters(signed(), signed()).of(measure(), ON)

    def test_a_day_that_is_none_is_refused(self):
        with pytest.raises(FhirError) as caught:
            parameters(signed()).of(measure(), "soon")
        assert caught.value.status == 400


class TestContent:
    @pytest.mark.parametrize("name", sorted(body()["parameters"]))
    def test_a_missing_parameter_is_named_with_its_meaning(self, name):
        [issue] = refusal(signed(lambda file: file["parameters"].pop(name)))
        assert rules([issue]) == ["incomplete"]
        assert f"`parameters.{name}`" in issue.diagnostics
        assert issue.diagnostics.endswith(").")

    @pytest.mark.parametrize("member", sorted(body().keys() - {"kind", "parameters"}))
    def test_a_missing_member_is_named(self, member):
        issues = refusal(signed(lambda file: file.pop(member)))
        assert rules(issues) == ["incomplete"]
        assert f"`{member}`" in issues[0].diagnostics

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda p: p["covariance"].pop(), "10 x 10"),
            (lambda p: p["covariance"][0].__setitem__(1, "5"), "symmetric"),
            (lambda p: p["covariance"][0].__setitem__(0, "-1"), "semi-definite"),
            (lambda p: p["covariance"][0].__setitem__(0, 1), "a number is text"),
            (lambda p: p["coefficients"][0].update(value="1e3"), "a number is text"),
            (lambda p: p["coefficients"][0].update(name="b"), "never used: b, planned-minor"),
            (lambda p: p["coefficients"][1].update(name="planned-minor"), "stands twice"),
            (lambda p: p["attributes"].pop(), "attributes must name each once"),
            (lambda p: p["attributes"][0].update(name="luck"), "none of the attributes"),
            (lambda p: p["attributes"][0].update(form="cubic"), "cubic"),
            (lambda p: p["attributes"][0].update(maximum="0"), "minimum below maximum"),
            (lambda p: p["attributes"][0].update(maximum="0.5"), "can be recorded"),
            (lambda p: p["attributes"][5]["levels"].reverse(), "do not ascend"),
            (lambda p: p["missing-data-rule"].pop(), "missing-data-rule must name each once"),
            (lambda p: p["missing-data-rule"][0].update(value="1"), "where one is assumed"),
            (
                lambda p: p["anchors"]["best"]["levels"].pop("survival"),
                "levels must name each once",
            ),
            (lambda p: p["coefficients"][-1].update(value="7"), "greater utility than palliation"),
            (lambda p: p["cut-points"]["traffic-light"].update(amber="0.8"), "below green"),
            (lambda p: p["survival-horizon"].update(unit="fortnights"), "unit"),
            (lambda p: p["coefficients"][0].update(value="-0.000000000001"), "64 bits"),
            (lambda p: p.update(luck=1), "luck"),
        ],
    )
    def test_what_contradicts_itself_is_refused(self, change, said):
        issues = refusal(signed(lambda file: change(file["parameters"])))
        assert set(rules(issues)) == {"inconsistent"}
        assert any(said in issue.diagnostics for issue in issues)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"valid-from": "2100-01-01"}, "before it begins"),
            ({"title": "Parameters"}, "fictitious"),
            ({"fictitious": "no"}, "`fictitious`"),
            ({"version": "1"}, "`version`"),
            ({"valid-from": "2020"}, "a day is text"),
        ],
    )
    def test_what_it_says_of_itself_is_checked(self, change, said):
        issues = refusal(signed(lambda file: file.update(change)))
        assert "inconsistent" in rules(issues)
        assert said in issues[0].diagnostics

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"score": "0.83"}, "expects score 83/100 in checks[1], but 21/25 is computed"),
            ({"utility": "4.5"}, "expects utility 9/2 in checks[1], but 22/5 is computed"),
            ({"good": False}, "expects good False in checks[1], but True is computed"),
            ({"light": "red"}, "expects light red in checks[1], but green is computed"),
        ],
    )
    def test_a_check_that_is_not_reproduced_is_refused(self, change, said):
        [issue] = refusal(signed(lambda file: file["checks"][1].update(change)))
        assert rules([issue]) == ["check-not-reproduced"]
        assert said in issue.diagnostics

    @pytest.mark.parametrize("text", [b"{", b"[]", b"\xff", b""])
    def test_a_file_that_is_no_json_object_refuses_every_measure_that_needs_one(self, text):
        assert rules(refusal(text, signed())) == ["unreadable"]
