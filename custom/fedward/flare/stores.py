"""Where a server keeps submitted jobs and snapshots: in its kit's folder, never under /tmp, wherever the kit lies.

FLARE wants absolute paths in resources.json, which provisioning cannot know. Its server processes change into the
kit's folder before they build components, so a path relative to it is made absolute here. The arguments have FLARE's
names: `nvflare poc` and `nvflare deploy` put absolute paths into them.
"""

import tempfile
from pathlib import Path

from nvflare.apis.impl.job_def_manager import SimpleJobDefManager
from nvflare.app_common.storages.filesystem_storage import FilesystemStorage

from fedward.errors import FedwardError


def kit_folder(folder: str) -> str:
    """`folder` of the running kit, made where it is missing; FedwardError where it cannot be made or written.

    Without it FLARE's job runner would die without a word; built here, the server does not start.
    """
    path = Path.cwd() / folder
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise FedwardError(
            f"the server's store {path} cannot be written ({error.strerror}): make the folder writable for the account "
            "that runs the server"
        ) from error
    return str(path)


class KitJobManager(SimpleJobDefManager):
    """FLARE's job manager with its jobs in `uri_root`, a folder of the kit."""

    def __init__(self, uri_root: str, job_store_id: str = "job_store"):
        super().__init__(uri_root=kit_folder(uri_root), job_store_id=job_store_id)


class KitStorage(FilesystemStorage):
    """FLARE's file storage in `root_dir`, a folder of the kit."""

    def __init__(self, root_dir: str, uri_root: str = "/"):
        super().__init__(root_dir=kit_folder(root_dir), uri_root=uri_root)
