"""events.list and events.instances: filters, sync tokens, paging.

A listing is made whole at its first page and kept for the others, so that nothing written meanwhile shifts it; the sync token on its last page
stands for the moment of the first. A delta is judged by what the token's own request asked for.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from providers.standins.google import times
from providers.standins.google.events import views
from providers.standins.google.model import Calendar, Record
from providers.standins.google.problems import Refused, invalid

Json = dict[str, Any]
USUAL_PAGE, LARGEST_PAGE = 250, 2500
TOLD_AHEAD = timedelta(days=183)
"""A deleted or cut series is told as cancelled for about half a year only (googleapis/google-api-ruby-client#860)."""
NOT_WITH_TOKEN = (
    "iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "timeMin", "timeMax", "updatedMin",
)  # fmt: skip
_NO_TOKEN_AFTER = ("iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty", "updatedMin")


@dataclass(slots=True)
class Listing:
    """What one request for a list found, all pages of it. `question` must stay the same from page to page."""

    bodies: list[Json]
    question: str
    sync_token: str | None
    etag: str


@dataclass(slots=True)
class Pages:
    """Listings that somebody is still paging through."""

    open: OrderedDict[str, tuple[Listing, int]] = field(default_factory=OrderedDict)
    rested: set[str] = field(default_factory=set)
    """Tokens that came with an empty page: what they lead to is full."""
    most: int = 500
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def keep(self, listing: Listing, offset: int, *, rested: bool = False) -> str:
        """A page token for the rest from `offset` on."""
        token = _packed({"p": next(self._numbers), "o": offset})
        self.open[token] = (listing, offset)
        if rested:
            self.rested.add(token)
        while len(self.open) > self.most:
            self.open.popitem(last=False)
        return token

    def find(self, token: str, question: str) -> tuple[Listing, int]:
        found = self.open.get(token)
        if found is None or found[0].question != question:
            raise invalid("Invalid page token value.", "pageToken")
        return found


@dataclass(frozen=True, slots=True)
class Question:
    """What a list is asked for: the parts that a sync token carries on."""

    is_single: bool
    shows_deleted: bool
    start_at: datetime | None
    end_at: datetime | None
    event_types: tuple[str, ...]

    def token(self, calendar: Calendar, no: int) -> str:
        return _packed({
            "c": calendar.id, "n": no, "s": self.is_single, "t": list(self.event_types),
            "a": times.stamp(self.start_at) if self.start_at else None,
            "b": times.stamp(self.end_at) if self.end_at else None,
        })  # fmt: skip


def question_of(parameters: Json) -> Question:
    """Raises Refused for a time range that is none."""
    start_at, end_at = (times.instant(parameters[n]) if n in parameters else None for n in ("timeMin", "timeMax"))
    if start_at and end_at and start_at >= end_at:
        raise Refused("timeRangeEmpty", location=("parameter", "timeMax"))
    return Question(
        is_single=parameters.get("singleEvents", False),
        shows_deleted=parameters.get("showDeleted", False),
        start_at=start_at,
        end_at=end_at,
        event_types=tuple(sorted(parameters.get("eventTypes", ()))),
    )


def list_all(calendar: Calendar, parameters: Json, question: str) -> Listing:
    """A full listing. Raises Refused."""
    asked = question_of(parameters)
    if parameters.get("orderBy") == "startTime" and not asked.is_single:
        raise invalid("The requested ordering is not available for the particular query.", "orderBy")
    bodies = [
        views.tombstone(body) if body["status"] == "cancelled" else body
        for body in _matching(_found(calendar, asked, parameters), calendar, asked, parameters)
    ]
    has_token = not any(name in parameters for name in _NO_TOKEN_AFTER)
    return Listing(bodies, question, asked.token(calendar, calendar.no) if has_token else None, list_etag(calendar))


def list_changes(calendar: Calendar, parameters: Json, question: str) -> Listing:
    """What changed since a sync token. Raises Refused: 400 for what may not go with a token, 410 for a forgotten one."""
    wrong = [name for name in NOT_WITH_TOKEN if name in parameters]
    if wrong:
        raise Refused("badRequest", "Sync token cannot be used with the query restrictions.",
                      location=("parameter", wrong[0]), is_violation=True)  # fmt: skip
    if parameters.get("showDeleted") is False:
        raise invalid("Deleted events cannot be left out together with a sync token.", "showDeleted")
    asked, since = _opened_token(calendar, parameters["syncToken"])
    if asked.is_single != parameters.get("singleEvents", False):
        raise Refused("badRequest", "The parameters are not those of the first request.",
                      location=("parameter", "syncToken"), is_violation=True)  # fmt: skip
    changed = calendar.changed_since(since)
    bodies = _single_changes(calendar, changed, since, asked) if asked.is_single else _plain_changes(calendar, changed)
    if asked.event_types:
        bodies = [b for b in bodies if b["status"] == "cancelled" or b["eventType"] in asked.event_types]
    return Listing(bodies, question, asked.token(calendar, calendar.no), list_etag(calendar))


def list_instances(calendar: Calendar, master: Record, parameters: Json, question: str) -> Listing:
    """The occurrences of one series."""
    asked = question_of(parameters)
    found = views.series_bodies(calendar, master, asked.start_at, asked.end_at).values()
    bodies = [body for body in found if asked.shows_deleted or body["status"] != "cancelled"]
    if "originalStart" in parameters:
        at = times.instant(parameters["originalStart"])
        bodies = [b for b in bodies if times.instant_of(b["originalStartTime"], calendar.zone) == at]
    bodies.sort(key=lambda body: times.instant_of(body["start"], calendar.zone))
    bodies = [views.tombstone(body) if body["status"] == "cancelled" else body for body in bodies]
    return Listing(bodies, question, None, list_etag(calendar))


def list_etag(calendar: Calendar) -> str:
    return f'"p{33_000_000 + calendar.no:x}{abs(hash(calendar.id)) % 10**6:06d}"'


def _found(calendar: Calendar, asked: Question, parameters: Json) -> Iterable[Json]:
    """Bodies that stand in the time asked for, occurrences in place of series if so asked; deleted ones too."""
    for record in list(calendar.records.values()):
        if asked.is_single and record.is_series:
            yield from views.series_bodies(calendar, record, asked.start_at, asked.end_at).values()
            yield from _occurrences_gone(calendar, record, asked)
        elif asked.is_single and record.series_id:
            master = calendar.records.get(record.series_id)
            if master is None or not master.is_series:
                yield record.body
        elif record.is_series and not record.is_gone:
            if views.series_bodies(calendar, record, asked.start_at, asked.end_at):
                yield record.body
        elif _in_window(record, asked):
            yield record.body


def _occurrences_gone(calendar: Calendar, record: Record, asked: Question) -> Iterable[Json]:
    """A deleted series, where deleted events are asked for: its occurrences, each cancelled."""
    if record.is_gone and asked.shows_deleted:
        stood = replace(record, body={**record.body, "status": "confirmed"})
        for body in views.series_bodies(calendar, stood, asked.start_at, asked.end_at).values():
            yield {**body, "status": "cancelled"}


def _in_window(record: Record, asked: Question) -> bool:
    return (asked.start_at is None or record.end_at > asked.start_at) and (
        asked.end_at is None or record.start_at < asked.end_at
    )


def _matching(bodies: Iterable[Json], calendar: Calendar, asked: Question, parameters: Json) -> list[Json]:
    kept = [body for body in bodies if _is_wanted(body, calendar, asked, parameters)]
    if parameters.get("orderBy") == "startTime":
        kept.sort(key=lambda body: times.instant_of(body["start"], calendar.zone))
    elif parameters.get("orderBy") == "updated":
        kept.sort(key=lambda body: body["updated"])
    return kept


def _is_wanted(body: Json, calendar: Calendar, asked: Question, parameters: Json) -> bool:
    if body["status"] == "cancelled" and not _shows_cancelled(body, calendar, asked, parameters):
        return False
    if asked.event_types and body["eventType"] not in asked.event_types:
        return False
    if "iCalUID" in parameters and body["iCalUID"] != parameters["iCalUID"]:
        return False
    if "updatedMin" in parameters and times.instant(body["updated"]) < times.instant(parameters["updatedMin"]):
        return False
    for kind in ("private", "shared"):
        stands = body.get("extendedProperties", {}).get(kind, {})
        for wanted in parameters.get(f"{kind}ExtendedProperty", ()):
            name, _, value = wanted.partition("=")
            if stands.get(name) != value:
                return False
    return "q" not in parameters or _mentions(body, parameters["q"].lower())


def _shows_cancelled(body: Json, calendar: Calendar, asked: Question, parameters: Json) -> bool:
    if asked.shows_deleted or "updatedMin" in parameters:
        return True
    master = calendar.records.get(body.get("recurringEventId", ""))
    # Cancelled occurrences of a living series come anyway where the series is told as one (`showDeleted`).
    return not asked.is_single and master is not None and not master.is_gone


def _mentions(body: Json, words: str) -> bool:
    texts = [body.get(name, "") for name in ("summary", "description", "location")]
    texts += [guest.get(name, "") for guest in body.get("attendees", []) for name in ("email", "displayName")]
    return any(words in text.lower() for text in texts)


def _opened_token(calendar: Calendar, token: str) -> tuple[Question, int]:
    """(what its request asked for, the change it stands for). Raises Refused for what is no token or forgotten."""
    try:
        read = json.loads(base64.urlsafe_b64decode(token.encode() + b"=="))
        no, start, end = int(read["n"]), read["a"], read["b"]
        is_mine = read["c"] == calendar.id
        asked = Question(
            is_single=bool(read["s"]),
            shows_deleted=True,
            start_at=times.instant(start) if start else None,
            end_at=times.instant(end) if end else None,
            event_types=tuple(read["t"]),
        )
    except (ValueError, KeyError, TypeError):
        raise _forgotten() from None
    if not is_mine or no < calendar.oldest_token:
        raise _forgotten()
    return asked, no


def _forgotten() -> Refused:
    return Refused("fullSyncRequired", location=("parameter", "syncToken"))


def _plain_changes(calendar: Calendar, changed: list[str]) -> list[Json]:
    records = [calendar.records[event_id] for event_id in changed]
    return [views.tombstone(record.body) if record.is_gone else record.body for record in records]


def _single_changes(calendar: Calendar, changed: list[str], since: int, asked: Question) -> list[Json]:
    """Single events wherever they are now, for one may have left the time first asked for; and occurrences of series."""
    told: dict[str, Json] = {}
    for event_id in changed:
        record, before = calendar.records[event_id], calendar.as_of(event_id, since)
        was_series = before is not None and not before.is_gone and before.is_series
        is_series = record.is_series and not record.is_gone
        if record.series_id:
            told.update(_exception_change(record, set(changed)))
        elif was_series or is_series:
            told.update(_series_changes(calendar, before, record, since, asked))
        if not record.series_id and not record.is_series:
            told[event_id] = views.tombstone(record.body) if record.is_gone else record.body
    return list(told.values())


def _exception_change(record: Record, changed: set[str]) -> dict[str, Json]:
    if record.series_id in changed:
        return {}  # told with its series
    body = record.body
    return {body["id"]: views.tombstone(body) if record.is_gone else body}


def _series_changes(
    calendar: Calendar, before: Record | None, record: Record, since: int, asked: Question
) -> dict[str, Json]:
    """All occurrences as they are now, and those that were there before and are not any more, for half a year ahead."""
    was = views.series_bodies(calendar, before, asked.start_at, asked.end_at, as_of=since)
    now = views.series_bodies(calendar, record, asked.start_at, asked.end_at)
    told = {
        event_id: views.tombstone(body) if body["status"] == "cancelled" else body
        for event_id, body in now.items()
        if body != was.get(event_id)
    }
    last = times.now() + TOLD_AHEAD
    for event_id, body in was.items():
        is_near = times.instant_of(body["start"], calendar.zone) < last
        if event_id not in now and body["status"] != "cancelled" and is_near:
            told[event_id] = views.tombstone(body)
    return told


def _packed(value: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")
