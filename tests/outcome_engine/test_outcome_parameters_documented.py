"""docs/parameters.md names every refusal and every parameter, in the code's own words."""

from pathlib import Path

import pytest

from outcome_engine.parameter_files.parameter_file import REFUSALS
from outcome_engine.parameter_files.treatment_success_form import ATTRIBUTES, Parameters

TEXT = (Path(__file__).parents[2] / "docs" / "parameters.md").read_text()


def test_the_table_of_refusals_is_that_of_the_code():
    table = TEXT.partition("| the file is refused because |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert {name.strip("`"): meaning for name, meaning in rows} == dict(REFUSALS)


@pytest.mark.parametrize("name", [*Parameters.model_fields, *ATTRIBUTES])
def test_each_parameter_and_attribute_is_explained(name):
    assert f"`{name.replace('_', '-')}`" in TEXT
