from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.redaction import printable, redacted, shortened

KEY = "olad_0123456789ab_" + "Zz-_9" * 8 + "abc"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("redis://:secret@127.0.0.1:6379/0", "redis://***@127.0.0.1:6379/0"),
        ("at rediss://me:s%40cret@h and unix://:secret@/run/redis.sock.", "at rediss://***@h and unix://***@/run/redis.sock."),
        ("{'url': 'redis://me:secret@h/0'}", "{'url': 'redis://***@h/0'}"),
        ("redis://:s3@cret@h", "redis://***@h"),
        ("redis+sentinel://me:pw@a,me:pw2@b/main", "redis+sentinel://***@b/main"),
        ("redis://127.0.0.1:6379/0 is plain", "redis://127.0.0.1:6379/0 is plain"),
        ("mail me@example.org, see http://example.org/@me", "mail me@example.org, see http://example.org/@me"),
        ("at redis+sentinel://h/m?sentinel_password=a%20b&db=0.", "at redis+sentinel://h/m?sentinel_password=***&db=0."),
        ("rediss://h?ssl_password=secret#x", "rediss://h?ssl_password=***#x"),
        (f"key {KEY}, again {KEY}", "key olad_0123456789ab_***, again olad_0123456789ab_***"),
        ("authorization: bearer abc.def", "authorization: bearer ***"),
        (f"Bearer {KEY}", "Bearer olad_0123456789ab_***"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out_and_the_rest_stays(text: str, safe: str) -> None:
    assert redacted(text) == safe
    assert redacted(safe) == safe


@given(st.text(), st.text("abcXYZ019-_", min_size=43, max_size=43), st.text(alphabet=" \n,;'\"", min_size=1))
def test_no_key_survives_whatever_stands_around_it(before: str, secret: str, after: str) -> None:
    assert f"_{secret}" not in redacted(f"{before} olad_0123456789ab_{secret}{after}")


@given(st.text())
def test_what_is_printed_moves_no_cursor(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_a_cut_never_leaves_a_part_of_a_secret() -> None:
    for before in range(60):
        assert "Zz-_9" not in shortened("x" * before + " " + KEY + " " * 500, 60)
        assert "pass" not in shortened("x" * before + " redis://me:password@h/0 " * 40, 60)


def test_hostile_text_does_not_take_long() -> None:
    began = time.perf_counter()
    redacted("a." * 200_000 + "a://" * 50_000 + "Bearer " * 20_000 + " " * 100_000)
    assert time.perf_counter() - began < 5
