"""What must be true before this process serves anybody or works: tables of this very version, in a database that refuses double bookings."""

from __future__ import annotations

import os

import structlog

from portal.database import schema
from portal.errors import PortalError
from portal.extensions import current_settings
from portal.upkeep.self_test import NotGuarded, self_test
from portal.upkeep.settings_checks import warnings

log = structlog.get_logger()


class NotFit(PortalError):
    """Nothing may run on this database; the sentence says what to do."""


def require_fit() -> None:
    """Raises Invalid when the tables are older or newer than this program, NotFit when a clash is not refused. Needs an app context.

    Settings that are doubtful are said in the log.
    """
    schema.require_current()
    require_guards()
    for sentence in warnings(current_settings(), os.environ):
        log.warning("a setting is doubtful", reason=sentence)


def require_guards() -> None:
    """Raises NotFit when the database accepts a double booking."""
    try:
        self_test()
    except NotGuarded as error:
        raise NotFit(str(error)) from error
