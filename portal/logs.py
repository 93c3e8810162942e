"""Logging: one line per thing that happened, no secrets and nobody's e-mail address in it."""

from __future__ import annotations

import logging
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import structlog
from flask import Flask

# Capability paths: what stands behind the marker is a right, not a name.
_TOKEN_PATH = re.compile(r"(/(?:b|w|u|setup|holds|new-password)/)[^/?\s\"]+")
# Whose address it is stays out of the log, which outlives what is erased; the server behind the @ is what helps in finding a fault.
_ADDRESS = re.compile(r"[^\s@<>()\[\]\"',;:=/]+@(?=[\w-]+(?:\.[\w-]+)+)")


def init_app(app: Flask) -> None:
    """Set up structlog once per process, writing to standard error."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hide_secrets,
            structlog.dev.ConsoleRenderer(colors=False) if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def without_links(text: str) -> str:
    """The same text with the tokens in capability paths blotted out."""
    return _TOKEN_PATH.sub(r"\1…", text)


def without_secrets(text: str) -> str:
    """The same text with the tokens in capability paths, and the names in e-mail addresses, blotted out."""
    return _ADDRESS.sub("…@", without_links(text))


class Seldom:
    """For what strangers can make happen as often as they like: each thing is said once a minute, with how often it happened since."""

    def __init__(self, *, every: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._said_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def count(self, what: str) -> int:
        """It happened. How often since it was said last, when it is time to say so; else 0. `what` is one of a few names of ours."""
        with self._lock:
            self._untold[what] = self._untold.get(what, 0) + 1
            if self._clock() - self._said_at.get(what, -math.inf) < self._every:
                return 0
            self._said_at[what] = self._clock()
            return self._untold.pop(what)


def _hide_secrets(_logger: object, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {key: without_secrets(value) if isinstance(value, str) else value for key, value in line.items()}
