"""What the forms about waitlists show (`portal.web.shown.versions`): an answer to one offer is none to the next."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.booking.models import WaitlistEntry
from portal.business.models import Service
from portal.language.say import say
from portal.waitlist.steps import entry_of_token, found_entry, open_offer
from portal.web.shown.versions import At, Shown, shows

_ENDED = {"accepted": "waitlist.accept", "declined": "waitlist.decline", "left": "waitlist.leave"}


@shows("waitlist.accept", "waitlist.decline", "waitlist.leave", page="waitlist.show")
def shown_to_customer(session: Session, at: At) -> Shown:
    return _shown(session, entry_of_token(session, at["token"]))


@shows("admin.offer", page="admin.offer_form")
@shows("admin.remove", page="admin.removal_form")
def shown_to_staff(session: Session, at: At) -> Shown:
    return _shown(session, found_entry(session, at["entry_id"]))


@shows("admin.pause_waitlist", "admin.resume_waitlist", page="admin.waitlist_service")
def shown_pause(session: Session, at: At) -> Shown:
    service = session.scalars(select(Service).where(Service.slug == at["slug"])).one()
    is_paused = service.is_waitlist_paused
    done = "admin.pause_waitlist" if is_paused else "admin.resume_waitlist"
    return Shown(f"service:{service.id}", {"offers": is_paused}, done=(done,))


def _shown(session: Session, entry: WaitlistEntry) -> Shown:
    offer = open_offer(session, entry)
    parts = {"status": entry.status, "offer": [offer.id, offer.start_at] if offer else None}
    news = {"offer": say("What is offered has changed meanwhile."), "status": say("This entry has changed meanwhile.")}
    done = [_ENDED[entry.status]] if entry.status in _ENDED else []
    return Shown(f"entry:{entry.id}", parts, news=news, done=done)
