"""The NHS number's check digit (NHS Data Dictionary, modulus 11); Scotland's CHI number has the same."""

import re

_TEN_DIGITS = re.compile(r"^\d{10}$")


def is_valid(number: str) -> bool:
    """Tell whether ten digits (no spaces) carry the right check digit."""
    if not _TEN_DIGITS.match(number):
        return False
    digits = [int(character) for character in number]
    check = 11 - sum(digit * (10 - place) for place, digit in enumerate(digits[:9])) % 11
    return check != 10 and check % 11 == digits[9]
