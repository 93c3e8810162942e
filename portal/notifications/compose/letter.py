"""Turns words and facts into the two forms of a mail, plain text and HTML. Pure; called by `messages`.

Each kind of mail has one file under templates/mail with its words, in blocks: `subject`, `title` (the heading), `lead` (what happened), `after`
(what follows from it), `button`, `below` (what is good to know beside it). Every sentence goes through the catalogs of `portal.language.say`, whole.
`_layout.html` and `_layout.txt` set all of them. Templates are files, never text from the database: what people typed is only inserted,
escaped in HTML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from portal.language.say import catalog, language
from portal.notifications.compose.facts import House
from portal.notifications.compose.sheet import Sheet

TEMPLATES = Path(__file__).resolve().parents[3] / "templates" / "mail"
LONGEST_SUBJECT = 200
_PARAGRAPHS = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class Words:
    """What a mail says. Paragraphs are without line breaks, save those of an admin's own text, which are kept."""

    subject: str
    title: str
    lead: tuple[str, ...]
    after: tuple[str, ...] = ()
    button: str = ""
    below: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail ready to be set. `small` is the small print under the button; `footer` says why one gets it; `stop` and its link end such mails."""

    house: House
    words: Words
    sheets: Sequence[Sheet] = ()
    button_url: str = ""
    small: Sequence[str] = ()
    footer: str = ""
    stop: str = ""
    stop_url: str = ""
    language: str = "en"


def words_of(kind: str, values: dict[str, Any]) -> Words:
    """The portal's own words for this kind of mail, in the language that is being spoken. A value left out is an error."""
    template = _environment("text").get_template(f"{kind}.txt")

    def block(name: str) -> str:
        part = template.blocks.get(name)
        return "".join(part(template.new_context(values))) if part else ""

    return Words(
        subject=one_line(block("subject")),
        title=_in_a_line(block("title")),
        lead=_paragraphs(block("lead")),
        after=_paragraphs(block("after")),
        button=_in_a_line(block("button")),
        below=_paragraphs(block("below")),
    )


def set_letter(letter: Letter) -> tuple[str, str]:
    """The plain text and the HTML."""
    values = {"letter": letter, "words": letter.words, "house": letter.house}
    text = _environment("text").get_template("_layout.txt").render(values)
    html = _environment("html").get_template("_layout.html").render(values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", html


def one_line(subject: str) -> str:
    """A subject: one line, and not too long."""
    words = _in_a_line(subject)
    return words if len(words) <= LONGEST_SUBJECT else words[: LONGEST_SUBJECT - 1] + "…"


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (_in_a_line(part) for part in _PARAGRAPHS.split(text))))


def _in_a_line(text: str) -> str:
    return " ".join(text.split())


@lru_cache
def _environment(form: str) -> Environment:
    """An environment of its own for each form: HTML escapes what is inserted, plain text must not."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=form == "html",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    return environment


def _gettext(sentence: str) -> str:
    return str(catalog(language()).ugettext(sentence))


def _ngettext(one: str, many: str, number: int) -> str:
    return str(catalog(language()).ungettext(one, many, number))
