from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.redaction import printable, redacted

KEY = "olad_0123456789ab_" + "Zz-_9" * 8 + "abc"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("redis://:secret@127.0.0.1:6379/0", "redis://***@127.0.0.1:6379/0"),
        ("at rediss://me:s%40cret@h and unix://:secret@/run/redis.sock.", "at rediss://***@h and unix://***@/run/redis.sock."),
        ("{'url': 'redis://me:secret@h/0'}", "{'url': 'redis://***@h/0'}"),
        ("redis://127.0.0.1:6379/0 is plain", "redis://127.0.0.1:6379/0 is plain"),
        ("mail me@example.org, see http://example.org/@me", "mail me@example.org, see http://example.org/@me"),
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
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in shown)
    if all(ord(letter) >= 160 or 32 <= ord(letter) < 127 for letter in text):
        assert shown == text
