"""The tools of the audits, in a virtual environment of their own: their pins are not the server's."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".build" / "hardening"
LOCK = Path(__file__).parent / "requirements.lock"


def python() -> Path:
    """Return the Python of the tools, which are installed from their lock file where they are not yet."""
    found = FOLDER / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    stamp, digest = FOLDER / ".ready", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not (stamp.is_file() and stamp.read_text() == digest):
        venv.create(FOLDER, with_pip=True, clear=True)
        words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [str(found), *words, "--require-hashes", "-r", str(LOCK)]
        subprocess.run(command, check=True)
        stamp.write_text(digest)
    return found


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of the tools, as `run("bandit", "-h")`; what it says is returned."""
    command = [str(python()), "-m", *words]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
