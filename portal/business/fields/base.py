"""What all declared fields have in common: how they are declared together, and one by one. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing, post_load, validate, validates_schema

from portal.business.fields.faults import Fault, wrong


class Fields(Schema):
    """What belongs together. A key that is not declared is refused, with the one that was meant perhaps."""

    error_messages = {"type": "table"}  # noqa: RUF012

    class Meta:
        unknown = EXCLUDE  # `refuse_unknown` does it, with a hint

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_unknown(self, _data: Any, original: Any, **_more: Any) -> None:
        if not isinstance(original, Mapping):
            return
        known = [field.data_key or name for name, field in self.load_fields.items()]
        unknown = {
            key: [Fault("unknown", "", {"hint": _hint(str(key), known), "known": ", ".join(known)})]
            for key in original
            if key not in known
        }
        if unknown:
            raise ValidationError(unknown)

    @post_load
    def follow(self, data: dict[str, Any], **_more: Any) -> dict[str, Any]:
        """What was left out and follows another field is equal to that."""
        for name, field in self.load_fields.items():
            if isinstance(field, Kind) and field.follows in data:
                data.setdefault(name, data[field.follows])
        return data


@cache
def schema_of(declaration: type[Fields]) -> Fields:
    """The one instance."""
    return declaration()


def declared(declaration: type[Fields]) -> dict[str, Kind]:
    """The fields by the names of their columns, in order."""
    return {name: field for name, field in schema_of(declaration).fields.items() if isinstance(field, Kind)}


class Kind(fields.Field[Any]):
    """`default` is what a left-out key means (or the field that it `follows`), `begins` what the form of a new thing suggests, `key` the name
    in a seed file where that is another than the column's, `asks` the sentence of a form in which it is empty. The API tells what is `public`;
    `told` explains it there."""

    default_error_messages = {"required": "missing", "null": "missing"}  # noqa: RUF012
    input = "text"
    """The sort of form field."""
    rows: int | None = None
    """So many lines of it are seen; None: it has one."""
    is_noted = False
    """Whether its label says that it may be left empty; elsewhere the hint does."""

    def __init__(
        self,
        label: str = "",
        *,
        hint: str = "",
        default: Any = missing,
        follows: str = "",
        begins: Any = missing,
        key: str | None = None,
        public: bool = False,
        told: str = "",
        asks: str = "",
        check: Sequence[validate.Validator] = (),
        **more: Any,
    ) -> None:
        self.label, self.hint, self.asks, self.is_public = label, hint, asks, public
        self.default, self.follows = default, follows
        self._begins = begins
        is_listed = isinstance(default, list)
        super().__init__(
            required=default is missing and not follows,
            load_default=(lambda: list(default)) if is_listed else default,
            allow_none=default is None,
            data_key=key,
            validate=list(check),
            metadata={"description": told} if told else {},
            **more,
        )

    @property
    def begins(self) -> Any:
        """What the form of something new shows at first."""
        value = self.default if self._begins is missing else self._begins
        return "" if value is missing else value

    @property
    def is_needed(self) -> bool:
        """Whether its form field may not be left empty."""
        return self.required or bool(self.follows)

    @property
    def longest(self) -> int | None:
        """As many characters its form field takes."""
        return next((check.max for check in self.validators if isinstance(check, Longest)), None)

    def show(self, value: Any) -> Any:
        """As its form field holds it."""
        return "" if value is None else str(value)

    def read(self, typed: Any) -> Any:
        """What is meant by what was typed; what cannot be understood stays as it is, and is refused then."""
        return typed

    def tell(self, value: Any) -> Any:
        """As the API tells it."""
        return value


class Longest(validate.Length):
    """At most so many characters, or things."""

    def __call__(self, value: Any) -> Any:
        if self.max is not None and len(value) > self.max:
            code = "long" if isinstance(value, str) else "many"
            raise wrong(code, longest=self.max, length=len(value))
        return value


def _hint(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}."
