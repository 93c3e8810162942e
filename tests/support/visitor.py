"""A visitor without scripts: follows links, fills in forms and presses buttons, as a plain browser does, and keeps the last page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

from flask import Flask
from lxml import html
from werkzeug.test import TestResponse


class Visitor:
    """`page` is the parsed last answer, `status` its status, `url` its address after redirects:
    within the site where the visit began without the host."""

    def __init__(self, app: Flask, **headers: str) -> None:
        self.client = app.test_client()
        self.headers = headers
        self.url = "/"
        self.home = ""
        self.status = 0

    def get(self, url: str) -> Visitor:
        return self._keep(self.client.get(url, follow_redirects=True, headers=self.headers))

    def follow(self, text: str) -> Visitor:
        """Click the link with this text or name."""
        link = self._one("a", text)
        return self.get(urljoin(self.url, link.get("href")))

    def press(self, text: str, **typed: str) -> Visitor:
        """Press the (first) button with this text, its form's fields filled in with `typed`."""
        button = self._one("button", text)
        form = self._form_of(button)
        values = {**_values(form), **typed}
        if button.get("name"):
            values[button.get("name")] = button.get("value")
        target = urljoin(self.url, button.get("formaction") or form.get("action") or self.url)
        send = self.client.get if form.get("method") == "get" else self.client.post
        sent = {"query_string" if send == self.client.get else "data": values}
        return self._keep(send(target, follow_redirects=True, headers=self.headers, **sent))

    def times(self, where: str = "slots") -> list[str]:
        """The labels of the time buttons within an element of this id."""
        return [_text(button) for button in self.page.xpath(f'//*[@id="{where}"]//button[@name="start_at"]')]

    def text(self, selector: str = "//main") -> str:
        return " ".join(_text(element) for element in self.page.xpath(selector))

    def value(self, name: str) -> str:
        """What stands in a field."""
        field = self.page.xpath(f'//*[@name="{name}"]')[0]
        return field.text_content().lstrip("\n") if field.tag == "textarea" else field.get("value", "")

    def _keep(self, response: TestResponse) -> Visitor:
        self.response = response
        self.status = response.status_code
        parts = urlsplit(response.request.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        self.home = self.home or origin
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.url = path if origin == self.home else f"{origin}{path}"
        self.page = html.fromstring(response.get_data(as_text=True) or "<p></p>")
        return self

    def _one(self, tag: str, text: str) -> Any:
        for element in self.page.iter(tag):
            if text in {_text(element), element.get("aria-label")} or _text(element).startswith(text):
                return element
        raise AssertionError(f"There is no {tag} “{text}” on {self.url}: {self.text()[:600]}")

    def _form_of(self, button: Any) -> Any:
        name = button.get("form")
        return self.page.get_element_by_id(name) if name else next(button.iterancestors("form"))


def fields(page: Visitor, button: str) -> dict[str, Any]:
    """What the form of this button would send."""
    return _values(page._form_of(page._one("button", button)))


def _values(form: Any) -> dict[str, Any]:
    """What a browser would send; a list where several boxes have one name."""
    found: dict[str, list[str]] = {}
    for name, value in form.form_values():
        if name:
            found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def _text(element: Any) -> str:
    return " ".join(element.text_content().split())
