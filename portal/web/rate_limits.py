"""Where rate limits are counted: in the queue's Redis, which all processes share; in each process's memory while it is away.

A Redis that hangs is as good as away: whoever meets it first waits for a quarter of a second, and then it is asked again once in a while only
(after 1, 2, 4 ... 32 seconds). Passwords have limits of their own in the database (`portal.accounts.guesses`), which need no Redis at all.
"""

from __future__ import annotations

from typing import Any

from portal.config import Settings

PATIENCE = 0.25
"""Seconds for Redis to connect, and to answer."""


def flask_config(settings: Settings) -> dict[str, Any]:
    """The settings of Flask-Limiter."""
    if not settings.redis_url:
        return {"RATELIMIT_STORAGE_URI": "memory://"}
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)}
    return {
        "RATELIMIT_STORAGE_URI": settings.redis_url.replace("unix://", "redis+unix://", 1),
        "RATELIMIT_STORAGE_OPTIONS": patience,
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
        "RATELIMIT_KEY_PREFIX": "lockstep",
    }
