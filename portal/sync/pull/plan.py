"""What follows from a change batch: values in, actions out. Pure; `pull` calls it, `apply` carries the actions out.

An object is *ours* when an event link names it. What becomes of an object, first match wins:

=====================================================  ==========================================================
what the batch shows                                   what follows
=====================================================  ==========================================================
any object that stands there but could not be had      shown as unreadable; what is known of its time goes on counting, or the
                                                       part of it that came where nothing was known
foreign object                                         its busy time blocks; recurring ones are expanded already
our mark, but no link names it (a copy made by hand)   blocks as its own text says, every occurrence; our copy of a finished
                                                       booking too
ours, but for somebody who shares this very calendar   takes no time here: that person's link looks after it
our object, its UID now under another address          the link follows it there, then as below
ours, a publish of it is under way                     left to publish, whose writes are conditional
ours, written after this reading began                 judged at the next reading; the sync token stays where it is
ours, called off (STATUS:CANCELLED)                    removed outside (it still stands, so putting back is an update)
ours, same meaning as we wrote                         our echo: nothing but the new version is noted
ours, at the booking's time (retitled, coloured ...)   left alone; the version is noted; an open question ends
ours, made longer around the booking's time            the booking keeps its time, the rest of the event blocks
ours, made shorter within it                           the booking keeps its time; nothing else
ours, made a series                                    the first occurrence is judged as above, the others block; shown as
                                                       unreadable in part
ours, anywhere else                                    moved outside: the calendar's rule decides; it blocks until then
ours, gone                                             looked up once more; if truly gone, removed outside: the rule decides
ours, written since the sync token, and not told of    looked up, as if gone: a feed skips what came and went between
ours, gone, but its booking is over or cancelled       forgotten: people tidy their calendars
foreign, gone                                          its busy time is free again
=====================================================  ==========================================================

And over all of them: a reading that would take away more than half of what is known, or several of our own events at once, is
suspicious. (Where a reading accounts only for a window of time, what is over does not count.) It is read a second time, and if it says
the same, nothing is taken away until a person agrees (quarantine).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from datetime import datetime

from portal.sync.actions import (
    Adopt,
    Drop,
    Forget,
    MovedOutside,
    Plan,
    RemovedOutside,
    Situation,
    Store,
    Suspicion,
    Tie,
    Unread,
)
from providers.calendars.base import ChangeBatch, RemoteEvent, Span

BURST = 10
"""Up to so many objects may vanish at once without suspicion; beyond, only half of what is known."""
OWN_BURST = 3
"""So many of our own events at once are never believed at first sight."""
_OCCURRENCE = re.compile(r"_\d{8}(?:T\d{6}Z)?$")
SERIES = "Somebody made a series of this booking's event; its first time is the booking's, the others count as taken."


def plan(batch: ChangeBatch, situation: Situation) -> Plan:
    """All that follows from the batch. Without suspicion, removals of our own wait only for their second look."""
    result = Plan()
    ties = _ties_by_object(batch, situation)
    vanished = gone(batch, situation)
    seen = {event.remote_id for event in batch.upserts} | batch.unchanged
    result.held = _still_held(batch, situation, vanished, ties, seen)
    for event in batch.upserts:
        _judge_standing(event, ties.get(event.remote_id), situation, result)
    vanished = {remote_id for remote_id in vanished if remote_id not in result.held or situation.accepts_removals}
    result.suspicion = None if situation.accepts_removals else _suspicion(vanished, ties, situation)
    if result.suspicion:
        if situation.is_second_reading:
            result.held |= result.suspicion.remote_ids
        result.keeps_token |= not situation.is_second_reading
        vanished -= result.suspicion.remote_ids
    rehomed = {tie.remote_id for remote_id, tie in ties.items() if tie.remote_id != remote_id}
    for remote_id in sorted(vanished):
        _judge_gone(remote_id, ties.get(remote_id), situation, result, is_rehomed=remote_id in rehomed)
    if situation.accepts_removals:
        result.held = frozenset()
    return result


def _still_held(
    batch: ChangeBatch, situation: Situation, vanished: set[str], ties: Mapping[str, Tie], seen: Set[str]
) -> frozenset[str]:
    """What is in quarantine and did not come back. What is left of it may be no more than people delete any day: then it is judged as such."""
    held = frozenset(_to_come(situation.held - seen, situation))
    has_healed = batch.is_complete and not situation.keeps_held and not situation.held.isdisjoint(seen)
    return frozenset() if has_healed and _suspicion(vanished, ties, situation) is None else held


def gone(batch: ChangeBatch, situation: Situation) -> set[str]:
    """The known objects, and our own, that the batch says are not there any more, or should have told of."""
    own = {tie.remote_id for tie in situation.ties if tie.stands}
    if batch.is_complete:
        seen = {event.remote_id for event in batch.upserts} | batch.unchanged
        return (situation.known.keys() | own) - seen
    removed = {remote_id for remote_id in batch.removals if remote_id in situation.known or remote_id in own}
    return removed | _untold(batch, situation)


def judge(event: RemoteEvent, tie: Tie, situation: Situation) -> Plan:
    """The same for one event of ours that was just read by itself."""
    result = Plan()
    _judge_standing(event, tie, situation, result)
    return result


def _untold(batch: ChangeBatch, situation: Situation) -> set[str]:
    """Events that we wrote after the sync token was given, and of which the change feed says nothing.

    Had they still stood, it would have named them. But what was created and deleted between two readings, a server may leave out.
    """
    if situation.token_at is None:
        return set()
    since, told = situation.token_at, {event.remote_id for event in batch.upserts} | batch.unchanged
    return {
        tie.remote_id
        for tie in situation.ties
        if tie.stands and tie.is_wanted and not tie.is_pending and tie.end_at > situation.now
        and since <= tie.touched_at < situation.read_at and tie.remote_id not in told
    }  # fmt: skip


def _ties_by_object(batch: ChangeBatch, situation: Situation) -> dict[str, Tie]:
    """Remote id -> tie. An object with our mark and a tie's UID, under a new address while the old one is gone, is the same event."""
    ties = {tie.remote_id: tie for tie in situation.ties if tie.remote_id}
    by_uid = {(tie.appointment_id, tie.uid): tie for tie in situation.ties}
    vanished = gone(batch, situation)
    for event in batch.upserts:
        if event.remote_id in ties or event.mark is None or not situation.is_own(event.mark):
            continue
        tie = by_uid.get((event.mark.appointment_id, event.uid))
        if tie is not None and (tie.remote_id in vanished or not tie.stands):
            ties[event.remote_id] = tie
    return ties


def _judge_standing(event: RemoteEvent, tie: Tie | None, situation: Situation, result: Plan) -> None:
    is_new_part = tie is None and event.remote_id not in situation.known and bool(event.busy or event.taken)
    if event.is_unread and not is_new_part:
        result.actions.append(Unread(event))
    elif tie is None:
        result.actions.append(_store_foreign(event, situation))
    elif tie.is_pending:
        result.actions.append(Store(event, (), is_ours=True))
    elif not tie.is_wanted or tie.end_at <= situation.now:
        result.actions.append(_store_foreign(event, situation))
    else:
        _judge_ours(event, tie, situation, result)


def _judge_ours(event: RemoteEvent, tie: Tie, situation: Situation, result: Plan) -> None:
    is_echo = bool(event.content_hash) and event.content_hash in (tie.content_hash, *tie.sent_hash.split())
    is_ours_as_seen = is_echo and tie.outside != "removed"
    if tie.touched_at >= situation.read_at and not is_ours_as_seen:
        result.keeps_token = True  # this may be how it stood before our own write
        return
    times = (event.start_at, event.end_at)
    is_back = times == (tie.start_at, tie.end_at) and not event.is_cancelled
    if event.is_cancelled:
        _judge_called_off(event, tie, result)
    elif is_back or is_ours_as_seen or _is_resized(event, tie) or event.start_at is None:
        _adopt(event, tie, situation, result, is_settled=bool(tie.outside) and (is_back or _is_resized(event, tie)))
    elif tie.outside == "moved" and times == (tie.seen_start_at, tie.seen_end_at):
        _adopt(event, tie, situation, result, is_settled=False)
    else:
        busy = _overhang(event, tie.start_at, tie.end_at, situation)
        result.actions += [Store(event, busy, is_ours=True), MovedOutside(tie, event)]


def _judge_called_off(event: RemoteEvent, tie: Tie, result: Plan) -> None:
    result.actions.append(Store(event, (), is_ours=True))
    if tie.outside != "removed" or not tie.stands:
        result.actions.append(RemovedOutside(tie, event))
    elif tie.etag != event.etag:
        result.actions.append(Adopt(tie, event))


def _adopt(event: RemoteEvent, tie: Tie, situation: Situation, result: Plan, *, is_settled: bool) -> None:
    busy = _overhang(event, tie.start_at, tie.end_at, situation)
    is_echo = bool(event.content_hash) and event.content_hash in (tie.content_hash, *tie.sent_hash.split())
    if situation.is_comparing and tie.is_group and not is_echo:
        result.changed_groups |= {event.remote_id}
    if event.remote_id in situation.doubtful | result.changed_groups and event.start_at and event.end_at:
        busy = _clip((event.start_at, event.end_at), situation)  # nobody may join before it is known who comes
    problem = SERIES if event.is_recurring else event.problem
    result.actions.append(Store(event, busy, is_ours=True, rolls=event.is_recurring, problem=problem))
    if is_settled or (tie.etag, tie.remote_id) != (event.etag, event.remote_id):
        result.actions.append(Adopt(tie, event, is_settled=is_settled))


def _judge_gone(remote_id: str, tie: Tie | None, situation: Situation, result: Plan, *, is_rehomed: bool) -> None:
    if tie is None or is_rehomed or tie.is_pending or not tie.stands:
        result.actions.append(Drop(remote_id))
    elif tie.touched_at >= situation.read_at:
        result.keeps_token = True  # written after the listing was made
    elif not tie.is_wanted or tie.end_at <= situation.now:
        result.actions += [Drop(remote_id), Forget(tie)]
    elif remote_id in situation.verified_gone:
        result.actions += [Drop(remote_id), RemovedOutside(tie)]
    else:
        result.to_verify.append(remote_id)


def _suspicion(vanished: Iterable[str], ties: Mapping[str, Tie], situation: Situation) -> Suspicion | None:
    losing = {remote_id for remote_id in vanished if not _is_expected_to_go(ties.get(remote_id))}
    own = {remote_id for remote_id in losing if remote_id in ties and ties[remote_id].end_at > situation.now}
    if situation.is_comparing:  # what was cancelled since the backup is asked about, one by one
        losing, own = losing - own, set()
    losing = _to_come(losing, situation)
    number = _number_of_events(losing, situation)
    known = _to_come(situation.known.keys(), situation)
    if number > BURST and number * 2 > _number_of_events(known, situation):
        return Suspicion(frozenset(losing), len(own), len(situation.known))
    return Suspicion(frozenset(own), len(own), len(situation.known)) if len(own) >= OWN_BURST else None


def _to_come(remote_ids: Iterable[str], situation: Situation) -> set[str]:
    """Without those that a reading of the window lacks only because their time is over."""
    return set(remote_ids) if situation.coming is None else set(remote_ids) & situation.coming


def _number_of_events(remote_ids: Iterable[str], situation: Situation) -> int:
    """As a person counts: where each occurrence is an object of its own, whoever deletes a series deletes one event."""
    if situation.coming is None:
        return len(set(remote_ids))
    return len({_OCCURRENCE.sub("", remote_id) for remote_id in remote_ids})


def _is_expected_to_go(tie: Tie | None) -> bool:
    return tie is not None and (tie.is_pending or not tie.is_wanted or not tie.stands)


def _store_foreign(event: RemoteEvent, situation: Situation) -> Store:
    reaches_beyond = event.end_at is not None and event.end_at > situation.window[1]
    busy = event.busy if event.mark is None else _copy_busy(event, situation)
    return Store(event, busy, situation.is_own(event.mark), event.is_recurring or reaches_beyond, event.problem)


def _copy_busy(event: RemoteEvent, situation: Situation) -> tuple[Span, ...]:
    """A provider never counts marked objects as busy, so their time is taken from themselves. Where the booking itself stands, its claims do."""
    if event.is_cancelled or event.mark is None:
        return ()
    if (
        event.remote_id in situation.shared
    ):  # a colleague's booking takes the colleague's time, and is looked after there
        return ()
    booked = situation.booked.get(event.mark.appointment_id)
    if booked and situation.is_own(event.mark):
        return _overhang(event, *booked, situation)
    return tuple(part for span in _taken(event) for part in _clip(span, situation))


def _is_resized(event: RemoteEvent, tie: Tie) -> bool:
    """Longer around the booking's time, or shorter within it: the booking keeps its time."""
    if event.start_at is None or event.end_at is None:
        return False
    is_longer = event.start_at <= tie.start_at and event.end_at >= tie.end_at
    is_shorter = event.start_at >= tie.start_at and event.end_at <= tie.end_at and event.start_at < event.end_at
    return is_longer or is_shorter


def _overhang(event: RemoteEvent, start_at: datetime, end_at: datetime, situation: Situation) -> tuple[Span, ...]:
    """The part of an event of ours that lies outside of the booking's time, which its claims guard already."""
    parts = [part for start, end in _taken(event) for part in ((start, min(end, start_at)), (max(start, end_at), end))]
    return tuple(part for span in dict.fromkeys(parts) for part in _clip(span, situation))


def _taken(event: RemoteEvent) -> tuple[Span, ...]:
    """The time that an object with our mark takes by its own text; its own start and end where the provider tells no more."""
    if event.taken is not None:
        return event.taken
    return ((event.start_at, event.end_at),) if event.start_at and event.end_at else ()


def _clip(span: Span, situation: Situation) -> tuple[Span, ...]:
    start, end = max(span[0], situation.window[0]), min(span[1], situation.window[1])
    return ((start, end),) if start < end else ()
