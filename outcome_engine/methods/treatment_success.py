"""The Treatment Success Score's scale: the best outcome is 1, palliation is 0.

Allin et al., Arch Dis Child 2024;109:377-386, doi 10.1136/archdischild-2023-326156 (the anchors).
"""

from fractions import Fraction


def score(utility: Fraction, best: Fraction, palliation: Fraction) -> Fraction:
    """Rescale a utility: `1 + (V(x) - V(best)) / (V(best) - V(palliation))`, exactly.

    Raises ValueError unless the best outcome is preferred to palliation.
    """
    if best <= palliation:
        raise ValueError("the best outcome must have a greater utility than palliation")
    return 1 + (utility - best) / (best - palliation)
