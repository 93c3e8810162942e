"""Logging: one line per thing that happened, no secrets in it. Web requests are logged without the tokens in their paths."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from flask import Flask

# Capability paths: what stands behind the marker is a right, not a name.
_TOKEN_PATH = re.compile(r"(/(?:b|w|setup|holds)/)[^/?\s\"]+")


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
            _hide_tokens,
            structlog.dev.ConsoleRenderer(colors=False) if sys.stderr.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def without_tokens(text: str) -> str:
    """The same text with the tokens in capability paths blotted out."""
    return _TOKEN_PATH.sub(r"\1…", text)


def _hide_tokens(_logger: object, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {key: without_tokens(value) if isinstance(value, str) else value for key, value in line.items()}
