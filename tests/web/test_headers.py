"""Heads of answers that are there whatever the page: what may be kept, and that browsers come by https alone where the portal has it."""

from __future__ import annotations

import dataclasses

import pytest


@pytest.mark.parametrize(
    "path",
    ["/api/v1/services", "/api/v1/calendars", "/api/v1/bookings/x", "/api/v1/none", "/readyz", "/healthz", "/metrics"],
)
def test_nobody_keeps_what_the_api_answers(sqlite_app, path):
    answer = sqlite_app.test_client().get(path)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("url", ["https://booking.example", "http://localhost"])
def test_browsers_are_told_to_come_by_https_alone_where_the_portal_has_it(sqlite_app, url):
    kept = sqlite_app.extensions["settings"]
    sqlite_app.extensions["settings"] = dataclasses.replace(kept, url=url)
    try:
        for path in ("/", "/nothing/here", "/healthz", "/admin"):
            told = sqlite_app.test_client().get(path).headers.get("Strict-Transport-Security")
            assert told == ("max-age=31536000" if url.startswith("https") else None)
    finally:
        sqlite_app.extensions["settings"] = kept
