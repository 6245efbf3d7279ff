"""The NHS number's check digit (NHS Data Dictionary, modulus 11); Scotland's CHI number has the same."""

import re
from operator import mul

_TEN_DIGITS = re.compile(r"[0-9]{10}")
_WEIGHTS = range(10, 0, -1)
"""Of the digits, the check digit last. They sum to a multiple of 11, so that codes of characters, which
are 48 above their digits, do as well as digits; a check digit of 10 cannot be written, and none fits."""


def is_valid(number: str) -> bool:
    """Tell whether a text is ten digits, without spaces, of which the last is the right check digit."""
    if not _TEN_DIGITS.fullmatch(number):
        return False
    weighed: int = sum(map(mul, number.encode(), _WEIGHTS))
    return weighed % 11 == 0
