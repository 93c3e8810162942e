"""Loads what a worker needs, once, in the process that forks them (`tests.faults.house.nursery`)."""

from importlib import import_module

from portal.app import MODELS, PAGES
from portal.worker import jobs, run

for name in (
    *PAGES,
    *MODELS,
    "portal.worker.answer_doorbell",
    "providers.calendars.caldav.calendars",
    "providers.calendars.google.calendars",
    "providers.calendars.ical.mapping",
    "portal.outbound.session",
):
    import_module(name)
for topic in jobs.TOPICS:
    jobs.handler_of(topic)
assert run
