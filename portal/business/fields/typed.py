"""Declared fields in a form: what it shows, and what is meant by what was typed, with a sentence for each field that does not fit. Pure.

`typed` holds fields by the names of their columns as texts, checkboxes as "1" or missing. A field that the form did not hold keeps the value
that it has, in something new its default: what a page does not show is not changed by sending it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from marshmallow import ValidationError, missing

from portal.business.fields.base import Fields, Kind, declared, schema_of
from portal.business.fields.faults import Fault, faults_of
from portal.business.fields.kinds import Flag
from portal.errors import Invalid
from portal.language.lengths import length_text

CHOOSE = "Please choose one of these."
_SENTENCES = {
    "missing": "Please fill this in.",
    "empty": "Please fill this in.",
    "text": "Please fill this in.",
    "long": "Please use at most {longest} characters.",
    "many": "These are too many: please leave it at {longest}.",
    "together": "Please use at most {longest} characters for all of it.",
    "name": "{sentence}",
    "slug": "The address must be lower-case letters, digits and single hyphens.",
    "reserved": "The address must be another word: /{text} is an address of the portal itself.",
    "question_name": "The name must be lower-case letters, digits, - and _.",
    "one_of": CHOOSE,
    "truth": CHOOSE,
    "number": "Please give a whole number from {least} to {most}{steps}{or_none}.",
    "length": "Please give a time such as 2 hours or 1 day, from {shortest} to {largest}.",
    "reminder": "Please give times such as 1 day, 2 hours; each from {shortest} to {largest}.",
    "list": "Please give times such as 1 day, 2 hours.",
    "choice": "Please use at most {longest} characters in a line.",
    "twice": "Please write each only once.",
    "needs_choices": "Please write down what can be chosen, one in a line.",
    "email": "Please enter an e-mail address, such as ana@studio.example.",
    "zone": "Please choose a time zone from the list.",
    "language": CHOOSE,
    "url": "Please enter an address that begins with https://.",
}


def shown(declaration: type[Fields], row: Any) -> dict[str, str]:
    """The form of what stands in this row."""
    return {name: kind.show(getattr(row, name)) for name, kind in declared(declaration).items()}


def begun(declaration: type[Fields]) -> dict[str, str]:
    """The form of something new, with what most want."""
    return {name: kind.show(kind.begins) if kind.begins != "" else "" for name, kind in declared(declaration).items()}


def read(
    declaration: type[Fields], typed: Mapping[str, Any], *, present: Any = None, without: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """(values, errors), both by the names of the columns. `present` has the values of what the form does not hold, `without` is left out."""
    kinds = {name: kind for name, kind in declared(declaration).items() if name not in without}
    meant = {kind.data_key or name: _meant(kind, name, typed, present) for name, kind in kinds.items()}
    try:
        values = schema_of(declaration).load(meant, partial=tuple(without))
    except ValidationError as error:
        return cast(dict[str, Any], error.valid_data), _told(error, kinds)
    return dict(values), {}


def read_one(kind: Kind, typed: str) -> Any:
    """The value of one field alone. Raises Invalid, by the field's name."""
    try:
        return kind.deserialize(kind.read(typed))
    except ValidationError as error:
        told = sentence(kind, faults_of(error)[0][1])
        raise Invalid(told, fields={kind.name or "": told}) from None


def sentence(kind: Kind, fault: Fault) -> str:
    """What to do about it, for who types."""
    if fault.code in ("missing", "empty") and kind.asks:
        return kind.asks
    details = dict(fault.details)
    if fault.of:
        step = details["step"]
        details |= {"steps": f", in steps of {step}" if step > 1 else ""}
        details |= {"or_none": ", or leave it empty" if kind.default is None else ""}
        details |= {"shortest": length_text(details["least"]), "largest": length_text(details["most"])}
    return _SENTENCES[fault.of or fault.code].format(**details)


def in_words(kind: Kind) -> str:
    """Its label, inside of a sentence."""
    return kind.label[:1].lower() + kind.label[1:]


def _meant(kind: Kind, name: str, typed: Mapping[str, Any], present: Any) -> Any:
    if name in typed or isinstance(kind, Flag):
        return kind.read(typed.get(name, ""))
    if present is not None:
        return getattr(present, name)
    return kind.read("") if kind.default is missing else kind.default


def _told(error: ValidationError, kinds: Mapping[str, Kind]) -> dict[str, str]:
    """The first sentence of each field."""
    names = {kind.data_key or name: name for name, kind in kinds.items()}
    told: dict[str, str] = {}
    for path, fault in faults_of(error):
        name = names[str(path[0])]
        told.setdefault(name, sentence(kinds[name], fault))
    return told
