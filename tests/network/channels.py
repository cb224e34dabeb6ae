"""Every channel and topic on which something leaves a hospital, and what. A new one means: find out what, decide."""

import re

from captured import ARRAYS, CONNECTION, RECEIPT, RESULT, Message
from captured_site import RecordedSite
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey

SMALL = 4096  # bytes of headers and payload, for everything but results

LEAVES = {
    # the connection itself
    (CONNECTION, "HELLO"),  # the site's name (with the job's id for a job's process), the time
    (CONNECTION, "READY"),  # the same: the answer to the site's own job process, on this machine
    ("cellnet.channel", "bye"),  # empty: a process ends
    # the site's parent process
    ("task", "challenge"),  # the site's name and a random number
    ("task", "register"),  # see test_what_a_site_tells_when_it_registers
    ("task", "heart_beat"),  # the ids of the jobs that run here; which start of the kit this is
    ("task", "report_job_failure"),  # a job's process has ended: job id and exit code, also where nothing failed
    ("admin", "reply_scheduler.check_resource"),  # whether the site has a place for the job
    ("admin", "reply"),  # that the job's configuration was taken, or in one sentence why not
    ("admin", "reply_train.start_job"),  # that its process is started
    ("admin", "reply_train.abort"),  # that it is ended
    # a job's process
    ("aux_communication", "__sync_runner__"),  # it is there: names of site and job
    ("aux_communication", "__job_heartbeat__"),  # the same, while it runs
    ("server_command", "get_task"),  # is there a task? names of site and job, id of the last task
    ("aux_communication", "__task_check__"),  # is the task still wanted? its id
    RESULT,  # the result of a task: what the kit's list names
    ("download_service__", "download_service__download"),  # asks for the arrays of the received model
    ARRAYS,  # the arrays of its own result
    RECEIPT,  # how many bytes have been received
}
SOMETIMES = {
    (CONNECTION, "PING"),  # nothing, on a connection that was idle for a minute
    (CONNECTION, "PONG"),  # the answer to that
    ("admin", "reply_train.abort"),  # only where a job ends before its process has
}
LARGE = {RESULT, ARRAYS}


def names(messages: list[Message]) -> set[tuple[str, str]]:
    """Channel and topic of each message."""
    return {(message.channel, message.topic) for message in messages}


def check_nothing_hidden(site: RecordedSite) -> None:
    """Headers and payloads are readable, small where they are no results, and go through these connections alone."""
    for message in site.messages:
        assert not message.headers.get(MessageHeaderKey.ENCRYPTED), message.topic
        assert len(message.raw) < SMALL or (message.channel, message.topic) in LARGE, message.topic
    # Which of its addresses this machine would use (a datagram socket, nothing is sent); a job's process to its parent.
    known = r"\('10\.255\.255\.255', 1\)|\('localhost', \d+\)"
    assert all(re.fullmatch(known, address) for address in site.addresses), site.addresses
