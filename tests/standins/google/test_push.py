"""Push channels: what is sent, when, and what ends them."""

from __future__ import annotations

import http.server
import threading
import time
import uuid

import pytest

from tests.standins.google.conftest import hours
from tests.support.instance import until


class Receiver:
    """Takes messages on a port of this machine; the first answers are those in `statuses`."""

    def __init__(self):
        self.messages, self.statuses = [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                receiver.messages.append((dict(self.headers), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks/google"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def wait(self, count):
        until(lambda: len(self.messages) >= count, what=f"{count} messages, there are {len(self.messages)}")
        return [headers["X-Goog-Resource-State"] for headers, _ in self.messages]


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def watch(api, address, calendar_id="primary", **more):
    body = {"id": str(uuid.uuid4()), "type": "web_hook", "address": address, **more}
    return api("events.watch", calendarId=calendar_id, body=body)


def refused(api, calendar_id="primary", **body):
    body = {"id": str(uuid.uuid4()), "type": "web_hook", "address": "https://portal.example/h", **body}
    return api.refusal("events.watch", calendarId=calendar_id, body=body)


def test_a_channel_begins_with_a_sync_message_and_each_change_sends_one_without_a_body(api, ana, receiver):
    channel = watch(api, receiver.url, token="secret")
    assert receiver.wait(1) == ["sync"]
    api.insert()
    ana.add(ana.email, hours(12, 13))
    assert receiver.wait(3) == ["sync", "exists", "exists"]

    headers, body = receiver.messages[1]
    assert body == b""
    assert headers["X-Goog-Channel-ID"] == channel["id"]
    assert headers["X-Goog-Resource-ID"] == channel["resourceId"]
    assert headers["X-Goog-Resource-URI"] == channel["resourceUri"]
    assert headers["X-Goog-Channel-Token"] == "secret"
    assert headers["X-Goog-Channel-Expiration"].endswith("GMT")
    numbers = [int(headers["X-Goog-Message-Number"]) for headers, _ in receiver.messages]
    assert numbers[0] == 1
    assert len(set(numbers)) == 3


def test_a_channel_lives_for_a_week_unless_asked_otherwise(api):
    now = time.time()
    usual = watch(api, "https://portal.example/h")
    assert float(usual["expiration"]) / 1000 - now == pytest.approx(7 * 86_400, abs=60)
    short = watch(api, "https://portal.example/h", params={"ttl": "600"})
    assert float(short["expiration"]) / 1000 - now == pytest.approx(600, abs=60)
    exact = watch(api, "https://portal.example/h", expiration=str(int((now + 900) * 1000)))
    assert float(exact["expiration"]) / 1000 - now == pytest.approx(900, abs=60)


def test_an_ended_channel_sends_nothing(google, api, receiver):
    watch(api, receiver.url, expiration=str(int((time.time() + 0.3) * 1000)))
    receiver.wait(1)
    until(lambda: receiver.url not in {channel["address"] for channel in google.channels()}, what="the channel's end")
    api.insert()
    time.sleep(0.2)
    assert len(receiver.messages) == 1


def test_a_channel_id_is_never_used_twice(api):
    channel = watch(api, "https://portal.example/h")
    assert refused(api, id=channel["id"]) == (400, "channelIdNotUnique")
    api("channels.stop", body={"id": channel["id"], "resourceId": channel["resourceId"]})
    assert refused(api, id=channel["id"]) == (400, "channelIdNotUnique")


def test_messages_go_to_https_only(api):
    assert refused(api, address="http://portal.example/h") == (400, "push.webhookUrlNotHttps")
    assert refused(api, address="") == (400, "required")
    assert refused(api, type="carrier pigeon") == (400, "invalid")
    assert refused(api, id="x" * 65) == (400, "invalid")
    assert refused(api, token="x" * 257) == (400, "invalid")


def test_holidays_cannot_be_watched(api, ana):
    holidays = ana.make_calendar("Holidays", role="reader", calendar_id="es.holiday@group.v.calendar.google.com")
    assert refused(api, calendar_id=holidays) == (400, "pushNotSupportedForRequestedResource")


def test_a_stopped_channel_sends_nothing_and_an_unknown_one_cannot_be_stopped(api, receiver):
    channel = watch(api, receiver.url)
    receiver.wait(1)
    stop = {"id": channel["id"], "resourceId": channel["resourceId"]}
    assert api.refusal("channels.stop", body={**stop, "resourceId": "x"}) == (404, "notFound")
    api("channels.stop", body=stop)
    assert api.refusal("channels.stop", body=stop) == (404, "notFound")
    api.insert()
    time.sleep(0.2)
    assert len(receiver.messages) == 1


def test_a_receiver_out_of_order_gets_the_message_again_another_refusal_does_not(api, receiver):
    receiver.statuses = [503, 404]
    watch(api, receiver.url)
    receiver.wait(2)
    time.sleep(0.8)
    assert len(receiver.messages) == 2
    assert len({headers["X-Goog-Message-Number"] for headers, _ in receiver.messages}) == 1


def test_one_more_message_can_be_sent_by_hand(google, api, ana, receiver):
    watch(api, receiver.url)
    receiver.wait(1)
    assert google.push(ana.email) == 1
    assert receiver.wait(2) == ["sync", "exists"]


def test_messages_may_come_late(google, api, receiver):
    google.push_delay(0.4)
    watch(api, receiver.url)
    assert receiver.messages == []
    assert receiver.wait(1) == ["sync"]
