"""The file of signatories: who may sign parameters, by which public key, from and until when."""

from datetime import date
from pathlib import Path

import pytest
from joserfc.jwk import RSAKey

from outcome_engine.parameter_files import signature
from outcome_engine.parameter_files.signature import Signatories, made_key
from r4.json import encode
from tests.outcome_engine.signing import KEY, SIGNATORIES


def file(folder: Path, *keys: dict) -> Path:
    place = folder / "signatories.json"
    place.write_bytes(encode({"keys": list(keys)}))
    return place


def entry(key=KEY, **change):
    dates = (date(2020, 1, 1), date(2030, 1, 1))
    return signature.entry(key, "A", "B", *dates) | change


def test_each_is_known_by_the_thumbprint_of_the_key_whatever_the_kid_says(tmp_path):
    known = Signatories.load(file(tmp_path, entry(kid="forged")))
    assert [each.id for each in known] == [KEY.thumbprint()]
    assert known.get("forged") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "name"),
        ({"valid-until": "2019-01-01"}, "valid-until is before"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "signs nothing here"),
        (KEY.as_dict(private=True), "private"),
        (made_key().as_dict(private=False) | {"crv": "P-256"}, "signatories"),
    ],
)
def test_a_faulty_entry_is_named(tmp_path, change, said):
    with pytest.raises(ValueError, match=rf"signatories\.json.*{said}|{said}"):
        Signatories.load(file(tmp_path, entry(**change)))


def test_one_key_has_one_signatory(tmp_path):
    with pytest.raises(ValueError, match="two signatories"):
        Signatories.load(file(tmp_path, entry(), entry(name="C")))


def test_a_weak_key_is_refused(tmp_path):
    weak = RSAKey.generate_key(2048)
    with pytest.raises(ValueError, match="3072"):
        Signatories.load(file(tmp_path, entry(weak)))


def test_without_a_file_nobody_may_sign():
    assert len(Signatories.load(None)) == 0
    assert len(SIGNATORIES) == 1
