"""Dates, times and zones in words. Pure; all pages and mails say them through here, so that they say them alike.

Dates and times take a babel `Locale`, and local datetimes or dates: which zone is meant is the caller's decision. `locale_of` alone decides
between 2:05 PM and 14:05, and between American and other habits: by the country that the reader's language names ("en-US"), else by the
business's (`country_of` its zone), else as in Britain. Durations and places speak the language that `portal.language.say.speaking` has set.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from unicodedata import combining, normalize
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_date, format_skeleton, format_time, get_day_names

from portal.language import say as i18n
from portal.language.say import capital, say, say_later, say_n

# Patterns of our own where babel's carry commas that only slow the eye down, or say a weekday shorter than was asked for.
_PATTERNS = {
    "en": {"long": "EEEE d MMMM y", "day": "EEEE d MMMM", "short": "EEE d MMM"},
    "en-US": {"long": "EEEE, MMMM d, y", "day": "EEEE, MMMM d", "short": "EEE, MMM d"},
    "es": {"long": "EEEE, d 'de' MMMM 'de' y", "day": "EEEE, d 'de' MMMM", "short": "EEE, d MMM"},
    "hu": {"long": "y. MMMM d., EEEE", "day": "MMMM d., EEEE", "short": "MMM d., EEE"},
}
_DAY = 24 * 60
_CLOCKS = {"h12": "hm", "h24": "Hm"}
_REGIONS = {
    "Africa": say_later("Africa"),
    "America": say_later("America"),
    "Antarctica": say_later("Antarctica"),
    "Arctic": say_later("Arctic"),
    "Asia": say_later("Asia"),
    "Atlantic": say_later("Atlantic"),
    "Australia": say_later("Australia"),
    "Europe": say_later("Europe"),
    "Indian": say_later("Indian Ocean"),
    "Pacific": say_later("Pacific"),
}


@lru_cache(maxsize=256)
def locale_of(language: str, country: str = "") -> Locale:
    """The locale of a language tag such as "es" or "en-US"; where it names no country, with the habits of `country`, the business's.

    British English for a tag that is not known. A modifier says that the clock is another than the language's own has: `_clock` reads it.
    """
    locale = _parse(language) or Locale("en")
    if locale.territory:
        return locale
    there = _parse(f"und_{country}") if country else None
    usual = Locale("en", "GB") if locale.language == "en" else locale
    if there is None:
        return usual
    usual = _parse(f"{locale.language}_{country}") or usual
    if _has_halves(usual) == _has_halves(there):
        return usual
    return Locale(usual.language, usual.territory, modifier="h12" if _has_halves(there) else "h24")


def present_locale() -> Locale:
    """The locale of the language that is spoken now (`portal.language.say.speaking`); on a page, its reader's."""
    return locale_of(i18n.language_tag(), i18n.country())


def country_of(zone: str) -> str:
    """The country in which a zone lies, as two letters; empty for UTC and its like."""
    zone = get_global("zone_aliases").get(zone, zone)
    territory: str = get_global("zone_territories").get(zone, "")
    return "" if territory in ("001", "ZZ") else territory


@lru_cache(maxsize=4096)
def long_date(on: date, locale: Locale) -> str:
    """Thursday 3 December 2026"""
    return format_date(on, _pattern("long", locale) or "full", locale=locale)


@lru_cache(maxsize=4096)
def day_and_month(on: date, locale: Locale) -> str:
    """Thursday 3 December"""
    pattern = _pattern("day", locale)
    return format_date(on, pattern, locale=locale) if pattern else format_skeleton("MMMMEEEEd", on, locale=locale)


@lru_cache(maxsize=4096)
def short_date(on: date, locale: Locale) -> str:
    """Thu 3 Dec"""
    pattern = _pattern("short", locale)
    words = format_date(on, pattern, locale=locale) if pattern else format_skeleton("MMMEd", on, locale=locale)
    return words.lower() if locale.language == "hu" else words  # CLDR's short weekdays are those of a table's head: Szo


@lru_cache(maxsize=512)
def month_name(on: date, locale: Locale) -> str:
    """December 2026"""
    return format_skeleton("yMMMM", on, locale=locale)


def clock(local: datetime, locale: Locale) -> str:
    """10:30, or what the country is used to."""
    return _clock(local.hour, local.minute, locale)


def weekday_names(locale: Locale) -> list[tuple[str, str]]:
    """(Mon, Monday) and so on, beginning with the day that begins the week there (Monday where English is British)."""
    short, full = get_day_names("abbreviated", locale=locale), get_day_names("wide", locale=locale)
    first = locale.first_week_day
    return [(short[day % 7], full[day % 7]) for day in range(first, first + 7)]


def offset(local: datetime) -> str:
    """UTC+1, UTC−3:30, UTC"""
    return _offset(local.utcoffset() or timedelta(0))


def city(zone: str) -> str:
    """The place a zone is named after: "Buenos Aires" for America/Argentina/Buenos_Aires; in Spanish London is Londres."""
    return _city(zone, i18n.language())


def zone_in_words(zone: str, instant: datetime) -> str:
    """Madrid time (UTC+1), as it is at that instant; it can stand by itself, and after a comma."""
    name = city(zone)
    if name == "UTC":
        return name
    return say("%(place)s time (%(offset)s)", place=name, offset=offset(instant.astimezone(ZoneInfo(zone))))


def zone_label(zone: str, instant: datetime) -> str:
    """Madrid (UTC+1), for lists."""
    name = city(zone)
    return name if name == "UTC" else f"{name} ({offset(instant.astimezone(ZoneInfo(zone)))})"


def duration(minutes: int) -> str:
    """45 minutes, 1 hour, 1 hour 30 minutes, 2 days"""
    if minutes and minutes % _DAY == 0:
        return say_n("1 day", "%(number)s days", minutes // _DAY)
    hours, rest = divmod(minutes, 60)
    words = say_n("1 minute", "%(number)s minutes", rest)
    if not hours:
        return words
    whole = say_n("1 hour", "%(number)s hours", hours)
    return say("%(hours)s %(minutes)s", hours=whole, minutes=words) if rest else whole


def is_zone(name: str) -> bool:
    return name in _every_zone()


def zones_by_region() -> dict[str, list[tuple[str, str]]]:
    """The zones to choose from, one for each place of the zone table: {"Europe": [("Europe/Amsterdam", "Amsterdam"), ...]}."""
    return _zones_by_region(i18n.language())


def clock_change(on: date, zone: str) -> tuple[date, timedelta] | None:
    """The nearest change of the clocks within three days of `on`: its date, and by how much they are put forward."""
    local = ZoneInfo(zone)
    for days in sorted(range(-3, 4), key=abs):
        day = on + timedelta(days=days)
        before, after = (datetime.combine(each, datetime.min.time(), local) for each in (day, day + timedelta(days=1)))
        change = (after.utcoffset() or timedelta(0)) - (before.utcoffset() or timedelta(0))
        if change:
            return day, change
    return None


def happens_twice(local: datetime) -> bool:
    """True when the clock on the wall shows this time twice, because it is put back."""
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def day_starts_at(on: date, zone: str) -> datetime:
    """The instant at which a local date begins."""
    return datetime.combine(on, datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)


@lru_cache(maxsize=2048)
def _city(zone: str, language: str) -> str:
    if zone in {"UTC", "Etc/UTC"}:
        return "UTC"
    usual = zone.rsplit("/", 1)[-1].replace("_", " ")
    if language == "en":
        return usual
    name: str | None = locale_of(language).time_zones.get(zone, {}).get("city")
    return name or usual


@lru_cache(maxsize=len(i18n.LANGUAGES))
def _zones_by_region(language: str) -> dict[str, list[tuple[str, str]]]:
    """By region, in the alphabet's order as the language's names have it (accents aside)."""
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    zones = sorted(line.split("\t")[2] for line in table.splitlines() if line and not line.startswith("#"))
    regions: dict[str, list[tuple[str, str]]] = {}
    for zone in [*zones, "UTC"]:
        region = zone.split("/")[0]
        regions.setdefault(say(_REGIONS.get(region, region)), []).append((zone, _city(zone, language)))
    if language != "en":
        for places in regions.values():
            places.sort(key=lambda place: _plain(place[1]))
    return dict(sorted(regions.items(), key=lambda region: (region[0] == "UTC", _plain(region[0]))))


def _plain(name: str) -> str:
    """Without accents, for sorting."""
    return "".join(each for each in normalize("NFKD", name.casefold()) if not combining(each))


@lru_cache(maxsize=4096)
def _clock(hour: int, minute: int, locale: Locale) -> str:
    at = datetime(2000, 1, 1, hour, minute, tzinfo=UTC)
    if locale.modifier in _CLOCKS:
        return format_skeleton(_CLOCKS[locale.modifier], at, locale=locale)
    return format_time(at, "short", locale=locale)


def _has_halves(locale: Locale) -> bool:
    """True where the clock has twelve hours."""
    return "h" in locale.time_formats["short"].pattern


def _parse(tag: str) -> Locale | None:
    """None for what is not known."""
    try:
        return Locale.parse(tag.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return None


@lru_cache(maxsize=256)
def _offset(difference: timedelta) -> str:
    minutes = round(difference.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    sign = "−" if minutes < 0 else "+"
    return f"UTC{sign}{hours}{f':{rest:02}' if rest else ''}" if minutes else "UTC"


@lru_cache(maxsize=1)
def _every_zone() -> frozenset[str]:
    return frozenset(available_timezones())


def _pattern(name: str, locale: Locale) -> str:
    """Our own pattern; empty for languages in which the portal has no texts."""
    is_american = locale.language == "en" and locale.territory in {"US", "CA"}
    return _PATTERNS.get("en-US" if is_american else locale.language, {}).get(name, "")


def wish_in_words(wish: str, on: date | None, locale: Locale) -> str:
    """Thursday 3 December 2026; Monday 30 November to Sunday 6 December; any day."""
    if on is None or wish == "any":
        return say("Any day")
    if wish == "week":
        monday = on - timedelta(days=on.weekday())
        first, last = (day_and_month(day, locale) for day in (monday, monday + timedelta(days=6)))
        return capital(say("%(first)s to %(last)s", first=first, last=last))
    return capital(long_date(on, locale))
