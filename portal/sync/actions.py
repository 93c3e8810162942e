"""The values of the plan: what is known when a batch is judged, and the actions that follow. Pure; the judgement is in `portal.sync.pull.plan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from portal.instance.names import InstanceIds
from providers.calendars.base import EventMark, RemoteEvent, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """An event link with what its appointment wants. `start_at`/`end_at` are the appointment's, `seen_*` the event's when last seen."""

    link_id: int
    appointment_id: int
    remote_id: str
    uid: str
    etag: str
    content_hash: str
    sent_hash: str
    outside: str
    seen_start_at: datetime | None
    seen_end_at: datetime | None
    start_at: datetime
    end_at: datetime
    is_wanted: bool
    is_pending: bool
    is_group: bool = False
    touched_at: datetime

    @property
    def stands(self) -> bool:
        return bool(self.etag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known when a batch is judged. `known` maps remote ids to etags; `held` are those in quarantine already.

    `token_at` is the start of the reading that gave the sync token; None before the first. `booked` maps the appointments that events of the
    batch name by their marks to their times, as far as they take this calendar's resource. `shared` are events that this very calendar,
    connected for somebody else too, holds for that person's bookings. `coming` are the known objects whose time is not over, for batches that
    account only for the window; None for all others. `is_comparing`: the first reading after a restore, which takes what has gone for no
    mistake, since each is asked about. `doubtful` are events of groups that may have more people than are known.
    """

    known: Mapping[str, str]
    ties: tuple[Tie, ...]
    instance_id: str
    window: Span
    read_at: datetime
    now: datetime
    token_at: datetime | None = None
    booked: Mapping[int, Span] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    coming: frozenset[str] | None = None
    held: frozenset[str] = frozenset()
    verified_gone: frozenset[str] = frozenset()
    is_second_reading: bool = False
    accepts_removals: bool = False
    later_ids: Sequence[Mapping[str, Any]] = ()
    is_comparing: bool = False
    doubtful: frozenset[str] = frozenset()
    keeps_held: bool = False
    """Somebody decided that what is in quarantine is kept."""

    def is_own(self, mark: EventMark | None) -> bool:
        """Whether it names an appointment that this database knows by that name. After a restore the same number may be another's."""
        ids = InstanceIds(self.instance_id, self.later_ids)
        return mark is not None and mark.instance_id == ids.of(mark.appointment_id)


@dataclass(frozen=True, slots=True)
class Store:
    """Keep what is known of this object, and the time it takes."""

    event: RemoteEvent
    busy: tuple[Span, ...]
    is_ours: bool = False
    rolls: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """This object stands there but could not be had: what is known of it stays, and it is shown as unreadable."""

    event: RemoteEvent


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget this object and its busy time."""

    remote_id: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """Note the version of our event. `is_settled` ends what was open about it: it stands at the booking's time (again)."""

    tie: Tie
    event: RemoteEvent
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class MovedOutside:
    """A person moved our event."""

    tie: Tie
    event: RemoteEvent


@dataclass(frozen=True, slots=True)
class RemovedOutside:
    """A person deleted our event, or called it off (then `event` is what still stands)."""

    tie: Tie
    event: RemoteEvent | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """Our event is gone, and nobody minds."""

    tie: Tie


Action: TypeAlias = Store | Unread | Drop | Adopt | MovedOutside | RemovedOutside | Forget


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A reading that would take away too much at once."""

    remote_ids: frozenset[str]
    own: int
    known: int


@dataclass(slots=True)
class Plan:
    """`to_verify` must be looked up before their removal counts. With `keeps_token` the reading must be repeated from where it began."""

    actions: list[Action] = field(default_factory=list)
    to_verify: list[str] = field(default_factory=list)
    suspicion: Suspicion | None = None
    held: frozenset[str] = frozenset()
    changed_groups: frozenset[str] = frozenset()
    """Events of groups that were written elsewhere since the backup."""
    keeps_token: bool = False
