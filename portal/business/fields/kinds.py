"""The kinds of fields: what fits into one, how a form shows it and reads what was typed, how a file and the API tell it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marshmallow import ValidationError, fields, validate

from portal.business.fields.base import Kind, Longest
from portal.business.fields.faults import wrong
from portal.errors import Invalid
from portal.language.lengths import length_text, lengths_text, read_length, read_lengths
from portal.language.names import can_be_seen, read_name

MONTH = 30 * 1440
"""Minutes."""
_WHOLE = re.compile(r"[0-9]{1,7}")


class Bounds(validate.Range):
    """A whole number from `least` to `most`, a multiple of `step`."""

    def __init__(self, least: int, most: int, *, step: int, unit: str, of: str) -> None:
        super().__init__(min=least, max=most)
        self.least, self.most, self.step, self.unit, self.of = least, most, step, unit, of

    def wrong(self, code: str) -> ValidationError:
        return wrong(
            code,
            of=self.of,
            least=self.least,
            most=self.most,
            step=self.step,
            unit=f" {self.unit}" if self.unit else "",
        )

    def __call__(self, value: Any) -> Any:
        if not self.least <= value <= self.most:
            raise self.wrong("range")
        if value % self.step:
            raise self.wrong("step")
        return value


class Text(Kind, fields.String):
    """A text in one line, or in several. It holds no control characters, and something to see where it is needed."""

    is_noted = True

    def __init__(self, label: str = "", *, longest: int = 200, lines: bool = False, **more: Any) -> None:
        super().__init__(label, check=[Longest(max=longest)], **more)
        self.lines = lines
        self.rows = 3 if lines else None

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> str:
        if not isinstance(value, str):
            raise wrong("text")
        text = self.clean(value)
        if self.required and not text:
            raise wrong("empty")
        wrong_part = self.check(text) if text else None
        if wrong_part:
            raise wrong(wrong_part, text=text)
        return text

    def clean(self, value: str) -> str:
        return clean(value, lines=self.lines)

    def check(self, text: str) -> str | None:
        """The code of what is wrong with it."""
        return None


class Name(Text):
    """What something is called, as people type it anywhere."""

    def clean(self, value: str) -> str:
        try:
            return read_name(value, longest=10**6)  # how long it may be is said as of all texts
        except Invalid as error:
            raise wrong("name", sentence=str(error)) from None


class Whole(Kind, fields.Integer):
    """A whole number; with the default None it may be left empty."""

    input = "number"
    of = "number"

    def __init__(
        self, label: str = "", *, least: int = 0, most: int = 1000, step: int = 1, unit: str = "", **more: Any
    ) -> None:
        self.bounds = Bounds(least, most, step=step, unit=unit, of=self.of)
        super().__init__(label, check=[self.bounds], **more)

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bounds.wrong("whole")
        return value

    @property
    def is_needed(self) -> bool:
        return self.default is not None

    def read(self, typed: Any) -> Any:
        text = str(typed).strip()
        if not text and self.default is None:
            return None
        return int(text) if _WHOLE.fullmatch(text) else text


class Minutes(Whole):
    """Minutes, up to a month; a form takes their number."""

    def __init__(self, label: str = "", *, least: int = 0, step: int = 1, **more: Any) -> None:
        super().__init__(label, least=least, most=MONTH, step=step, unit="minutes", **more)


class Length(Minutes):
    """Minutes that a form takes as people say them: 2 hours."""

    input = "text"
    of = "length"

    def show(self, value: Any) -> str:
        return length_text(value)

    def read(self, typed: Any) -> Any:
        minutes = read_length(str(typed))
        return typed if minutes is None else minutes


class Flag(Kind, fields.Boolean):
    """Yes or no; no when it is left out."""

    input = "checkbox"

    def __init__(self, label: str = "", *, default: bool = False, **more: Any) -> None:
        super().__init__(label, default=default, **more)

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> bool:
        if not isinstance(value, bool):
            raise wrong("truth")
        return value

    def show(self, value: Any) -> str:
        return "1" if value else ""

    def read(self, typed: Any) -> bool:
        return bool(typed == "1")


class OneOf(Kind, fields.String):
    """One of `choices`, each with its words and perhaps an explanation. `instead` says of what one might expect, what to do in its place."""

    input = "select"

    def __init__(
        self,
        label: str,
        choices: Mapping[str, str | tuple[str, str]],
        *,
        radio: bool = False,
        instead: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.options = [(key, *((text,) if isinstance(text, str) else text)) for key, text in choices.items()]
        self.values = tuple(choices)
        self.instead = dict(instead or {})
        super().__init__(label, check=[validate.OneOf(self.values)], **more)
        if radio:
            self.input = "radio"

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> str:
        if not isinstance(value, str) or value not in self.values:
            advice = self.instead.get(value, "") if isinstance(value, str) else ""
            named = [choice for choice in self.values if choice]
            raise wrong("one_of", choices=_listed(named), advice=f". {advice}" if advice else "")
        return value

    def tell(self, value: Any) -> Any:
        """Nothing is null, not an empty text."""
        return value or None


class Many(Kind, fields.List[Any]):
    """A list. No item comes twice, unless that `may_repeat`."""

    def __init__(
        self, label: str, inner: fields.Field[Any], *, most: int = 10_000, may_repeat: bool = False, **more: Any
    ) -> None:
        super().__init__(label, check=[Longest(max=most)], cls_or_instance=inner, **more)
        self.may_repeat = may_repeat

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> list[Any]:
        if not isinstance(value, list):
            raise wrong("list")
        found: list[Any] = []
        errors: dict[int, Any] = {}
        for number, item in enumerate(value):
            try:
                one = self.inner.deserialize(item)
                if one in found and not self.may_repeat:
                    raise wrong("twice")
                found.append(one)
            except ValidationError as error:
                errors[number] = error.messages
        if errors:
            raise ValidationError(errors, valid_data=found)
        return self.order(found)

    def order(self, found: list[Any]) -> list[Any]:
        return found


class Reminder(Minutes):
    of = "reminder"


class Lengths(Many):
    """Lengths of time, the longest first."""

    def __init__(self, label: str, *, least: int, most: int, **more: Any) -> None:
        super().__init__(label, Reminder(least=least), most=most, **more)

    def order(self, found: list[Any]) -> list[Any]:
        return sorted(found, reverse=True)

    def show(self, value: Any) -> str:
        return lengths_text(value)

    def read(self, typed: Any) -> Any:
        lengths = read_lengths(str(typed))
        return typed if lengths is None else lengths


class Choice(Text):
    """One of the things to choose from; never empty."""

    def _deserialize(self, value: Any, *_place: Any, **_more: Any) -> str:
        text = self.clean(value) if isinstance(value, str) else ""
        if not 1 <= len(text) <= (self.longest or 0):
            raise wrong("choice", longest=self.longest)
        return text


class Choices(Many):
    """Things to choose from, `together` at most so many characters; a form takes one a line."""

    rows = 3

    def __init__(self, label: str, *, longest: int, most: int, together: int, **more: Any) -> None:
        super().__init__(label, Choice(longest=longest), most=most, **more)
        self.together = together

    def order(self, found: list[Any]) -> list[Any]:
        length = len("\n".join(found))
        if length > self.together:
            raise wrong("together", longest=self.together, length=length)
        return found

    @property
    def longest(self) -> int:
        return self.together

    def show(self, value: Any) -> str:
        return "\n".join(map(str, value))

    def read(self, typed: Any) -> list[str]:
        return list(dict.fromkeys(filter(None, (clean(line) for line in str(typed).splitlines()))))


class Checked(Text):
    """A text that a rule decides about: `rule` gives the code of what is wrong, or nothing."""

    def __init__(self, label: str, rule: Callable[[str], str | None], **more: Any) -> None:
        super().__init__(label, **more)
        self.rule = rule

    def check(self, text: str) -> str | None:
        return self.rule(text)


def clean(text: str, *, lines: bool = False) -> str:
    """No control characters; one line, unless it may have several. Empty when there is nothing to see."""
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    if not can_be_seen(kept):
        return ""
    return kept.strip() if lines else " ".join(kept.split())


def _listed(choices: Sequence[str]) -> str:
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last
