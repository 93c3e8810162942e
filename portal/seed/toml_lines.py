"""Where things stand in a TOML text: `tomllib` gives values without their lines. Pure; used to say which line of a seed file is wrong.

The text must be valid TOML (tomllib says so first, with the line, when it is not).
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and, for arrays, indexes: ("resource", 0, "hours", "mon", 1)."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'  # two more quotes may stand right before the closing three
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def line_numbers(text: str) -> dict[Path, int]:
    """Path -> line (from 1) of every table, key and array item."""
    return _Scanner(text).scan()


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of `path`, or of the nearest thing around it that has one."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._tables: dict[Path, int] = {}  # array of tables -> how many so far
        self._lines: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._next("["):
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()
        return self._lines

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the path of the table that the following pairs belong to."""
        line = self._line()
        brackets = 2 if self._next("[[") else 1
        self._at += brackets
        *parents, last = self._keys()
        self._at += brackets
        path: Path = ()
        for key in parents:
            path = self._note((*path, key), line)
            path = self._newest(path)
        path = self._note((*path, last), line)
        if brackets == 2:
            self._tables[path] = self._tables.get(path, 0) + 1
            path = self._note(self._newest(path), line)
        return path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = self._note((*path, key), line)
        self._at += 1  # the equals sign
        self._skip_blank()
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._next("["):
            self._array(path)
        elif self._next("{"):
            self._inline_table(path)
        else:
            self._take(_STRING if self._text[self._at] in "\"'" else _SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        self._skip_blank()
        number = 0
        while not self._next("]"):
            item = self._note((*path, number), self._line())
            self._value(item)
            self._skip_comma()
            number += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        self._skip_blank()
        while not self._next("}"):
            self._pair(path)
            self._skip_comma()
        self._at += 1

    def _keys(self) -> list[str]:
        """A dotted key; stops at what follows it."""
        keys = []
        while True:
            self._skip_blank()
            is_quoted = self._text[self._at] in "\"'"
            raw = self._take(_STRING if is_quoted else _BARE_KEY)
            keys.append(tomllib.loads(f"key = {raw}")["key"] if is_quoted else raw)
            self._skip_blank()
            if not self._next("."):
                return keys
            self._at += 1

    def _note(self, path: Path, line: int) -> Path:
        self._lines.setdefault(path, line)
        return path

    def _newest(self, path: Path) -> Path:
        """Inside an array of tables, what follows belongs to its last one."""
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match, f"not TOML at character {self._at}"
        self._at = match.end()
        return match.group()

    def _skip_blank(self) -> None:
        self._take(_BLANK)

    def _skip_comma(self) -> None:
        self._skip_blank()
        if self._next(","):
            self._at += 1
            self._skip_blank()

    def _next(self, start: str) -> bool:
        return self._text.startswith(start, self._at)

    def _line(self) -> int:
        return bisect_right(self._line_starts, self._at)
