"""Who signed a job's folder: FLARE's own verification, and that it was a person."""

from pathlib import Path

from nvflare.lighter.utils import verify_folder_signature_and_get_signers

from fedward.errors import UsageError


def signers(folder: Path, root_ca: Path) -> set[str]:
    """The users who signed everything in `folder`; UsageError where a signature is missing, wrong or not a person's.

    FLARE takes the certificate of a hospital or server for a signer too; only people's certificates carry a role.
    """
    valid, found = verify_folder_signature_and_get_signers(str(folder), str(root_ca))
    if not valid or not found:
        raise UsageError(
            "the job's signature does not hold: a file was changed after signing, or the signer's certificate has "
            "expired or belongs to another network. Submit the folder again with your own kit"
        )
    for name, _, role in found:
        if not role:
            raise UsageError(f"the job is signed by {name}, which is no person's kit: submit it with a user's kit")
    return {name for name, _, _ in found}
