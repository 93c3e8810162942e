"""A visitor without scripts: follows links and sends forms as they stand in the page, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import requests
from lxml import html


class Visitor:
    """`page` is the page shown now, `status` its status; `text` what a reader sees of it."""

    def __init__(self, base: str) -> None:
        self._session = requests.Session()
        self.address = base
        self.status = 0
        self.page: Any = None

    def open(self, path: str) -> Visitor:
        return self._show(self._session.get(urljoin(self.address, path), timeout=20))

    def follow(self, text: str) -> Visitor:
        """Click the first link whose text contains `text`."""
        link = next(link for link in self.page.iter("a") if text in " ".join(link.text_content().split()))
        return self.open(link.get("href"))

    def press(self, text: str, fields: Mapping[str, str] | None = None) -> Visitor:
        """Fill in `fields` and press the first button whose text contains `text`; its form goes with it."""
        button = next(b for b in self.page.iter("button") if text in " ".join(b.text_content().split()))
        form = self._form(button)
        values = {name: value for name, value in form.fields.items() if name and value is not None}
        for name, value in (fields or {}).items():
            assert name in form.fields, f"The form has no field {name}: {sorted(form.fields)}"
            values[name] = value
        if button.get("name"):
            values[button.get("name")] = button.get("value", "")
        action = urljoin(self.address, button.get("formaction") or form.get("action") or "")
        if (form.get("method") or "get").lower() == "post":
            return self._show(self._session.post(action, data=values, timeout=20))
        return self._show(self._session.get(action, params=values, timeout=20))

    @property
    def text(self) -> str:
        return " ".join(self.page.text_content().split())

    @property
    def buttons(self) -> list[str]:
        return [" ".join(button.text_content().split()) for button in self.page.iter("button")]

    def values(self, name: str) -> list[str]:
        """The values of all buttons and inputs of that name."""
        return [item.get("value", "") for item in self.page.xpath(f'//*[@name="{name}"]')]

    def _form(self, button: Any) -> Any:
        if button.get("form"):
            return self.page.get_element_by_id(button.get("form"))
        return next(parent for parent in button.iterancestors("form"))

    def _show(self, response: requests.Response) -> Visitor:
        self.address, self.status = response.url, response.status_code
        self.page = html.fromstring(response.content)
        return self
