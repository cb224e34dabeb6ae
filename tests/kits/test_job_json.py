"""Strict JSON: what two parsers could read differently, and what is there to exhaust one, is refused."""

import pytest

from fedward.errors import UsageError
from fedward.kits.job_json import strict_json


def test_plain_json_is_read():
    assert strict_json(b'{"a": [1, 2.5, null, true, "x"]}', "f") == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1, "a": 2}', "f is not valid JSON: key 'a' is there twice"),
        (b'{"x": {"b": 1, "b": 2}}', "key 'b' is there twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"[Infinity]", "Infinity is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"[1e999]", "1e999 is too large"),
        (b"[" + b"9" * 10_000 + b"]", "not valid JSON"),
        (b"[" * 13 + b"]" * 13, "nests deeper than 12 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "nests deeper than 12 levels"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nests deeper than 12 levels"),
        (b'{"a": 1,}', "not valid JSON"),
        (b'{a: "${HOME}"}', "not valid JSON"),
        (b"// comment\n{}", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not valid JSON"),
        (b"", "not valid JSON"),
    ],
)
def test_what_is_not_strict_is_refused(data, message):
    with pytest.raises(UsageError, match=message):
        strict_json(data, "f")
