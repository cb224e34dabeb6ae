"""What breaks while a network runs: processes that are killed, kits started twice, a server that restarts, queues."""

import time

import pytest
from small_network import SERVER, SITES, SmallNetwork, ended, status_of, until

ONE, TWO, THREE = SITES
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    net = SmallNetwork(tmp_path_factory.mktemp("small"))
    try:
        net.start_server()
        net.start_sites(*SITES)
        yield net
    finally:
        net.stop()


def everyone_answered(net, name):
    return all(sorted(record["answers"]) == list(SITES) for record in net.records(name))


def test_a_site_whose_registration_was_not_answered_registers_again(net):
    assert "no answer to the registration: attempt 2 of 5" in net.out(THREE)
    with net.session() as session:
        job_id = session.submit_job(str(net.job("answered", seconds=0.5)))
        assert ended(session, job_id) == "FINISHED:COMPLETED"
    assert everyone_answered(net, "answered")


def test_a_killed_job_process_and_a_killed_client_come_back_into_the_running_job(net):
    with net.session() as session:
        job_id = session.submit_job(str(net.job("returns", seconds=1.5, rounds=4)))
        net.round_done("returns", 1)
        net.job_processes(ONE)[0].kill()
        net.round_done("returns", 2)
        net.kill(TWO)
        net.start_sites(TWO)
        assert ended(session, job_id) == "FINISHED:COMPLETED"
    assert everyone_answered(net, "returns")
    assert "its process was ended by signal 9; it is started again" in net.out(ONE)
    assert f"was started again at {TWO}" in net.out(SERVER)


def test_a_site_whose_process_is_lost_for_good_is_left_out(net):
    with net.session() as session:
        job_id = session.submit_job(str(net.job("lost", seconds=1.5, rounds=3, gone_after=15.0, min_sites=2)))
        net.round_done("lost", 1)
        for _ in range(2):
            process = until(lambda: net.job_processes(ONE), 20, "a job process")[0]
            process.kill()
            until(lambda p=process: p not in net.job_processes(ONE), 20, "its end and its removal")
        assert ended(session, job_id) == "FINISHED:COMPLETED"
    last = net.records("lost")[-1]
    assert sorted(last["answers"]) == [TWO, THREE]
    assert ONE in last["missing"]


def test_the_same_kit_started_twice_is_refused_and_the_job_goes_on(net):
    with net.session() as session:
        job_id = session.submit_job(str(net.job("twice", seconds=2.0, rounds=6)))
        net.round_done("twice", 1)
        assert net.start(TWO).wait(60) != 0
        assert "is running already (process" in net.out(TWO)
        assert net.start(TWO, net.copy_of(TWO)).wait(60) != 0
        assert f"registration rejected: {TWO} is connected already, from" in net.out(f"copy-of-{TWO}")
        assert ended(session, job_id) == "FINISHED:COMPLETED"
    assert everyone_answered(net, "twice")


def test_jobs_queue_and_say_what_they_wait_for(net):
    with net.session() as session:
        first = session.submit_job(str(net.job("first", seconds=5.0, rounds=3, sites=(ONE, TWO))))
        until(lambda: status_of(session, first) == "RUNNING", 60, "the first job")
        second = session.submit_job(str(net.job("second", seconds=0.5, min_sites=1)))
        reason = f"waits for busy sites: {ONE} (runs 1 job, its most at once); {TWO} (runs 1 job, its most at once)"
        until(lambda: reason in str(session.get_job_meta(second)), 30, "the reason")
        third = session.submit_job(str(net.job("third", seconds=0.5, sites=(THREE,))))
        until(lambda: f"waits behind job {second}" in str(session.get_job_meta(third)), 30, "the queue")
        never = session.submit_job(str(net.job("never", seconds=0.5, sites=(ONE, "hospital-99"), min_sites=1)))
        assert ended(session, never) == "FINISHED:CAN_NOT_SCHEDULE"
        assert "the network has no site hospital-99" in str(session.get_job_meta(never)["schedule_history"])
        assert {ended(session, job_id) for job_id in (first, second, third)} == {"FINISHED:COMPLETED"}
    assert everyone_answered(net, "second")  # though one site would have been enough


@pytest.mark.parametrize("name", ["aborted", "aborted-as-it-starts"])
def test_an_aborted_job_is_not_started_again(net, name):
    with net.session() as session:
        job_id = session.submit_job(str(net.job(name, seconds=30.0)))
        until(lambda: status_of(session, job_id) != "SUBMITTED", 60, "the job's deployment")
        if name == "aborted":
            until(lambda: all(net.job_processes(site) for site in SITES), 60, "the job processes")
        session.abort_job(job_id)
        assert ended(session, job_id) == "FINISHED:ABORTED"
        time.sleep(5)  # in which a start that went on would have come to its end
        until(lambda: not any(net.job_processes(site) for site in SITES), 60, "their end")
        assert status_of(session, job_id) == "FINISHED:ABORTED"
    assert net.records(name) == []


def test_a_restarted_server_closes_its_old_job_and_the_same_job_goes_on(net):
    with net.session() as session:
        job_id = session.submit_job(str(net.job("restart", seconds=1.0, rounds=4)))
        net.round_done("restart", 2)
    net.kill(SERVER)
    net.start_server()
    done = len(net.records("restart"))
    with net.session() as session:
        assert status_of(session, job_id) == "FINISHED:ABNORMAL"
        again = session.submit_job(str(net.root / "jobs" / "restart"))
        assert ended(session, again) == "FINISHED:COMPLETED"
    records = net.records("restart")
    assert done >= 2
    assert [record["round"] for record in records] == [1, 2, 3, 4, 4]
    assert everyone_answered(net, "restart")


def test_a_job_goes_without_a_site_that_is_not_there_and_says_so(net):
    net.kill(THREE)
    with net.session() as session:
        job_id = session.submit_job(str(net.job("without", seconds=0.5, min_sites=2)))
        assert ended(session, job_id) == "FINISHED:COMPLETED"
        assert f"scheduled without {THREE}" in session.get_job_meta(job_id)["schedule_history"][-1]
    net.start_sites(THREE)
