"""Operations: `/healthz` (alive), `/readyz` (database, worker heartbeat, outbox age) and `/metrics` (Prometheus).

The first two are public and tell nothing personal; how much a business is booked is for those alone who know `METRICS_TOKEN`, or, where none is set,
for this machine. What they read is kept for two seconds, so that asking often costs nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, jsonify, request
from sqlalchemy.exc import SQLAlchemyError

from portal.clock import now_utc
from portal.extensions import current_settings, db
from portal.sync.push import counts as push_counts
from portal.upkeep.vitals import Vitals, read_vitals

if TYPE_CHECKING:
    from prometheus_client.core import Metric

bp = Blueprint("health", __name__)
KEPT_FOR = 2.0
FORWARDED = re.compile(
    r"X-Forwarded-.*|X-Real-IP|X-Client-IP|True-Client-IP|CF-.*|Fastly-.*|Forwarded|Via", re.IGNORECASE
)
_KEPT = "lockstep.vitals"


@bp.get("/healthz")
def healthz() -> Response:
    """200 as long as this process answers."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """200 when everything of the portal's own that must run does, else 503 with the reasons. Servers outside are not asked about here."""
    try:
        problems = _vitals().problems
    except SQLAlchemyError:
        problems = ["The database does not answer."]
    return jsonify({"ready": not problems, "problems": problems}), 503 if problems else 200


@bp.get("/metrics")
def metrics() -> Response:
    """Figures in Prometheus's text format, all read from the database or a shared file: the same from every process."""
    if refusal := _metrics_refusal():
        return refusal
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(_vitals(), push_counts.counts(current_settings().data)))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _metrics_refusal() -> Response | None:
    settings = current_settings()
    if settings.metrics_token:
        given = request.authorization
        token = given.token if given is not None and given.type == "bearer" else None
        if hmac.compare_digest((token or "").encode(), settings.metrics_token.encode()):
            return None
        return _plain(401, "Send METRICS_TOKEN as a bearer token.", {"WWW-Authenticate": "Bearer"})
    if _comes_from_this_machine():
        return None
    return _plain(403, "Only this machine may ask. Set METRICS_TOKEN to let others.")


def _comes_from_this_machine() -> bool:
    """By the address that is left after the trusted proxies. What a proxy that is not trusted passed on comes from it, not from here: it shows by
    a header, or by the name that was asked for, which is another than this machine has for itself."""
    if any(FORWARDED.fullmatch(name) for name, _ in request.headers):
        return False
    try:
        asked = urlsplit(request.host_url).hostname or ""
        return _is_loopback(request.remote_addr or "") and (asked == "localhost" or _is_loopback(asked))
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _plain(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(f"{sentence}\n", status, headers, mimetype="text/plain")


class _Collector:
    def __init__(self, vitals: Vitals, messages: Mapping[str, int]) -> None:
        self._vitals = vitals
        self._messages = messages

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        received = CounterMetricFamily(
            "lockstep_hook_messages", "Messages of providers, by what became of them", labels=["outcome"]
        )
        for outcome, number in self._messages.items():
            received.add_metric([outcome], number)
        yield received

        vitals = self._vitals
        for name, sentence, age in (
            ("worker_silent_seconds", "Time since the worker was last seen", vitals.worker_seen),
            ("outbox_oldest_due_seconds", "Time that the oldest outbox entry has been left undone", vitals.outbox_age),
            (
                "outbox_oldest_waiting_seconds",
                "Age of the oldest outbox entry that is not done, be it that a server outside is away",
                vitals.outbox_waiting,
            ),
            (
                "calendar_oldest_read_seconds",
                "Time since the busy source that was read longest ago",
                vitals.oldest_read,
            ),
        ):
            if age is not None:
                yield GaugeMetricFamily(f"lockstep_{name}", sentence, value=age.total_seconds())
        for name, label, sentence, counts in (
            ("outbox_entries", "state", "Outbox entries", vitals.outbox),
            ("connections", "state", "Connections to calendar providers", vitals.connections),
            ("bookings", "status", "Bookings", vitals.bookings),
            ("event_links", "state", "Bookings' events in calendars", vitals.event_links),
        ):
            family = GaugeMetricFamily(f"lockstep_{name}", sentence, labels=[label])
            for value, number in counts.items():
                family.add_metric([value], number)
            yield family
        yield GaugeMetricFamily(
            "lockstep_open_questions", "Outside changes that wait for an answer", vitals.open_questions
        )
        yield GaugeMetricFamily(
            "lockstep_open_conflicts", "Bookings and outside events that overlap", vitals.open_conflicts
        )
        yield GaugeMetricFamily(
            "lockstep_quarantined_calendars", "Reads held back for a person", vitals.quarantined_calendars
        )


def _vitals() -> Vitals:
    kept: tuple[float, Vitals] | None = current_app.extensions.get(_KEPT)
    if kept is not None and time.monotonic() - kept[0] < KEPT_FOR:
        return kept[1]
    vitals = read_vitals(db.session(), now=now_utc())
    current_app.extensions[_KEPT] = (time.monotonic(), vitals)
    return vitals
