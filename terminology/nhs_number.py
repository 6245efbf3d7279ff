"""The NHS number's check digit (NHS Data Dictionary, modulus 11); Scotland's CHI number has the same."""

import re

_TEN_DIGITS = re.compile(r"[0-9]{10}")
_IMPOSSIBLE = 10


def is_valid(number: str) -> bool:
    """Tell whether a text is ten digits, without spaces, of which the last is the right check digit."""
    if not _TEN_DIGITS.fullmatch(number):
        return False
    digits = [int(character) for character in number]
    check = 11 - sum(digit * (10 - place) for place, digit in enumerate(digits[:9])) % 11
    return check != _IMPOSSIBLE and check % 11 == digits[9]
