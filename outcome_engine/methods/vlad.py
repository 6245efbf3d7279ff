"""The variable life-adjusted display: events expected less events observed, child after child.

Lovegrove J, Valencia O, Treasure T, Sherlaw-Johnson C, Gallivan S. Lancet 1997;350:1128-1130. It
shows; it has no limits of its own: alarms come from the CUSUM.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def vlad(events: npt.ArrayLike, risks: npt.ArrayLike) -> Floats:
    """Return the running sum of risk - event in the order of the operations.

    events are 0 or 1 with 1 the bad outcome; the line rises where fewer were bad than expected.
    """
    line: Floats = np.cumsum(np.asarray(risks, float) - np.asarray(events, float))
    return line
