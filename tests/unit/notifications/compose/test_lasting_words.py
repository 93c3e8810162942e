"""What mails and pages say holds however late it is read: a mail leaves when it can, a page is opened again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PASSING = re.compile(
    r"free again|free for others|others again|(goes|went|offered) to the next|went to others", re.IGNORECASE
)
"""True when it was recorded, maybe: a moment later somebody has taken it, and maybe nobody waits."""


def texts():
    return [str(message.id if isinstance(message.id, str) else message.id[0]) for message in _catalog() if message.id]


def test_no_text_for_customers_or_staff_s_mails_says_that_a_time_is_free_when_somebody_may_have_taken_it():
    assert len(texts()) > 500
    assert [text for text in texts() if PASSING.search(text)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "templates" / "admin").glob("*.html")), ids=lambda path: path.name)
def test_no_staff_page_says_so_either(path):
    assert not PASSING.search(path.read_text(encoding="utf-8"))


def _catalog():
    from babel.messages.pofile import read_po

    with open(ROOT / "portal/language/translations/es/LC_MESSAGES/messages.po", "rb") as file:
        return list(read_po(file))
