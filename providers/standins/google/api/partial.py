"""The parameter `fields`: partial answers, as `items(id,status),nextPageToken` or `items/id`. Pure."""

from __future__ import annotations

import re
from typing import Any

from providers.standins.google.problems import invalid

Json = dict[str, Any]
_TOKEN = re.compile(r"[\w-]+|\*|[(),/]")


def selected(body: Json, fields: str) -> Json:
    """Only the fields named. Raises Refused for a selector that is none."""
    tokens = _TOKEN.findall(fields)
    if "".join(tokens) != fields.replace(" ", ""):
        raise invalid(f"Invalid field selection {fields}", "fields")
    tree = _tree(tokens)
    if tokens:
        raise invalid(f"Invalid field selection {fields}", "fields")
    found = _picked(body, tree)
    assert isinstance(found, dict)
    return found


def _tree(tokens: list[str]) -> Json:
    """Names to their own trees; an empty one stands for everything below. Takes the tokens away."""
    tree: Json = {}
    while tokens and tokens[0] not in ")":
        name = tokens.pop(0)
        if name in "(,/":
            raise invalid(f"Invalid field selection {name}", "fields")
        tree[name] = {**tree.get(name, {}), **_below(tokens)}
        if not tokens or tokens[0] != ",":
            break
        tokens.pop(0)
    return tree


def _below(tokens: list[str]) -> Json:
    if tokens and tokens[0] == "/":
        tokens.pop(0)
        if not tokens:
            raise invalid("Invalid field selection", "fields")
        name = tokens.pop(0)
        return {name: _below(tokens)}
    if tokens and tokens[0] == "(":
        tokens.pop(0)
        tree = _tree(tokens)
        if not tokens or tokens.pop(0) != ")":
            raise invalid("Invalid field selection", "fields")
        return tree
    return {}


def _picked(value: Any, tree: Json) -> Any:
    if not tree or "*" in tree:
        return value
    if isinstance(value, list):
        return [_picked(part, tree) for part in value]
    if not isinstance(value, dict):
        return value
    return {name: _picked(value[name], below) for name, below in tree.items() if name in value}
