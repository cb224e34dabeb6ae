"""fedward.yml: the only place where a data set's name meets a folder."""

from pathlib import Path

import pytest

from fedward.errors import FedwardError, UsageError
from fedward.site_config import RegisteredWeights, SiteConfig, read_site_config

GOOD = """
data_sets:
  lgg: {root}/{{site}}
cache: {root}/cache
threads: 2
device: cpu
runs: {root}/runs
validation:
  lgg: {root}/server
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "fedward.yml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_each_site_reads_its_own_name(write, tmp_path):
    path = write(GOOD.format(root=tmp_path))
    (tmp_path / "hospital-01").mkdir()
    config = read_site_config(path, "hospital-01")
    assert config.data_folder("lgg") == tmp_path / "hospital-01"
    assert (config.threads, config.device) == (2, "cpu")
    assert (config.cache_folder(), config.runs_folder()) == (tmp_path / "cache", tmp_path / "runs")
    assert config.validation == {"lgg": tmp_path / "server"}
    with pytest.raises(FedwardError, match="hospital-02, which is no folder"):
        read_site_config(path, "hospital-02").data_folder("lgg")


def test_what_is_missing_is_named_when_it_is_needed(write):
    config = read_site_config(write("threads: 0"), "a")
    for use, advice in (
        (lambda: config.data_folder("lgg"), "add 'data_sets: {lgg: FOLDER}'"),
        (config.cache_folder, "add 'cache: FOLDER'"),
        (config.runs_folder, "add 'runs: FOLDER'"),
    ):
        with pytest.raises(FedwardError, match=r"fedward\.yml") as caught:
            use()
        assert advice in str(caught.value)
    assert config == SiteConfig(source=config.source, threads=0)


def test_no_file(tmp_path):
    with pytest.raises(FedwardError, match="fedward simulator-workspace"):
        read_site_config(tmp_path / "fedward.yml", "a")
    (tmp_path / "network.json").write_text("{}")  # as in a kit
    with pytest.raises(FedwardError, match="take it from the kit again") as caught:
        read_site_config(tmp_path / "fedward.yml", "a")
    assert "simulat" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold settings"),
        ("- a", "must hold settings"),
        ("just text", "must hold settings"),
        ("data_sets: [", "not valid YAML"),
        (b"\xff\xfe\xff", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("data_set: {}", "unknown settings data_set; known are cache"),
        ("1: a\nb: c", "unknown settings 1, b"),
        ("data_sets: [lgg]", "data_sets must map data set names to folders"),
        ("data_sets: {lgg: 7}", "data_sets must map"),
        ("data_sets: {lgg: relative/folder}", "data_sets.lgg must be an absolute path"),
        ("data_sets: {lgg: ''}", "data_sets.lgg must be a path"),
        ("cache: cache", "cache must be an absolute path"),
        ("cache:", "cache must be a path"),
        ("runs: [a]", "runs must be a path"),
        ("validation: text", "validation must map"),
        ("threads: -1", "threads must be a whole number"),
        ("threads: two", "threads must be a whole number"),
        ("threads: 257", "threads must be 256 at most, not 257"),
        ("min_patients: 10\nthreads: 1\nmin_patients: 1", r"min_patients stands twice \(again in line 3\)"),
        ("data_sets: {lgg: /a, lgg: /b}", "lgg stands twice"),
        ("threads: true", "threads must be a whole number"),
        ("device: 0", "device must be auto, cpu or cuda"),
        ("min_patients: -1", "min_patients must be a whole number of at least 0"),
        ("jobs_at_once: 0", "jobs_at_once must be a whole number of at least 1"),
        ("studies: brain", "studies must be a list"),
        ("studies: [7]", "studies must be a list"),
        ("weights: [a]", "weights must map names"),
        ("weights: {a: /w}", "weights.a must give 'file' and 'sha256'"),
        ("weights: {a: {file: /w, sha256: 12}}", "weights.a: sha256 must be 64"),
        ("weights: {a: {file: w, sha256: '" + "0" * 64 + "'}}", "weights.a.file must be an absolute path"),
    ],
)
def test_files_that_cannot_be_used(write, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_site_config(write(text), "a")
    assert "fedward.yml" in str(caught.value)


def test_what_a_hospital_asks_for(write):
    config = read_site_config(write("studies: [brain]\nmin_patients: 20\njobs_at_once: 2\ncache: '{kit}/cache'"), "a")
    assert (config.studies, config.min_patients, config.jobs_at_once) == (("brain",), 20, 2)
    assert config.cache == Path(config.source).parent.parent / "cache"


def test_registered_starting_weights(write):
    text = "weights: {brain-v1: {file: /w.safetensors, sha256: '" + "0" * 64 + "'}}"
    config = read_site_config(write(text), "server")
    assert config.registered_weights("brain-v1") == RegisteredWeights(Path("/w.safetensors"), "0" * 64)
    with pytest.raises(FedwardError, match=r"'other' are not registered in .*known: random, brain-v1"):
        config.registered_weights("other")
