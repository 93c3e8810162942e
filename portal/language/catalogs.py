"""Brings the catalogs up to date with the code: extracts the texts, keeps what is translated, compiles. Used by `make translations` and tests.

No dates, places or versions are written, so that a catalog changes only when a text does. Similar texts are never guessed (no "fuzzy").
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from portal.language.say import CATALOGS, LANGUAGES

ROOT = CATALOGS.parents[2]
TRANSLATED = tuple(tag for tag in LANGUAGES if tag != "en")
KEYWORDS = {**DEFAULT_KEYWORDS, **parse_keywords(["say", "say_later", "say_n:1,2"])}
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_HEADER = """\
msgid ""
msgstr ""
"Language: {tag}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""


def extracted() -> Catalog:
    """Every text that the code and the templates ask a catalog for."""
    with (CATALOGS / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    catalog = Catalog(charset="utf-8")
    for folder in ("portal", "templates"):
        within = [(pattern.removeprefix(f"{folder}/"), way) for pattern, way in methods if pattern.startswith(folder)]
        chosen = {pattern.removeprefix(f"{folder}/"): values for pattern, values in options.items()}
        for _file, _line, text, _comments, context in extract_from_dir(ROOT / folder, within, chosen, KEYWORDS):
            catalog.add(text, context=context)
    return catalog


def catalog_of(tag: str) -> Catalog:
    """The catalog of a language as it stands in its file; an empty one when there is none yet."""
    path = po_file(tag)
    if not path.exists():
        return _dated(Catalog(locale=tag, charset="utf-8"))
    with path.open("rb") as file:
        return _dated(read_po(file, locale=tag))


def po_file(tag: str) -> Path:
    return CATALOGS / tag / "LC_MESSAGES" / "messages.po"


def compiled(catalog: Catalog) -> bytes:
    """The catalog as programs read it."""
    out = BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def update(tag: str, texts: Catalog) -> list[Message]:
    """Write the language's two files anew for these texts; returns the messages that still want a translation."""
    catalog = catalog_of(tag)
    catalog.update(texts, no_fuzzy_matching=True)
    save(tag, _dated(catalog))
    return untranslated(catalog)


def save(tag: str, catalog: Catalog) -> None:
    path = po_file(tag)
    path.parent.mkdir(parents=True, exist_ok=True)
    out = BytesIO()
    write_po(out, catalog, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True, width=0)
    path.write_bytes(_HEADER.format(tag=tag).encode() + out.getvalue())
    path.with_suffix(".mo").write_bytes(compiled(catalog_of(tag)))


def untranslated(catalog: Catalog) -> list[Message]:
    """Messages with an empty form, or a guessed one."""
    return [message for message in catalog if message.id and (message.fuzzy or not all(forms(message)))]


def forms(message: Message) -> list[str]:
    """The translation: one text, or one for each plural form; one empty text where there is none."""
    if isinstance(message.string, (tuple, list)):
        return [text or "" for text in message.string]
    return [message.string or ""]


def _dated(catalog: Catalog) -> Catalog:
    """Always the same day in the header of the compiled file."""
    catalog.creation_date = catalog.revision_date = _SOME_DAY
    return catalog
