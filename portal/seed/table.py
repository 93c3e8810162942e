"""Reads one table of a seed file key by key. Pure.

What does not fit is noted with its line, and reading goes on, so that a person sees all of it at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from portal.business.checks import shown
from portal.errors import Invalid
from portal.language.names import read_name
from portal.seed.toml_lines import Path, line_of

T = TypeVar("T")
REQUIRED: Any = object()


@dataclass
class Problems:
    """What is wrong, each with its line."""

    lines: dict[Path, int]
    found: list[tuple[int, str]] = field(default_factory=list)

    def note(self, path: Path, sentence: str) -> None:
        self.found.append((line_of(self.lines, path), sentence))


class Table:
    """`values` are those of the table at `path`. Ask for every key that may stand there, then call `finish()`."""

    def __init__(self, values: dict[str, Any], path: Path, problems: Problems) -> None:
        self.path = path
        self._values = values
        self._problems = problems
        self._asked: list[str] = []

    @property
    def line(self) -> int:
        return line_of(self._problems.lines, self.path)

    def text(
        self, key: str, *, default: str = REQUIRED, longest: int = 200, check: Callable[[str], str | None] | None = None
    ) -> str:
        """A text. `check` gives a sentence when it does not fit."""
        value = self._get(key, default)
        if value is default:
            return "" if value is REQUIRED else default
        if not isinstance(value, str):
            return self._wrong(key, f"must be a text in quotes, not {shown(value)}", "")
        if default is REQUIRED and not value.strip():
            return self._wrong(key, "must not be empty", "")
        if len(value) > longest:
            return self._wrong(key, f"must have at most {longest} characters, not {len(value)}", "")
        wrong = check(value) if check and value else None
        return self._wrong(key, wrong, "") if wrong else value.strip()

    def name(self, key: str) -> str:
        """What something is called, as people type it in forms."""
        text = self.text(key)
        try:
            name = read_name(text)
        except Invalid as error:
            return self._wrong(key, f"cannot be this: {str(error)[:1].lower()}{str(error)[1:].rstrip('.')}", "")
        return name

    def number(self, key: str, *, least: int, most: int, default: int = REQUIRED, step: int = 1, unit: str = "") -> int:
        """A whole number from `least` to `most`, a multiple of `step`."""
        value = self._get(key, default)
        if value is default:
            return least if value is REQUIRED else default
        if not isinstance(value, int) or isinstance(value, bool):
            return self._wrong(key, f"must be a whole number{f' of{unit}' if unit else ''}, not {shown(value)}", least)
        if not least <= value <= most:
            return self._wrong(key, f"must be between {least} and {most}{unit}, not {value}", least)
        if value % step:
            return self._wrong(key, f"must be a multiple of {step}{unit}, not {value}", least)
        return value

    def optional_number(self, key: str, *, least: int, most: int, unit: str = "") -> int | None:
        """A whole number, or None when the key is left out."""
        if key not in self._values:
            self._asked.append(key)
            return None
        return self.number(key, least=least, most=most, unit=unit)

    def truth(self, key: str) -> bool:
        """true or false; false when it is left out."""
        value = self._get(key, False)
        return (
            value if isinstance(value, bool) else self._wrong(key, f"must be true or false, not {shown(value)}", False)
        )

    def choice(
        self, key: str, choices: Sequence[str], *, default: str = REQUIRED, instead: Mapping[str, str] | None = None
    ) -> str:
        """One of `choices`. `instead` says for values that one might expect, what to do in their place."""
        value = self._get(key, default)
        if value is default:
            return choices[0] if value is REQUIRED else default
        if value not in choices:
            advice = f". {instead[value]}" if instead and isinstance(value, str) and value in instead else ""
            return self._wrong(key, f"must be one of {_listed(choices)}, not {shown(value)}{advice}", choices[0])
        return str(value)

    def items(self, key: str, *, default: list[Any] = REQUIRED) -> list[tuple[Path, Any]]:
        """The items of an array, each with its path."""
        value = self._get(key, default)
        if value is REQUIRED:
            return []
        if not isinstance(value, list):
            return self._wrong(key, f"must be a list in square brackets, not {shown(value)}", [])
        return [((*self.path, key, number), item) for number, item in enumerate(value)]

    def entries(self, key: str) -> list[tuple[Path, str, Any]]:
        """Path, key and value of each entry of a table inside this one; none when it is not there."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            return self._wrong(key, f"must be a table in curly brackets, not {shown(value)}", [])
        return [((*self.path, key, name), name, item) for name, item in value.items()]

    def tables(self, key: str) -> list[Table]:
        """The tables of an array of tables (`[[...]]`); none when it is not there."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            name = ".".join([str(part) for part in self.path if isinstance(part, str)] + [key])
            return self._wrong(key, f"must be written as [[{name}]]", [])
        return [Table(item, (*self.path, key, number), self._problems) for number, item in enumerate(value)]

    def value(self, key: str) -> Any:
        """Whatever stands there, for the caller to understand; None when it is missing, which is noted."""
        found = self._get(key, REQUIRED)
        return None if found is REQUIRED else found

    def has(self, key: str) -> bool:
        return key in self._values

    def wrong(self, key: str, sentence: str) -> None:
        """Note a problem with this key."""
        self._problems.note((*self.path, key), f"{key} {sentence}.")

    def wrong_at(self, path: Path, sentence: str) -> None:
        """Note a problem further inside."""
        self._problems.note(path, sentence)

    def finish(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self._values.keys() - set(self._asked):
            near = difflib.get_close_matches(key, self._asked, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(self._asked)}."
            self._problems.note((*self.path, key), f"{key} is not a known key; {hint}")

    def _get(self, key: str, default: Any) -> Any:
        self._asked.append(key)
        if key not in self._values and default is REQUIRED:
            self._problems.note(self.path, f"{key} is missing.")
        return self._values.get(key, default)

    def _wrong(self, key: str, sentence: str, instead: T) -> T:
        self.wrong(key, sentence)
        return instead


def _listed(choices: Sequence[str]) -> str:
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last
