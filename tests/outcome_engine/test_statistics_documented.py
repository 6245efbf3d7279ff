"""The commands that docs/statistics.md shows are commands, with the options that they have."""

import re
import shlex
from pathlib import Path

import pytest

from fhir_server.__main__ import parser

SHOWN = re.findall(
    r"^python -m fhir_server (.+)$",
    Path("docs/statistics.md").read_text(encoding="utf-8").replace("\\\n", ""),
    re.MULTILINE,
)


def test_every_action_of_case_mix_is_shown() -> None:
    actions = {shlex.split(each)[1] for each in SHOWN if each.startswith("case-mix ")}
    assert actions == {"fit", "show", "compare", "monitor", "compare-scores"}


@pytest.mark.parametrize("shown", SHOWN)
def test_what_is_shown_is_taken_by_the_command_line(shown: str) -> None:
    assert callable(parser().parse_args(shlex.split(shown)).run)
