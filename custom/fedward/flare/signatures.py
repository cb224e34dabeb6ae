"""Who signed a job's folder: FLARE's own verification, and that it was a person."""

from pathlib import Path
from typing import NamedTuple

from nvflare.fuel.sec.authz import AuthorizationService, AuthzContext, Person
from nvflare.lighter.utils import verify_folder_signature_and_get_signers

from fedward.errors import UsageError
from fedward.kits.certificates import SITE_ROLES


class Signer(NamedTuple):
    """A person, as the certificate says."""

    name: str
    org: str
    role: str


def signers(folder: Path, root_ca: Path) -> set[Signer]:
    """The people who signed everything in `folder`; UsageError where a signature is missing, wrong or not a person's.

    FLARE takes the certificate of a hospital or server for a signer too; only people's certificates carry a person's
    role.
    """
    valid, found = verify_folder_signature_and_get_signers(str(folder), str(root_ca))
    if not valid or not found:
        raise UsageError(
            "the job's signature does not hold: a file was changed after signing, or the signer's certificate has "
            "expired or belongs to another network. Submit the folder again with your own kit"
        )
    for name, _, role in found:
        if not role or role in SITE_ROLES.values():
            raise UsageError(f"the job is signed by {name}, which is no person's kit: submit it with a user's kit")
    return {Signer(*values) for values in found}


def check_may_submit(signer: Signer, site: str) -> None:
    """UsageError where the site's own authorization.json forbids it to the person who signed.

    FLARE asks about the submitter whom the server names; a signature is the person's own.
    """
    person = Person(*signer)
    allowed, reason = AuthorizationService.authorize(AuthzContext(right="submit_job", user=person, submitter=person))
    if reason or not allowed:
        raise UsageError(
            f"{site} takes no jobs of {signer.name} ({signer.role} of {signer.org}): its authorization.json forbids it;"
            " leave it out, or ask its IT"
        )
