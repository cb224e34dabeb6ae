"""The archive of an uploaded job, read without extracting it: exactly the files of a job, all small, nothing else."""

import io
import stat
import zipfile
import zlib
from pathlib import PurePosixPath

from fedward.errors import UsageError
from fedward.rounds.run_folder import check_name

MAX_ARCHIVE = 1_000_000  # bytes; a job has some 20 kB
MAX_FILE = 200_000
MAX_ENTRIES = 20

APP = "app"
SIGNATURE_FILES = (".__nvfl_sig.json", ".__nvfl_submitter.crt")  # FLARE puts both into every folder that it signs
SERVER_CONFIG, CLIENT_CONFIG = "config/config_fed_server.json", "config/config_fed_client.json"
APP_FOLDERS = ("", "config/")
APP_FILES = frozenset((SERVER_CONFIG, CLIENT_CONFIG, *(d + name for d in APP_FOLDERS for name in SIGNATURE_FILES)))
META = "meta.json"
JOB_FILES = frozenset((META, *SIGNATURE_FILES, *(f"{APP}/{name}" for name in APP_FILES)))
JOB_FOLDERS = frozenset((f"{APP}/", f"{APP}/config/"))
NEEDED = (META, f"{APP}/{SERVER_CONFIG}", f"{APP}/{CLIENT_CONFIG}")
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # encrypted, or packed in a way that zipfile does not know
    IndexError,
    KeyError,
)


def check_archive_size(size: int) -> None:
    """UsageError where an archive of `size` bytes is no job."""
    if size > MAX_ARCHIVE:
        raise UsageError(f"the job's archive is larger than {MAX_ARCHIVE:,} bytes: a job is configuration alone")


def read_archive(data: bytes) -> dict[str, bytes]:
    """The job's files by their path below the job folder; UsageError names the entry that does not belong there."""
    check_archive_size(len(data))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read(archive)
    except DAMAGED as error:
        raise UsageError(f"the job's archive is damaged or no zip file ({type(error).__name__})") from error


def _read(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise UsageError(f"the job's archive has {len(entries)} entries: a job has at most {MAX_ENTRIES}")
    files: dict[str, bytes] = {}
    seen: set[str] = set()
    jobs: set[str] = set()
    for entry in entries:
        name = entry.orig_filename  # zipfile cuts `filename` at a zero byte
        if name in seen:
            raise UsageError(f"{shown(name)} is in the archive twice")
        seen.add(name)
        job, path = _inside_job(name)
        jobs.add(check_name("job folder", job))
        _check_kind(entry)
        if path in JOB_FOLDERS or not path:
            continue
        if path not in JOB_FILES:
            raise UsageError(_stranger(path))
        files[path] = _content(archive, entry)
    if len(jobs) > 1:
        raise UsageError(f"the archive holds more than one folder ({', '.join(sorted(jobs))}): submit one job")
    for path in NEEDED:
        if path not in files:
            raise UsageError(f"the job has no {path}: export it again")
    return files


def _inside_job(name: str) -> tuple[str, str]:
    """Job folder and the path below it; UsageError for a name that could lead elsewhere."""
    if name.startswith("/") or name[1:2] == ":":
        raise UsageError(f"{shown(name)} is an absolute path: a job's files lie in its folder")
    if ".." in name.split("/"):
        raise UsageError(f"{shown(name)} leads out of the job's folder ('..')")
    if "\\" in name or not name.isascii() or not name.isprintable():
        raise UsageError(f"{shown(name)} has characters that no file of a job has")
    job, slash, path = name.partition("/")
    if not slash:
        raise UsageError(f"{shown(name)} lies outside the job's folder")
    return job, path


def _check_kind(entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise UsageError(f"{shown(entry.orig_filename)} is a link: a job holds plain files alone")
    folder = entry.orig_filename.endswith("/")
    if kind not in (0, stat.S_IFDIR if folder else stat.S_IFREG) or (folder and entry.file_size):
        raise UsageError(f"{shown(entry.orig_filename)} is no plain file or folder")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of one entry. The declared size may be a lie, so the reading is limited as well."""
    data = b""
    if entry.file_size <= MAX_FILE:
        with archive.open(entry) as file:
            data = file.read(MAX_FILE + 1)
    if entry.file_size > MAX_FILE or len(data) > MAX_FILE:
        raise UsageError(f"{shown(entry.orig_filename)} is larger than {MAX_FILE:,} bytes unpacked: no job needs that")
    return data


def _stranger(path: str) -> str:
    """Why a file does not belong into a job."""
    if path.startswith("custom/") or "/custom/" in path or path.endswith((".py", ".pyc", ".so", ".whl", ".pth")):
        return (
            f"{shown(path)} brings code: sites run the installed fedward alone. "
            "Remove it; what it adds must become part of the package that the sites review and install"
        )
    if PurePosixPath(path).stem in ("meta", "config_fed_server", "config_fed_client"):
        return f"{shown(path)}: configuration must be JSON ({', '.join(NEEDED)})"
    return f"{shown(path)} does not belong into a job, which holds {', '.join(NEEDED)} and their signatures alone"


def shown(name: str) -> str:
    """A foreign name, safe to print."""
    text = ascii(name)
    return text if len(text) <= 100 else text[:97] + "...'"
