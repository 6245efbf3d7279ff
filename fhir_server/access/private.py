"""Files that hold secrets: read by the server's account, and by nobody else on the machine."""

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def refuse_readable(file: Path) -> None:
    """Raise ValueError, which says what to do, where a secret can be read or written by other accounts.

    A file that is not there is for whoever reads it to tell; where there are no such modes, nothing is.
    """
    try:
        mode = file.stat().st_mode
    except OSError:
        return
    if os.name == "posix" and mode & _OTHERS:
        raise ValueError(
            f"{file} holds a secret, and other accounts may read or write it (mode "
            f"{stat.S_IMODE(mode):04o}): chmod 600 {file}"
        )
