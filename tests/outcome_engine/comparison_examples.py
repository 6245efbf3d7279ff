"""Published counts that several tests of comparison look at.

Deaths within 30 days of open heart surgery under one year of age, England 1991 to 1995: Spiegelhalter
et al., J R Stat Soc A 2002;165:191-231 (Bristol Royal Infirmary Inquiry), as tabulated by Spiegelhalter,
The Art of Statistics, 2019, figure 2.5.
"""

HOSPITALS = {
    "Bristol": (41, 143),
    "Leicester": (25, 187),
    "Leeds": (24, 323),
    "Oxford": (23, 122),
    "Guys": (25, 164),
    "Liverpool": (42, 405),
    "Southampton": (24, 239),
    "Great Ormond St": (53, 482),
    "Newcastle": (26, 195),
    "Harefield": (25, 177),
    "Birmingham": (58, 581),
    "Brompton": (31, 301),
}
DEATHS = [deaths for deaths, _ in HOSPITALS.values()]
OPERATIONS = [operations for _, operations in HOSPITALS.values()]
RATE = 397 / 3319
EXPECTED = [operations * RATE for operations in OPERATIONS]
VARIANCE = [expected * (1 - RATE) for expected in EXPECTED]
