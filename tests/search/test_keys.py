"""Keys: one hash for what is indexed and what is asked, as an integer and as a word of SQLite."""

import pytest

from fhir_server.store.search.keys import digest, key, text, texts

KEYS = [digest(f"value {number}") for number in range(200)]


def test_a_key_is_a_signed_64_bit_integer() -> None:
    assert min(KEYS) < 0 < max(KEYS)
    assert all(-(1 << 63) <= each < 1 << 63 for each in KEYS)
    assert len(set(KEYS)) == len(KEYS)


def test_a_key_tells_type_parameter_and_value_apart() -> None:
    assert len({key("A", "bc", "d"), key("Ab", "c", "d"), key("A", "b", "cd"), key("A", "b")}) == 4


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (0, "0000000000000000"),
        (255, "00000000000000ff"),
        (-1, "ffffffffffffffff"),
        (-(1 << 63), "8000000000000000"),
    ],
)
def test_a_word_is_a_key_in_hexadecimal_digits(number: int, word: str) -> None:
    assert text(number) == word


def test_the_words_of_keys_stand_apart() -> None:
    assert texts(KEYS).split(" ") == [text(each) for each in KEYS]
    assert texts([]) == ""
