"""A run of the Treatment Success Score: refused without parameters, and as alone with them."""

import asyncio
from pathlib import Path

import pyarrow.parquet
import pytest

from fhir_server.__main__ import main
from fhir_server.app import alone, clock
from fhir_server.commands.parameters import illustrate
from fhir_server.operations import outcomes_staged
from fhir_server.settings import Settings
from tests.functional.test_outcomes_as_of import stored
from tests.functional.test_outcomes_kept import changes
from tests.functional.test_outcomes_run import threads
from tests.outcome_engine.test_treatment_success_children import child
from tests.support.databases import new_database


@pytest.mark.slow
def test_a_score_is_computed_with_its_signed_parameters_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outcomes_staged, "processes", threads)
    where = new_database("sqlite", tmp_path / "store")
    monkeypatch.setenv("CSOR_DATABASE", where)
    hospital = {"resourceType": "Organization", "id": "hospital", "name": "Fictitious hospital"}

    async def filled(made) -> None:
        await changes(made, stored(hospital, *child("tie-at-the-cut")))

    asyncio.run(alone(Settings(database=where), filled))
    out = tmp_path / "scores.parquet"
    command = ["outcomes", "run", "treatment-success-score", "--out", str(out)]
    assert main(command) == 1
    assert "its parameter file `treatment-success-score.json` is absent" in capsys.readouterr().err
    folder, signatories = illustrate(tmp_path / "made-up", clock().date())
    monkeypatch.setenv("CSOR_PARAMETERS", str(folder))
    monkeypatch.setenv("CSOR_SIGNATORIES", str(signatories))
    assert main(command) == 0
    [row] = pyarrow.parquet.read_table(out).to_pylist()
    assert (row["child"], row["score"], row["class"]) == ("child", 600_000, "good")
