"""Have events written anew although no booking changed: what they may tell, or what they tell of the service, is another thing now.

Called inside the transaction of the change, by the rules of a calendar, the seed and the service's form. The work is the outbox's (topic
`calendar.rewrite`, done by `portal.sync.publish.rewrite`): there may be thousands of events.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from portal import outbox

TOPIC = "calendar.rewrite"


def rewrite_calendar(session: Session, calendar_id: int) -> None:
    """Record that the events of all appointments to come are written anew in this calendar."""
    outbox.record(session, TOPIC, f"calendar:{calendar_id}")


def rewrite_service(session: Session, service_id: int) -> None:
    """Record that the events of this service's appointments to come are written anew: its name, its place or its video calls have changed."""
    outbox.record(session, TOPIC, f"service:{service_id}")
