"""The clock of a mail: its reader's country's, where their language names one, else the business's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from portal.language import dates
from portal.notifications.compose.wording import locale_for


@pytest.mark.parametrize(
    ("tag", "zone", "clock"),
    [
        ("en", "America/New_York", "2:05 PM"),
        ("en", "Europe/Madrid", "14:05"),
        ("en-US", "Europe/Madrid", "2:05 PM"),
        ("en-GB", "America/New_York", "14:05"),
        ("de", "America/New_York", "2:05 PM"),
    ],
)
def test_a_mail_tells_the_time_as_its_readers_country_does_else_as_the_businesss(
    tag: str, zone: str, clock: str
) -> None:
    locale = locale_for(tag, zone=zone)
    assert dates.clock(datetime(2026, 12, 3, 14, 5, tzinfo=UTC), locale).replace("\u202f", " ") == clock
