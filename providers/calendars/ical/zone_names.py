"""What a time zone's name means by itself, whoever wrote it. Pure; called by `zones` and `draft`.

Known are the names of the IANA database in any case and behind any vendor's path, those of Windows and what Exchange, Outlook and
Notes make of them, and lists of cities with or without an offset before them. A name that means several zones gives all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

MAX_NAME = 200
_NO_ZONES = {"Factory", "localtime", "posixrules"}
_UTC_NAMES = frozenset(
    ["utc", "z", "gmt", "etc/utc", "zulu", "universal_time", "coordinated_universal_time", "universal_coordinated_time"]
)
_BEFORE_CITIES = re.compile(r"^\(?(?:utc|gmt)?_?(?:([+-])_?(\d{1,2})[:.]?(\d\d)?)?\)_?")
_POSIX = re.compile(r"[a-z]{3,5}([+-]?)(\d{1,2})(?::?(\d\d))?(?:[a-z]{3,5}|,).*")
"""A TZ variable, such as “CET-1CEST,M3.5.0,M10.5.0/3”, which counts westward."""
_OFFSET = re.compile(r"(?:^|[(_/])(?:(?:utc|gmt|z)_?([+-])|(?<![^(])([+-]))_?(\d{1,2})[:.]?(\d\d)?(?![\d])")
_OF_AMERICA = re.compile(r"_?\((?:us|u\.s\.|usa)?_?(?:&|and|/|,)?_?(?:canada)?\)")
_CONTINENTS = (
    "Africa/",
    "America/",
    "Antarctica/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
)
_REGIONS = {"act", "lhi", "north", "nsw", "queensland", "south", "victoria", "west", "center"}
_SEASON = re.compile(r"(?:daylight|summer)(?:_saving[s]?)?_time")

_MORE_NAMES = {
    "alaska": "America/Anchorage", "aleutian_islands": "America/Adak", "arizona": "America/Phoenix",
    "armenian_standard_time": "Asia/Yerevan", "baja_california": "America/Tijuana", "beijing": "Asia/Shanghai",
    "brasilia": "America/Sao_Paulo", "chetumal": "America/Cancun", "chokurdakh": "Asia/Srednekolymsk",
    "city_of_buenos_aires": "America/Argentina/Buenos_Aires", "hawaii": "Pacific/Honolulu",
    "indiana_(east)": "America/Indiana/Indianapolis", "international_date_line_west": "Etc/GMT+12",
    "kamchatka_standard_time": "Asia/Kamchatka", "malay_peninsula_standard_time": "Asia/Singapore",
    "mexico_standard_time": "America/Mexico_City", "mexico_standard_time_2": "America/Chihuahua",
    "mid-atlantic": "Etc/GMT+2", "mid-atlantic_-_old": "Etc/GMT+2", "mid-atlantic_standard_time": "Etc/GMT+2",
    "mumbai": "Asia/Kolkata", "new_delhi": "Asia/Kolkata", "nuku'alofa": "Pacific/Tongatapu",
    "port_louis": "Indian/Mauritius", "rangoon": "Asia/Yangon", "saint_pierre_and_miquelon": "America/Miquelon",
    "salvador": "America/Bahia", "saskatchewan": "America/Regina", "solomon_is.": "Pacific/Guadalcanal",
    "solomon_islands": "Pacific/Guadalcanal", "sri_jayawardenepura": "Asia/Colombo", "us/pacific-new":
    "America/Los_Angeles", "west_central_africa": "Africa/Lagos", "marshall_is.": "Pacific/Majuro",
    "petropavlovsk-kamchatsky": "Asia/Kamchatka", "abu_dhabi": "Asia/Dubai", "pretoria": "Africa/Johannesburg",
    "edinburgh": "Europe/London", "st._petersburg": "Europe/Moscow", "osaka": "Asia/Tokyo", "hanoi": "Asia/Bangkok",
    "mitteleuropäische_zeit": "Europe/Berlin", "mitteleuropäische_sommerzeit": "Europe/Berlin",
    "british_standard_time": "Europe/London", "british_time": "Europe/London", "irish_standard_time": "Europe/Dublin",
    "moscow_standard_time": "Europe/Moscow", "indian_standard_time": "Asia/Kolkata", "japan_standard_time": "Asia/Tokyo",
    "korean_standard_time": "Asia/Seoul", "hong_kong_standard_time": "Asia/Hong_Kong", "gulf_standard_time": "Asia/Dubai",
    "australian_eastern_standard_time": "Australia/Sydney", "australian_central_standard_time": "Australia/Adelaide",
    "australian_western_standard_time": "Australia/Perth", "alaska_standard_time": "America/Anchorage",
    "hawaii_standard_time": "Pacific/Honolulu", "hawaii-aleutian_standard_time": "Pacific/Honolulu",
    "eastern_european_standard_time": "Europe/Helsinki", "western_european_standard_time": "Europe/Lisbon",
}  # fmt: skip
"""Names of Windows, Exchange and Outlook that are in no table of the libraries."""

_SHORT_NAMES = {
    "acst": ["Australia/Adelaide", "Australia/Darwin"], "acdt": ["Australia/Adelaide"], "adt": ["America/Halifax"],
    "aedt": ["Australia/Sydney"], "aest": ["Australia/Sydney", "Australia/Brisbane"], "akdt": ["America/Anchorage"],
    "akst": ["America/Anchorage"], "ast": ["America/Halifax", "America/Puerto_Rico", "Asia/Riyadh"],
    "awst": ["Australia/Perth"], "brt": ["America/Sao_Paulo"], "bst": ["Europe/London", "Asia/Dhaka"],
    "cdt": ["America/Chicago", "America/Havana"], "cest": ["Europe/Berlin"],
    "cst": ["America/Chicago", "America/Costa_Rica", "Asia/Shanghai", "America/Havana"],
    "edt": ["America/New_York"], "eest": ["Europe/Helsinki"], "greenwich_mean_time": ["Europe/London", "Etc/UTC"],
    "hkt": ["Asia/Hong_Kong"], "ist": ["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"], "jst": ["Asia/Tokyo"],
    "kst": ["Asia/Seoul"], "mdt": ["America/Denver"], "mesz": ["Europe/Berlin"], "mez": ["Europe/Berlin"],
    "msk": ["Europe/Moscow"], "ndt": ["America/St_Johns"], "nst": ["America/St_Johns"], "nzdt": ["Pacific/Auckland"],
    "nzst": ["Pacific/Auckland"], "pdt": ["America/Los_Angeles"], "pkt": ["Asia/Karachi"],
    "pst": ["America/Los_Angeles", "Asia/Manila"], "sast": ["Africa/Johannesburg"], "sgt": ["Asia/Singapore"],
    "west": ["Europe/Lisbon"], "wib": ["Asia/Jakarta"],
}  # fmt: skip
"""Abbreviations that the IANA database does not know as names, the likeliest meaning first."""


@lru_cache(maxsize=1024)
def spellings(name: str) -> tuple[str, ...]:
    """A name as it may be meant, folded: as it stands, without the escapes of a TEXT (RFC 5545 3.3.11), of a parameter (RFC 6868)."""
    name = name[: 4 * MAX_NAME]
    text = re.sub(r"\\(.)", lambda match: " " if match[1] in "nN" else match[1], name)
    parameter = re.sub(r"\^(['n^])", lambda match: {"'": '"', "n": " ", "^": "^"}[match[1]], name)
    return tuple(dict.fromkeys(map(folded, (name, text, parameter))))


def folded(name: str) -> str:
    """A name without what differs between its spellings: quotes around it, blanks, case, the way its letters are composed."""
    text = name[: 4 * MAX_NAME]
    return re.sub(r"[\s_\u00a0]+", "_", unicodedata.normalize("NFC", text).strip().strip("\"'").strip()).casefold()


@lru_cache(maxsize=1024)
def named_zone(name: str) -> tzinfo | None:
    """The IANA zone of that name in any case, also when it hides at the end of a path as some programs write it; or None."""
    key = folded(name.replace("\\", ""))
    if len(key) > MAX_NAME:
        return None
    if key in _UTC_NAMES:
        return UTC
    return _iana(key) or _at_the_end_of_a_path(key)


@lru_cache(maxsize=1024)
def named_zones(name: str) -> tuple[tzinfo, ...]:
    """All zones that a name may mean, the likeliest first; none for a name that says nothing."""
    if (zone := named_zone(name)) is not None:
        return (zone,)
    key = folded(name.replace("\\", ""))
    if not key or len(key) > MAX_NAME:
        return ()
    key = re.sub(r"^(?:tzone://)?/?microsoft/", "", key)
    return _known(key) or _described(key) or _somewhere_inside(key) or _in_parts(key)


@lru_cache(maxsize=1024)
def offset_in_name(name: str) -> tzinfo | None:
    """The offset that a name spells (“GMT+0200”, “(UTC-05:00) Our House”), or None."""
    key = folded(name)[:MAX_NAME]
    if (posix := _POSIX.fullmatch(key)) is not None:
        offset = -_offset(posix[1], posix[2], posix[3])
    elif (match := _OFFSET.search(key)) is not None:
        offset = _offset(match[1] or match[2], match[3], match[4])
    else:
        return None
    return timezone(offset) if abs(offset) < timedelta(hours=15) else None


def _known(key: str) -> tuple[tzinfo, ...]:
    """By one of the tables, as it stands or as Exchange and Notes change it."""
    if key in _UTC_NAMES:
        return (UTC,)
    if (zone := _iana(key)) is not None:
        return (zone,)
    if key in _SHORT_NAMES:
        return _different(_iana(found.casefold()) for found in _SHORT_NAMES[key])
    plain = _OF_AMERICA.sub("", _SEASON.sub("standard_time", key))
    # Exchange numbers its copies of a zone: “Eastern Standard Time 1”.
    unnumbered = re.sub(r"[_-]\d{1,2}$", "", plain)
    for tried in (key, plain, unnumbered):
        short = tried.removesuffix("_time").removesuffix("_standard")
        for name in (tried, f"{short}_standard_time"):
            found = _MORE_NAMES.get(name) or _windows().get(name)
            if found is not None and (zone := _iana(found.casefold())) is not None:
                return (zone,)
    return ()


def _described(key: str) -> tuple[tzinfo, ...]:
    """“(UTC+01:00) Amsterdam, Berlin”, “(GMT+01.00) Sarajevo/Warsaw”, “Eastern Time (US & Canada)”."""
    match = _BEFORE_CITIES.match(key)
    rest = key[match.end() :] if match else key
    # “Pacific Time (US & Canada); Tijuana” means what stands first.
    first = re.split(r"[;:]", rest)[0].strip("_")
    found = _cities(rest) or _known(rest) or _known(first)
    if match is None or match[1] is None:
        return _different(found)
    offset = _offset(match[1], match[2], match[3])
    return _different(zone for zone in found if offset in _offsets(zone))


def _cities(text: str) -> tuple[tzinfo, ...]:
    names = [re.sub(r"_?\(.*?\)", "", part).strip("_") for part in re.split(r"[,;:/]|_and_", text)]
    keys = [
        _by_city().get(name) or _MORE_NAMES.get(name) or _by_city().get(re.sub(r"_(?:islands?|is\.)$", "", name))
        for name in names
        if name
    ]
    return _different(_iana(key.casefold()) for key in keys if key)


def _somewhere_inside(key: str) -> tuple[tzinfo, ...]:
    """A whole IANA name among other words: “Europe/Berlin (CET)”."""
    words = [word.strip("()[],;:") for word in key.split("_")][:20]
    stretches = ("_".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(i + 4, len(words)) + 1))
    return _different(_iana(stretch) for stretch in stretches if "/" in stretch)


def _in_parts(key: str) -> tuple[tzinfo, ...]:
    """“Eastern Standard Time/Eastern Daylight Time”, “Eastern Time - New York”, “EasternStandardTime (EST)”."""
    plain = re.sub(r"_?\(.*?\)_?", "", key).removesuffix("_zone")
    parts = [part.strip("_") for part in re.split(r"[/;,]|_-_", plain)]
    found = [_known(part) or _cities(part) if part not in _UTC_NAMES else () for part in parts]
    compact = re.sub(r"\W|_", "", plain.rstrip("0123456789"))
    zones = _different(zone for part in found for zone in part) if all(found) else ()
    offset = offset_in_name(key)
    return tuple(
        zone
        for zone in zones or _different([_iana(_compact().get(compact, ""))])
        if offset is None or offset.utcoffset(None) in _offsets(zone)
    )


def _at_the_end_of_a_path(key: str) -> tzinfo | None:
    parts = key.strip("/").split("/")
    # A single last word is trusted only behind a vendor's name: “x/Eastern” is no zone.
    shortest = 1 if key.startswith("/") or "://" in key else 2
    for size in range(min(3, len(parts) - 1), shortest - 1, -1):
        tail = "/".join(parts[-size:])
        if tail in _UTC_NAMES:
            return UTC
        if (zone := _iana(tail)) is not None:
            return zone
    return None


def _different(zones: Iterable[tzinfo | None]) -> tuple[tzinfo, ...]:
    """Without those that show the same times as one before them."""
    found: dict[object, tzinfo] = {}
    for zone in zones:
        if zone is not None:
            found.setdefault(_signature(zone), zone)
    return tuple(found.values())


@lru_cache(maxsize=1024)
def _signature(zone: tzinfo) -> tuple[timedelta | None, ...]:
    days = (datetime(2025, 1, 3, tzinfo=UTC) + timedelta(days=10 * number) for number in range(220))
    return tuple(day.astimezone(zone).utcoffset() for day in days)


def _offsets(zone: tzinfo) -> set[timedelta | None]:
    return set(_signature(zone)[:40])


def _offset(sign: str, hours: str, minutes: str | None) -> timedelta:
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return -offset if sign == "-" else offset


@lru_cache(maxsize=2048)
def _iana(key: str) -> tzinfo | None:
    name = _iana_names().get(key)
    return ZoneInfo(name) if name else None


@lru_cache(maxsize=1)
def _iana_names() -> dict[str, str]:
    """Folded name -> name. Asked by this table alone: a file system would open names that are no zones."""
    return {folded(name): name for name in sorted(available_timezones() - _NO_ZONES)}


@lru_cache(maxsize=1)
def _windows() -> dict[str, str]:
    return {folded(name): zone for name, zone in WINDOWS_TO_OLSON.items()}


@lru_cache(maxsize=1)
def _compact() -> dict[str, str]:
    """Letters and digits alone of the names of places and of Windows -> folded IANA name."""
    places = {name: name for name in _iana_names() if "/" in name and not name.startswith("etc/")}
    return {re.sub(r"\W|_", "", name): folded(zone) for name, zone in [*places.items(), *_windows().items()]}


@lru_cache(maxsize=1)
def _by_city() -> dict[str, str]:
    """Folded last word of the IANA names of places -> name."""
    names = sorted(_iana_names().values())
    places = {folded(name.rpartition("/")[2]): name for name in names if name.startswith(_CONTINENTS)}
    return {city: name for city, name in places.items() if city not in _REGIONS}


def alike(zone: tzinfo) -> list[tzinfo]:
    """The zones with a name that show the same time on all the days that are tried, the ones that Windows offers first."""
    shown = _signature(zone)
    names = [*WINDOWS_TO_OLSON.values(), *_iana_names().values()]
    return [found for name in names if (found := _iana(folded(name))) is not None and _signature(found) == shown]
