"""What never stands in a log: rights, and whose address it was."""

from __future__ import annotations

import pytest

from portal.logs import Seldom, without_secrets


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("GET /b/abcDEF-123 and /w/xyz.ics", "GET /b/… and /w/…"),
        ("https://book.example/u/tok.en?x=1", "https://book.example/u/…?x=1"),
        (
            "The mail server refuses the recipient maria.perez+yoga@example.org. 550 <Maria@Example.org>: no such user",
            None,
        ),
        ("to=zsófia@példa.hu, cc: 'o@x.example'", None),
        (
            "The calendar at https://dav.example/ana/ answered 503.",
            "The calendar at https://dav.example/ana/ answered 503.",
        ),
    ],
)
def test_a_log_line_holds_no_token_and_no_address(said, kept):
    told = without_secrets(said)
    if kept is not None:
        assert told == kept
    for name in ("maria", "Maria", "zsófia", "o@", "abcDEF", "tok.en"):
        assert name not in told


def test_the_mail_s_server_is_still_told():
    assert without_secrets("550 <maria@example.org>: no such user") == "550 <…@example.org>: no such user"


def test_what_strangers_repeat_is_said_once_a_minute_with_how_often_it_happened():
    now = 0.0
    seldom = Seldom(clock=lambda: now)
    assert [seldom.count("forged") for _ in range(1000)] == [1] + [0] * 999
    assert seldom.count("other") == 1
    now = 60.0
    assert seldom.count("forged") == 1000
    assert seldom.count("forged") == 0
