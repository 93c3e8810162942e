"""The instance ids of this database, read for whatever derives ids."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.business.models import Business
from portal.instance.models import Instance
from portal.instance.names import InstanceIds


def instance_ids(session: Session) -> InstanceIds:
    """The first one is the business's; there is none before it."""
    first = session.scalars(select(Business.instance_id)).first() or ""
    later = session.scalars(select(Instance.ids)).first() or []
    return InstanceIds(first, tuple(later))
