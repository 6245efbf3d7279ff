"""A fuzzer that is guided by coverage finds nothing that reading, validating or writing fails at."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris is made for Linux on x86-64 alone"
)
def test_whatever_it_finds_is_done_or_refused(tmp_path: Path) -> None:
    ran = subprocess.run(
        # No limit of memory: the peak that Linux tells of a new process is that of the one it came from.
        [sys.executable, "-m", "tests.support.guided", "-runs=20000", "-len_control=0",
         "-max_len=2048", "-rss_limit_mb=0", f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    branches = re.search(r"DONE\s+cov: (\d+)", ran.stderr)
    assert branches is not None
    assert int(branches[1]) > 2000, "it has seen nothing of the validator"
