import pytest
from fake_federation import SITES

from fedward.preprocessing.settings import PreprocessingSettings
from fedward.rounds.run_folder import RunFolder
from fedward.settings import AggregationSettings, RunSettings


@pytest.fixture
def settings() -> RunSettings:
    return RunSettings(
        name="run",
        sites=SITES,
        rounds=3,
        round_deadline=60.0,
        preprocessing=PreprocessingSettings(bias_field="none", image_size=32),
        aggregation=AggregationSettings(scheme="dcew"),
    )


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")
