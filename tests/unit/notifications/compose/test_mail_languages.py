"""Not a word of a mail stands outside of the catalogs, but for what people have typed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from babel import Locale
from lxml import html

from portal.language import dates, say
from portal.notifications.compose import letter
from portal.notifications.compose.facts import Facts
from portal.notifications.compose.messages import compose
from tests.support.mail_gallery import all_mails
from tests.web.test_languages import LATIN, Marks, forget_names, leftovers, outside

MAILS = dict(all_mails("es"))


@pytest.fixture(autouse=True)
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for reader in (say, letter):
        monkeypatch.setattr(reader, "catalog", lambda _tag: Marks())
    monkeypatch.setattr(dates, "locale_of", lambda _tag, _country="": Locale("el"))
    forget_names()
    yield
    forget_names()


def typed(facts: Facts) -> set[str]:
    """Every word that came with the facts: names, addresses, what customers wrote."""
    return set(LATIN.findall(repr(facts).replace("\\n", " ")))


@pytest.mark.parametrize("name", MAILS)
def test_a_mail_holds_no_word_that_is_in_no_catalog(name: str) -> None:
    facts = MAILS[name]
    message = compose(facts)
    known = typed(facts) | {"UTC", "https", "book", "studio"}
    for text in (message.subject, message.text):
        assert "⟦" in text
        assert set(LATIN.findall(outside(re.sub(r"https?://\S+", "", text)))) - known == set()
    assert set(leftovers(html.fromstring(message.html))) - known == set()
