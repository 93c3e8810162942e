"""The one row that says which installation adopted what stands in this database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.database.engine import Instant
from portal.extensions import Model


class Instance(Model):
    """Id 1. `identity` is what the installation that adopted it was told by (`portal.instance.identity`); empty: nobody has, after a restore."""

    __tablename__ = "instance"
    id: Mapped[int] = mapped_column(primary_key=True)
    identity: Mapped[dict[str, str]] = mapped_column(JSON)
    adopted_at: Mapped[datetime | None] = mapped_column(Instant)
    adopted_by: Mapped[str] = mapped_column(String(254), default="")
    noticed: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    """The identity of an installation that found itself to be another one; what it then did about it is done once."""
    noticed_at: Mapped[datetime | None] = mapped_column(Instant)
    """What was to be sent before this belongs to the other installation."""
    restored_from: Mapped[str] = mapped_column(String(40), default="")
    """When the backup was made that came back into this database, until it is adopted."""
    ids: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    """The instance ids after the business's first one, as `portal.instance.names` reads them."""
