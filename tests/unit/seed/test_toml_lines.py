"""Every key, table and array item of a TOML text has its line, whatever the text looks like."""

from __future__ import annotations

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from portal.seed.toml_lines import line_numbers, line_of

TEXT = '''# a comment with [brackets] and = signs
[business]
name = """a
[[resource]]
slug = "not this one" """
zone="Europe/Madrid" # [x]

[[resource]]
slug = 'ana'
hours = { mon = ["09:00-13:00",
   "14:00-17:00"
 ], "tue" = [] }
closed = [
  2027-01-06, # Epiphany

  "2027-01-07",
]
[[resource.calendar]]
url = 'https://a.example/#b'
[[resource.calendar]]
url = "a \\" ] quote"
[[resource]]
a.b = 1
[[resource.calendar]]
at = 1979-05-27 07:32:00
[resource.overrides]
"2027-01-05" = ["10:00-12:00"]
'''


def test_tables_in_arrays_are_counted_inside_their_parents():
    lines = line_numbers(TEXT)
    assert [lines["resource", n] for n in (0, 1)] == [8, 22]
    assert [lines["resource", 0, "calendar", n, "url"] for n in (0, 1)] == [19, 21]
    assert lines["resource", 1, "calendar", 0, "at"] == 25
    assert lines["resource", 1, "overrides", "2027-01-05", 0] == 27


def test_what_looks_like_a_key_inside_a_long_string_is_none():
    lines = line_numbers(TEXT)
    assert lines["business", "name"] == 3
    assert lines["business", "zone"] == 6


def test_items_of_an_array_have_lines_of_their_own():
    lines = line_numbers(TEXT)
    assert [lines["resource", 0, "hours", "mon", n] for n in (0, 1)] == [10, 11]
    assert lines["resource", 0, "hours", "tue"] == 12
    assert [lines["resource", 0, "closed", n] for n in (0, 1)] == [14, 16]


def test_dotted_keys_name_all_their_parts():
    assert line_numbers(TEXT)["resource", 1, "a", "b"] == 23


def test_the_nearest_thing_around_stands_in_for_what_is_missing():
    assert line_of(line_numbers(TEXT), ("resource", 1, "name")) == 22
    assert line_of(line_numbers(TEXT), ("service",)) == 1


_keys = st.text("ab-_", min_size=1, max_size=3)
_scalars = st.integers() | st.booleans() | st.text("a\"'\\\n]}#,= [", max_size=6)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3), max_leaves=8
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_keys, _values, max_size=4), st.booleans())
def test_every_value_of_any_text_is_found(values, spread):
    text = "".join(f"{key} = {_toml(value, spread)} # comment\n" for key, value in values.items())
    lines = line_numbers(text)
    assert tomllib.loads(text) == values
    assert set(_paths(values)) == set(lines)
    assert all(1 <= line <= text.count("\n") for line in lines.values())


def _toml(value, spread):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"""{escaped}"""' if spread and not value.startswith("\n") else '"' + escaped.replace("\n", "\\n") + '"'
    if isinstance(value, list):
        gap = "\n  # [ nothing = here\n" if spread else " "
        return "[" + gap + ("," + gap).join(_toml(item, spread) for item in value) + gap + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item, False)}" for key, item in value.items()) + " }"
    return str(value)


def _paths(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from _paths(item, (*path, key))
