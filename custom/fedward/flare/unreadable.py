"""A message that the server's job process cannot read costs its sender the round, and not all hospitals the job."""

from nvflare.fuel.f3.cellnet import cell


def outlive_unreadable_messages() -> None:
    """Keep this job process alive where FLARE 2.9 would end it, and with it the job at all sites.

    FLARE does so where a site's result cannot be decoded: its arrays are fetched after the message, so a site that is
    killed as it sends, or sends what it likes, is enough. A message that is too large ends it too, one of the server's
    own as well. With this FLARE logs the error, and the round's deadline and quorum decide, as for any site that does
    not answer.
    """
    cell._is_server_job_cell = lambda my_info: False
