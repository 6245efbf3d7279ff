"""What a comparison of hospitals is done by: thresholds and methods as data, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of one comparison; CITATIONS says of each default whose it is.

    event says what a 1 means. tau2 is the variance between hospitals on the log-odds scale where an
    earlier period gives it; None has it estimated, for each hospital from the others.
    """

    event: Literal["good", "bad"] = "good"
    alert: float = 0.95
    alarm: float = 0.998
    hospitals: int = 3
    children: int = 8
    hospitals_for_overdispersion: int = 5
    tau2: float | None = None
    leave_one_out: bool = True
    odds_ratio: float = 2.0
    power: float = 0.8
    reliability: float = 0.7
    interval: float = 0.95
    imputations: int = 20
    seed: int = 1


POLICY = Policy()

CONVENTIONS = ("fingertips-proportion", "fingertips-ratio", "shmi", "cqc")
"""UKHSA's Fingertips (proportions; ratios by Poisson), NHS England's SHMI, the Care Quality Commission."""

CITATIONS: Mapping[str, str] = MappingProxyType(
    {
        "event": "The registry's measures count good outcomes as the numerator.",
        "alert": "Two standard deviations in either direction: HQIP, outlier policy for national clinical "
        "audits; as 95% limits, Spiegelhalter, Stat Med 2005;24:1185-1202.",
        "alarm": "Three standard deviations in either direction: HQIP, outlier policy; as 99.8% limits, "
        "Spiegelhalter, Stat Med 2005;24:1185-1202.",
        "hospitals": "Proposal for sign-off: each hospital's limits come from the others, and two at least "
        "are needed for a variance.",
        "children": "No percentage on fewer: disclosure rule of Hospital Episode Statistics, since "
        "September 2018.",
        "hospitals_for_overdispersion": "Of fewer groups a standard deviation is hardly estimated: Gelman, "
        "Bayesian Anal 2006;1:515-534.",
        "tau2": "Additive random effects: Spiegelhalter, Qual Saf Health Care 2005;14:347-351. Estimated "
        "without trimming: with it the limits are too narrow (docs/statistics.md).",
        "leave_one_out": "Proposal for sign-off: so that no hospital widens its own limits.",
        "odds_ratio": "A doubling of the odds: Steiner et al., Biostatistics 2000;1:441-452.",
        "power": "The usual convention for a study's power; a proposal for sign-off.",
        "reliability": "Adams, The reliability of provider profiling, RAND TR-653-NCQA, 2009.",
        "interval": "The usual convention.",
        "imputations": "White, Royston and Wood, Stat Med 2011;30:377-399: as many as per cent missing.",
        "seed": "Arbitrary: the same seed gives the same imputations.",
    }
)

CHILDREN_IN_CONTROL = 500
"""Of a CUSUM, the mean number of children until a false signal: a proposal for sign-off, an example of
R's package vlad.
"""
