"""A customer's data through a whole portal as its owner runs it: their own page by a mailed code, and being forgotten, down to the files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import requests
from lxml import html

from tests.support.instance import Instance, until

BUSINESS = """
[business]
name = "Studio Ana"
zone = "Europe/Madrid"

[[resource]]
slug = "ana"
kind = "staff"
name = "Ana"
email = "ana@studio.example"
hours = {hours}

[[service]]
slug = "consultation"
name = "Consultation"
duration = 30
step = 30
horizon = 30
resources = ["ana"]
"""
HOURS = "{ " + ", ".join(f'{day} = ["00:00-24:00"]' for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")) + " }"
ADDRESS = "quillmarker@example.org"
MARKERS = (b"quillmarker", b"zsofia quill", b"555 0199")


def traces(folder: Path) -> set[bytes]:
    """Which markers stand anywhere in the instance's folder, whatever the file."""
    found: set[bytes] = set()
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "serve.log":
            content = path.read_bytes().lower()
            found |= {marker for marker in MARKERS if marker in content}
    return found


def send(visitor: requests.Session, instance: Instance, page: requests.Response, **typed: str) -> requests.Response:
    """Fill in the page's form and send it, as a browser without scripts does."""
    form = html.fromstring(page.text).xpath("//main//form[@method='post']")[0]
    values = {name: value for name, value in form.form_values() if name}
    return visitor.post(f"{instance.url}{form.get('action')}", data={**values, **typed}, timeout=20)


def mail_of(instance: Instance, kind: str) -> str:
    found = [path for path in instance.mails if f"-{kind}-" in path.name]
    return found[-1].read_text(encoding="utf-8") if found else ""


def test_a_customer_sees_their_bookings_by_a_mailed_code_and_is_forgotten_down_to_the_files(tmp_path):
    seed = tmp_path / "studio.toml"
    seed.write_text(BUSINESS.replace("{hours}", HOURS), encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir()
    instance = Instance(data)
    instance.run("db", "upgrade")
    instance.run("seed", str(seed))
    with instance:
        token = instance.token()
        free = instance.api("GET", "availability?service=consultation").json()["slots"]
        customer = {"name": "Zsofia Quill", "email": ADDRESS, "phone": "555 0199"}
        body = {"service": "consultation", "start_at": free[-1]["start_at"], "customer": customer}
        assert instance.api("POST", "bookings", token=token, body=body, key="one").status_code == 201

        visitor = requests.Session()
        asked = send(visitor, instance, visitor.get(f"{instance.url}/mine", timeout=20), email=ADDRESS.upper())
        until(lambda: mail_of(instance, "code"), what="the mail with the code")
        code = re.search(r"\b(\d{3} ?\d{3})\b", mail_of(instance, "code"))
        assert code is not None
        own = send(visitor, instance, asked, code=code[1])
        assert own.url.endswith("/mine/bookings")
        assert "Consultation" in own.text
        assert traces(data) == set(MARKERS)

        answer = json.loads(instance.run("customer", "erase", ADDRESS, "--tell", "--yes", "--json"))
        assert answer == {"is_done": False, "bookings": 1, "entries": 0}
        until(lambda: not traces(data), seconds=30, what="everything to be forgotten")
        assert visitor.get(f"{instance.url}/mine/bookings", timeout=20).url.endswith("/mine")
        assert "Nothing is stored" in _refusal(instance, "customer", "export", ADDRESS)
        assert free[-1]["start_at"] in {
            slot["start_at"] for slot in instance.api("GET", "availability?service=consultation").json()["slots"]
        }


def _refusal(instance: Instance, *arguments: str) -> str:
    try:
        instance.run(*arguments)
    except AssertionError as error:
        return str(error)
    return ""
