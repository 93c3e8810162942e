"""Links that end a kind of mail: the reminders of one booking, or one place on a waitlist. Signed, so that nobody can end another's.

The link says what it ends and nothing else; it holds as long as SECRET_KEY, and following it only shows a page (mail scanners follow links).
A mail program's own button sends a POST there (RFC 8058), without cookie or form token: the link itself is the right, and the act may be
repeated.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, cast, get_args

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

from portal.errors import NotFound
from portal.language.say import say

Kind: TypeAlias = Literal["reminders", "waitlist"]


def stop_url(kind: Kind, row_id: int) -> str:
    """The address for a mail: of the reminders of this booking, or of this waitlist entry."""
    return f"{current_app.extensions['settings'].url}/u/{_signer().dumps([kind, row_id])}"


def read_stop_token(token: str) -> tuple[Kind, int]:
    """What the link ends. Raises NotFound for one that the portal has not made."""
    try:
        kind, row_id = _signer().loads(token)
    except (BadSignature, ValueError, TypeError):
        raise NotFound(say("This link is not complete. Please use it as it stands in our mail.")) from None
    if kind not in get_args(Kind) or not isinstance(row_id, int):
        raise NotFound(say("This link is not complete. Please use it as it stands in our mail."))
    return cast(Kind, kind), row_id


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt="stop links of mails")
