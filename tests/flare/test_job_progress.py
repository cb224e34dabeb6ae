"""What a running job answers when somebody asks for its statistics."""

import json
from types import SimpleNamespace

import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.fuel.flare_api.api_spec import JobNotFound, NoConnection
from nvflare.widgets.info_collector import GroupInfoCollector, InfoCollector

from fedward.errors import FedwardError, NoAnswer, NoSuchJob, UsageError
from fedward.flare.progress import MOST_RECORDS, RECORDS, asks_for_progress, tell_progress
from fedward.flare.session import ANSWER_SECONDS, Connection, connect, left_out, status, waiting_for


def record(number: int, **changes) -> dict:
    answers = {"hospital-01": {"loss": 0.5, "samples": 10}}
    received = {"cost": 0.7, "quality": 0.8}
    return {"kind": "training", "round": number, "answers": answers, "received": received, "weights": {}, **changes}


def asked(records: list[dict]) -> dict:
    context, collector = FLContext(), GroupInfoCollector()
    context.set_prop(InfoCollector.CTX_KEY_STATS_COLLECTOR, collector, private=True, sticky=False)
    tell_progress(None, records, context)
    return collector.info["fedward"]


def test_flares_job_monitor_gets_its_three_numbers():
    told = asked([record(1), record(2)])
    assert (told["current_round"], told["loss"], told["accuracy"]) == (2, 0.5, 0.8)
    assert told[RECORDS] == [record(1), record(2)]
    assert json.dumps(told)


def test_before_the_first_round_and_after_the_last():
    assert asked([])["current_round"] == 0
    assert asked([record(3, kind="validation", answers={}, received=None)])["loss"] is None


def test_an_answer_stays_small():
    told = asked([record(number) for number in range(1, MOST_RECORDS + 50)])
    assert len(told[RECORDS]) == MOST_RECORDS
    assert told[RECORDS][-1]["round"] == MOST_RECORDS + 49


def test_only_the_question_for_statistics_is_answered():
    assert asks_for_progress(InfoCollector.EVENT_TYPE_GET_STATS)
    assert not asks_for_progress("_start_run")
    tell_progress(None, [record(1)], FLContext())  # nobody collects: nothing happens


def test_records_are_found_where_flare_nests_them():
    stats = {"server": {"fedward": {RECORDS: [record(1)]}, "ClientRunner": {}}}
    connection = Connection(SimpleNamespace(show_stats=lambda job_id, target: stats))
    assert connection.records("job") == [record(1)]


def test_a_job_that_does_not_run_has_no_records():
    def not_running(job_id, target):
        raise RuntimeError("job is not running")

    assert Connection(SimpleNamespace(show_stats=not_running)).records("job") == []


def test_what_the_server_says_of_a_refusal_is_kept():
    def refuse(path):
        raise RuntimeError("The job is refused: 'app/custom/' brings code")

    with pytest.raises(FedwardError, match=r"did not take the job: .*brings code"):
        Connection(SimpleNamespace(submit_job=refuse)).submit(SimpleNamespace(resolve=lambda: "job"))


def test_words_about_a_job_that_waits_or_lost_sites():
    meta = {
        JobMetaKey.STATUS.value: "SUBMITTED",
        JobMetaKey.SCHEDULE_HISTORY.value: ["first", "2026-11-21 18:09:12: hospital-02 is busy"],
        JobMetaKey.JOB_DEPLOY_DETAIL.value: ["server: OK", "hospital-01: OK", "hospital-02: study is not approved"],
    }
    assert (status(meta), waiting_for(meta)) == ("SUBMITTED", "hospital-02 is busy")
    assert left_out(meta) == {"hospital-02": "study is not approved"}
    assert (status({}), waiting_for({}), left_out({})) == ("unknown", "", {})


def test_only_a_persons_kit_logs_in():
    with (
        pytest.raises(UsageError, match="the kit of hospital-01, a hospital: give the kit of a person"),
        connect(SimpleNamespace(role="hospital", root="KIT", name="hospital-01")),
    ):
        pass


def raises(error):
    def method(*_):
        raise error

    return SimpleNamespace(show_stats=method, get_job_meta=method)


def test_silence_of_the_server_is_told_from_a_job_that_it_does_not_know():
    silent = Connection(raises(NoConnection("cannot connect to server: timeout")))
    for question in (silent.meta, silent.records):
        with pytest.raises(NoAnswer, match=r"job 7: the server did not answer.*give the same command again"):
            question("7")
    with pytest.raises(NoSuchJob, match="job 7: no such job"):
        Connection(raises(JobNotFound("no such job"))).meta("7")


def test_a_connection_waits_longer_for_an_answer_than_flare_does(monkeypatch):
    """For statistics a server waits 5 s itself; so does FLARE's own side of a person, and gives up first."""
    waits = []
    made = SimpleNamespace(
        set_timeout=waits.append, unset_timeout=lambda: waits.append(None), close=lambda: waits.append("closed")
    )
    monkeypatch.setattr("fedward.flare.session.log_in", lambda *_: made)
    with connect(SimpleNamespace(role="admin", root="KIT", name="lead")):
        assert waits == [ANSWER_SECONDS]
    assert waits == [ANSWER_SECONDS, None, "closed"]
