"""Published counts that several tests reproduce published results from; facts, each with its source."""

import numpy as np

# UK baby heart surgery 1991-95, 12 hospitals: operations and deaths within 30 days (Spiegelhalter
# et al. for the Bristol Royal Infirmary Inquiry; The Art of Statistics, repository
# dspiegel29/ArtofStatistics, 02-5-child-heart-surgery-1991-x.csv).
HEART_1991 = {
    "Bristol": (143, 41),
    "Leicester": (187, 25),
    "Leeds": (323, 24),
    "Oxford": (122, 23),
    "Guys": (164, 25),
    "Liverpool": (405, 42),
    "Southampton": (239, 24),
    "Great Ormond St": (482, 53),
    "Newcastle": (195, 26),
    "Harefield": (177, 25),
    "Birmingham": (581, 58),
    "Brompton": (301, 31),
}

# BUGS examples volume 1, "Surgical: institutional ranking": operations and deaths of 12 hospitals.
SURGICAL_OPERATIONS = np.array([47, 148, 119, 810, 211, 196, 148, 215, 207, 97, 256, 360])
SURGICAL_DEATHS = np.array([0, 18, 8, 46, 8, 13, 9, 31, 14, 8, 29, 24])
