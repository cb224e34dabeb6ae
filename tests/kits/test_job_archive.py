"""Uploaded archives: a job's own files are read, whatever else is refused by name before anything is extracted."""

import random
import stat
import struct
import zipfile

import pytest
from job_files import archive, as_bytes, job

from fedward.errors import UsageError
from fedward.kits.job_archive import MAX_ARCHIVE, MAX_ENTRIES, MAX_FILE, read_archive

FILES = as_bytes(job())
SIGNED = FILES | {
    folder + name: b"{}"
    for folder in ("", "app/", "app/config/")
    for name in (".__nvfl_sig.json", ".__nvfl_submitter.crt")
}


def special(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (kind | 0o777) << 16
    return entry


def test_a_job_is_read_with_its_signatures_and_folders():
    folders = [("run/app/", b""), ("run/app/config/", b"")]
    assert read_archive(archive(SIGNED, *folders)) == SIGNED


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("run/app/custom/net.py", b"x"), "'app/custom/net.py' brings code"),
        (("run/app/custom/", b""), "'app/custom/' brings code"),
        (("run/app/config/sitecustomize.py", b"x"), "brings code"),
        (("run/custom/x", b"x"), "brings code"),
        (("run/app/x.pth", b"x"), "brings code"),
        (("run/meta.conf", b"include url(x)"), "'meta.conf': configuration must be JSON"),
        (("run/meta.yml", b""), "must be JSON"),
        (("run/app/config/config_fed_client.conf", b""), "must be JSON"),
        (("run/app/config/config_fed_server.json.default", b""), "does not belong into a job"),
        (("run/META.json", b"{}"), "does not belong into a job"),
        (("run/app/data.npz", b""), "does not belong into a job"),
        (("run/app2/config/config_fed_client.json", b"{}"), "must be JSON|does not belong"),
        (("run/app/../../evil", b""), r"'run/app/../../evil' leads out of the job's folder"),
        (("../evil", b""), "leads out"),
        (("/etc/cron.d/evil", b""), "is an absolute path"),
        (("C:/evil", b""), "is an absolute path"),
        (("run/app\\..\\evil", b""), "characters that no file of a job has"),
        (("run/app/m\u0435ta.json", b""), "characters that no file of a job has"),
        (("run/app/\x1b[31m", b""), "characters that no file of a job has"),
        (("evil", b""), "lies outside the job's folder"),
        (("other/meta.json", b"{}"), "more than one folder"),
        ((".ssh/meta.json", b"{}"), "job folder '.ssh' is not allowed"),
        ((special("run/.__nvfl_sig.json", stat.S_IFLNK), b"/etc/passwd"), "is a link"),
        ((special("run/.__nvfl_sig.json", stat.S_IFIFO), b""), "is no plain file"),
        ((special("run/.__nvfl_sig.json", stat.S_IFDIR), b""), "is no plain file"),
        (("run/.__nvfl_sig.json", b"\0" * (MAX_FILE + 1)), "larger than 200,000 bytes unpacked"),
    ],
)
def test_anything_else_is_refused_by_name(extra, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_archive(archive(FILES, extra))
    assert str(caught.value).isprintable()


def test_a_doubled_entry_is_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        data = archive(FILES, ("run/meta.json", b"{}"))
    with pytest.raises(UsageError, match=r"'run/meta\.json' is in the archive twice"):
        read_archive(data)


@pytest.mark.parametrize("path", sorted(FILES))
def test_a_missing_file_is_named(path):
    with pytest.raises(UsageError, match=f"the job has no {path}"):
        read_archive(archive({name: data for name, data in FILES.items() if name != path}))


def test_a_name_with_a_zero_byte_is_not_cut():
    data = archive(FILES, ("run/.__nvfl_sig.json@evil", b"x")).replace(b"sig.json@evil", b"sig.json\0evil")
    with pytest.raises(UsageError, match="characters that no file of a job has"):
        read_archive(data)


def test_sizes_are_limited():
    with pytest.raises(UsageError, match="larger than 1,000,000 bytes"):
        read_archive(b"x" * (MAX_ARCHIVE + 1))
    many = [(f"run/app/{number}", b"") for number in range(5000)]
    with pytest.raises(UsageError, match=f"entries: a job has at most {MAX_ENTRIES}"):
        read_archive(archive(FILES, *many))


def test_a_lie_about_the_size_does_not_unpack_a_bomb():
    """The directory says 100 bytes, the data is 100 MB: no more than the limit is read."""
    bomb = archive(FILES, ("run/.__nvfl_sig.json", b"\0" * 100_000_000))
    size = struct.pack("<L", 100_000_000)
    with pytest.raises(UsageError, match=r"damaged|larger than"):
        read_archive(bomb.replace(size, struct.pack("<L", 100)))


def test_rubbish_is_no_archive():
    """Bytes changed at random: a job or a UsageError, never another exception."""
    good, chance = archive(SIGNED), random.Random(1)
    refused = 0
    for _ in range(1500):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.1:
            del data[chance.randrange(len(data)) :]
        try:
            read_archive(bytes(data))
        except UsageError:
            refused += 1
    assert refused > 500
    for data in (b"", b"PK", b"hello", good[:-30]):
        with pytest.raises(UsageError, match="damaged or no zip file"):
            read_archive(data)
