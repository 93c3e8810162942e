"""Pages for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint

if TYPE_CHECKING:
    from tests.google.app import Parts


def blueprint(parts: Parts) -> Blueprint:
    return Blueprint("pages", __name__)
