"""What is wrong with a seed file, in words. Pure. Each sentence follows the line; `key` is the key in the file, `shown` what stands there."""

from __future__ import annotations

from typing import Any

from portal.business.fields.faults import Fault, Path

_SENTENCES = {
    "missing": "{key} is missing.",
    "unknown": "{key} is not a known key; {hint}",
    "table": "{key} must be a table, not {shown}.",
    "business_missing": "the table [{key}] is missing.",
    "tables": "{key} must be written as [[{dotted}]].",
    "text": "{key} must be a text in quotes, not {shown}.",
    "empty": "{key} must not be empty.",
    "long": "{key} must have at most {longest} characters, not {length}.",
    "many": "{key} must be at most {longest}, not {length}.",
    "name": "{key} cannot be this: {sentence}",
    "slug": "{key} must be lower-case letters, digits and single hyphens, not {shown}.",
    "reserved": "{key} must be another word: /{text} is an address of the portal itself.",
    "question_name": "{key} must be lower-case letters, digits, - and _, not {shown}.",
    "language": '{key} must be a code such as "en" or "pt-BR", not {shown}.',
    "email": "{key} must be one e-mail address such as ana@studio.example, not {shown}.",
    "url": '{key} must be an address such as "https://…" without a name or password in it, not {shown}.',
    "zone": '{key} must be a time zone such as "Europe/Madrid", not {shown}.',
    "whole": "{key} must be a whole number{of_unit}, not {shown}.",
    "range": "{key} must be between {least} and {most}{unit}, not {shown}.",
    "step": "{key} must be a multiple of {step}{unit}, not {shown}.",
    "truth": "{key} must be true or false, not {shown}.",
    "one_of": "{key} must be one of {choices}, not {shown}{advice}.",
    "list": "{key} must be a list in square brackets, not {shown}.",
    "twice": "{bare} is named twice.",
    "choice": "a choice is a text of 1 to {longest} characters, not {shown}.",
    "together": "{key} must have at most {longest} characters together, not {length}.",
    "needs_choices": '{key} needs choices, such as ["tea", "coffee"].',
    "no_choices": '{key} belong to kind = "choice", not to “{kind}”.',
    "other_question": "{key} is that of another question too: {bare}.",
    "other_slug": "there are two with the slug {bare}.",
    "no_resource": "there is no resource {shown}; add it as [[resource]].",
    "no_resources": "{key} must name at least one resource.",
    "lists": '{key} is a list of lists such as [["room-1", "room-2"]]; {shown} is none.',
    "entries": "{key} must be a table in curly brackets, not {shown}.",
    "weekday": "hours are given for mon, tue, wed, thu, fri, sat, sun; {key} is none of them.",
    "ranges": '{key} must be a list of ranges such as ["09:00-13:00"], not {shown}.',
    "working": '{shown} is no range; write it as "09:00-13:00", in steps of 5 minutes.',
    "overlap": "{shown} overlaps another range of the same day.",
    "date": "{day} is no date; write it as 2027-01-06.",
    "moment": '{key} must be a day and a time such as "2027-01-10 10:00", not {shown}.',
    "time": '{key} must have a time of day such as "10:00", in steps of 5 minutes, not {shown}.',
    "day": '{key} must be a day such as "2027-01-10", not {shown}.',
    "day_twice": "{day} is named twice.",
    "exception": 'an exception is a day such as "2027-01-10", not {shown}.',
    "before_first": "{key} must not lie before first.",
    "not_fixed": '{key} belongs to timing = "fixed".',
    "not_theirs": "{key} is none of the service's resources: {shown}.",
    "same_time": "{key} is named twice.",
    "role": "a role is busy (its events close times) or destination (bookings are written there), not {shown}.",
    "no_roles": "{key} must name busy, destination or both.",
    "two_passwords": "{key} and password exclude each other; keep one.",
    "missing_password": "password is missing.",
    "not_set": "{key} names {bare}, which is not set in the environment.",
}
_REMINDER = "a reminder is a number of minutes from {least} to {most}, not {shown}."


def sentence(path: Path, fault: Fault, value: Any) -> str:
    """What is wrong at this place, where `value` stands."""
    keys = [str(part) for part in path if isinstance(part, str)]
    text = _REMINDER if fault.of == "reminder" else _SENTENCES[fault.code]
    unit = str(fault.details.get("unit", ""))
    places = {
        "key": keys[-1] if keys else "", "dotted": ".".join(keys), "shown": shown(value), "bare": value,
        "of_unit": f" of{unit}" if unit else "", "day": shown(path[-1] if fault.details.get("is_key") else value),
    }  # fmt: skip
    told = dict(fault.details)
    if fault.code == "name":
        told["sentence"] = f"{str(told['sentence'])[:1].lower()}{str(told['sentence'])[1:]}"
    return text.format(**{**places, **told})


def shown(value: Any) -> str:
    """A value as it stood in the file, about."""
    if isinstance(value, str):
        return f"“{value[:60]}”"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return str(value)
