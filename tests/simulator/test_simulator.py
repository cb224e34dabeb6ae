"""Whole runs through the FLARE simulator: three hospitals, three rounds, a network of a few hundred weights."""

import json
import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from simulated_job import FIVE

from fedward.flare.recipe import export_job
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.settings import run_settings_from_dict
from fedward.simulation import find_sites

pytestmark = [pytest.mark.simulator, pytest.mark.timeout(400)]

FEDWARD = [sys.executable, "-m", "fedward"]
NVFLARE = [sys.executable, "-m", "nvflare.cli", "simulator"]


def same_bits(one: dict, other: dict) -> bool:
    return sorted(one) == sorted(other) and all(np.array_equal(one[key], other[key]) for key in one)


def without_times(records: list[dict]) -> list[dict]:
    """Records without what depends on when something happened."""
    kept = []
    for record in records:
        record = {k: v for k, v in record.items() if k not in ("started", "ended", "seconds")}
        timed = ("arrived", "train_seconds", "bytes")
        record["answers"] = {
            site: {k: v for k, v in answer.items() if k not in timed} for site, answer in record["answers"].items()
        }
        kept.append(record)
    return kept


def test_simulator_and_plain_loop_end_in_the_same_bits(undisturbed, sites, place):
    assert undisturbed.done.code == 0, undisturbed.done.output
    done = place.start(sites, *FIVE, "--env", "loop").wait()
    assert done.code == 0, done.output
    assert same_bits(undisturbed.model, place.model)
    assert without_times(undisturbed.records) == without_times(place.records)
    assert [record["kind"] for record in place.records] == ["training"] * 5 + ["validation"]
    assert len({tuple(record["weights"].values()) for record in place.records[:5]}) > 1  # they are no constant
    assert undisturbed.state["best_round"] == place.state["best_round"]


def test_the_command_shows_each_round_and_where_the_report_is(undisturbed):
    lines = undisturbed.done.output.splitlines()
    rounds = [f"round {number}/5" for number in range(1, 6)]
    assert [line.split("  ")[0] for line in lines[2:8]] == [*rounds, "round final"]
    assert lines[8] == f"Report: {undisturbed.run.report}"
    assert undisturbed.run.report.is_file()


def test_nothing_is_written_outside_run_folder_and_cache(undisturbed, sites):
    for name, folder in undisturbed.empty.items():
        assert list(folder.rglob("*")) == [], name
    assert sorted(p.name for p in undisturbed.run.root.parent.iterdir()) == ["run"]
    allowed = {"cache", "partition.json", "partition.png", *find_sites(sites)}
    assert {p.name for p in sites.iterdir()} == allowed
    for site in find_sites(sites):
        files = [p for p in (sites / site).rglob("*") if p.is_file()]
        assert all(p.suffix == ".tif" or p.name == "split.json" for p in files)
    kept = {p.name for p in undisturbed.run.root.iterdir()} - {"tensorboard"}
    files = {"run.json", "settings.json", "partition.json", "rounds.jsonl", "report.html"}
    assert kept == files | {"models", "state", "simulator"}
    assert sorted(p.name for p in (undisturbed.run.root / "simulator").iterdir()) == ["job", "log.txt"]


def test_tensorboard_events(undisturbed):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    files = list((undisturbed.run.root / "tensorboard").rglob("events.out.tfevents*"))
    assert len(files) == 1
    events = EventAccumulator(str(files[0].parent))
    events.Reload()
    weights = [(event.step, event.value) for event in events.Scalars("weight/hospital-01")]
    expected = [(record["round"], record["weights"]["hospital-01"]) for record in undisturbed.records[:5]]
    assert weights == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]
    assert {"global/cost", "global/quality", "loss/hospital-03"} <= set(events.Tags()["scalars"])


def test_a_killed_site_ends_a_run_that_needs_it(sites, place):
    running = place.start(sites, "--rounds", "40")
    running.until_round(1)
    running.site("hospital-02").send_signal(signal.SIGKILL)
    running.wait()
    assert running.code == 1
    assert re.search("hospital-02: (its connection was lost|not connected)", running.output)  # in its round, or between
    assert "only 2 of at least 3 sites" in running.output
    assert "Traceback" not in running.output
    assert place.state["state"] == "failed"
    assert "hospital-02" in place.state["error"]["message"]
    assert place.state["rounds_done"] == len(place.records) >= 1
    assert running.alive() == []


def test_with_min_sites_a_run_goes_on_without_a_killed_site(sites, place):
    """Killed before its first answer; nobody waits for it, in no round (the deadline is 120 s)."""
    running = place.start(sites, "--min-sites", "2")
    running.site("hospital-02").send_signal(signal.SIGKILL)
    running.wait()
    assert running.code == 0, running.output
    assert "without hospital-02" in running.output
    for record in place.records:
        assert list(record["missing"]) == ["hospital-02"]
        assert sorted(record["answers"]) == ["hospital-01", "hospital-03"]
        assert record["seconds"] < 100
    assert place.state["state"] == "finished"


def test_a_sites_own_error_is_on_the_screen(sites, place):
    """Its data folder disappears after the check and before the site has read it."""
    own = place.root / "sites"
    shutil.copytree(sites, own)
    running = place.start(own)
    running.until((place.run.root / "simulator" / "log.txt").is_file)
    (own / "hospital-02").rename(own / "moved")
    running.wait()
    assert running.code == 1
    assert "hospital-02: data set 'lgg'" in running.output
    assert "which is no folder" in running.output
    assert "Traceback" not in running.output
    assert place.state["state"] == "failed"


def test_an_unreadable_image_ends_the_command_before_anything_starts(sites, place):
    own = place.root / "sites"
    shutil.copytree(sites, own)
    broken = next(p for p in sorted((own / "hospital-02").rglob("*.tif")) if not p.name.endswith("_mask.tif"))
    broken.write_bytes(broken.read_bytes()[:100])
    done = place.start(own).wait()
    assert done.code == 1
    assert broken.name in done.output
    assert "Traceback" not in done.output
    assert not place.run.run.exists()


def test_fewer_simulated_sites_than_the_job_asks(sites, place):
    """`nvflare simulator` with two of three sites: an error that names the third, and no waiting."""
    settings = run_settings_from_dict(tiny_job_settings(sites, place))
    job = export_job(settings, place.root / "jobs")
    workspace = place.root / "ws"
    made = place.command(*FEDWARD, "simulator-workspace", str(workspace), "--sites", str(sites)).wait()
    assert made.code == 0, made.output
    names = ",".join(find_sites(sites)[:2])
    running = place.command(*NVFLARE, str(job), "-w", str(workspace), "-c", names, "-t", "2").wait()
    assert "hospital-03: not connected" in running.output
    assert running.code not in (0, None)
    state = read_json(RunFolder(place.root / "ws-runs" / settings.name).run)
    assert state["state"] == "failed"
    assert "hospital-03: not connected" in state["error"]["message"]


def tiny_job_settings(sites: Path, place) -> dict:
    """The settings that `place.start` would use."""
    from simulated_job import JOBS, TINY

    command = [sys.executable, str(JOBS / "job.py"), *TINY, "--sites", str(sites), "--name", "run", "--export"]
    done = place.command(*command, "--export-dir", str(place.root / "export")).wait()
    assert done.code == 0, done.output
    config = place.root / "export" / "run" / "app" / "config" / "config_fed_client.json"
    values: dict = json.loads(config.read_text())["executors"][0]["executor"]["args"]["settings"]
    return values


def test_interrupted_twice_and_continued_ends_in_the_same_bits(undisturbed, sites, place):
    """SIGTERM after the first round, Ctrl-C after the second, then to the end."""
    for rounds, number in ((1, signal.SIGTERM), (2, signal.SIGINT)):
        running = place.start(sites, *FIVE).until_round(rounds)
        running.process.send_signal(number)
        running.wait()
        assert running.code == 130
        assert "Interrupted" in running.output
        assert "Traceback" not in running.output
        assert running.alive() == []
        assert place.state["state"] == "interrupted"
        # a record whose round's state was not yet written is dropped when the run goes on
        assert place.state["rounds_done"] in (len(place.records), len(place.records) - 1)
    done = place.start(sites, *FIVE).wait()
    assert done.code == 0, done.output
    assert same_bits(undisturbed.model, place.model)
    assert without_times(undisturbed.records) == without_times(place.records)


def test_the_simulator_ends_with_a_caller_that_was_killed(sites, place):
    running = place.start(sites, "--rounds", "40").until_round(1)
    running.process.kill()
    running.wait()
    assert running.alive() == []


def test_a_path_with_spaces(sites, place):
    """FLARE joins command lines without quoting; no site would ever start."""
    place.run = RunFolder(place.root / "my runs # 1" / "run")
    done = place.start(sites, "--rounds", "1").wait()
    assert done.code == 0, done.output


@pytest.mark.parametrize("name", ["my workspace", "it's"])
def test_a_workspace_that_nvflare_cannot_use_is_refused(sites, place, name):
    done = place.command(*FEDWARD, "simulator-workspace", str(place.root / name), "--sites", str(sites)).wait()
    assert done.code == 2
    assert "space" in done.output
    assert not (place.root / name).exists()


def test_other_settings_are_refused_before_anything_starts(sites, place):
    write_interrupted_run(place, tiny_job_settings(sites, place))
    before = place.run.run.read_bytes()
    done = place.start(sites, "--seed", "2").wait()
    assert done.code == 2
    assert "seed: 1 before, 2 now" in done.output
    assert place.run.run.read_bytes() == before


def write_interrupted_run(place, settings: dict) -> None:
    """What a run leaves that was interrupted before its first round ended."""
    from fedward.networks.initial import first_parameters
    from fedward.rounds.aggregation import Aggregation
    from fedward.rounds.federation import Federation
    from fedward.rounds.spool import Spool
    from fedward.site_config import SiteConfig

    run = run_settings_from_dict(settings)
    federation = Federation(
        run,
        place.run,
        Aggregation(run.aggregation, Spool(place.run.spool)),
        lambda: first_parameters(run, SiteConfig("this test")),
        {},
    )
    federation.stop("interrupted", "interrupted by the user")


def test_a_folder_of_something_else_is_refused(sites, place):
    write_json(place.run.run, {"state": "failed"})
    done = place.start(sites).wait()
    assert done.code == 1
    assert "holds another run" in done.output
    assert read_json(place.run.run) == {"state": "failed"}


def test_two_commands_do_not_share_a_run_folder(sites, place):
    running = place.start(sites, "--rounds", "40")
    running.until(place.run.root.is_dir)
    second = place.start(sites, "--rounds", "40").wait()
    assert second.code == 2
    assert "another command works on" in second.output
    running.process.send_signal(signal.SIGINT)
    assert running.wait().code == 130
