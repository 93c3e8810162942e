"""Mails as they travel: readable by every mail program, and never broken by what people typed."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.messaging.base import DeliveryRefused, MailDraft, TemporaryDeliveryError
from providers.messaging.file import FileMessenger
from providers.messaging.mime import build_mime, to_bytes

DRAFT = MailDraft(
    message_key="abc123",
    kind="booked",
    sender="Studio Ana <hello@studio.example>",
    recipient="zoe@customer.example",
    recipient_name="Zoë Novák",
    subject="Booked: Consultation, Thu 3 Dec, 10:30 – 👩‍👩‍👧",
    text="Hello Zoë,\n\nyou are booked.\n",
    html="<p>Hello Zoë</p>\n",
    calendar=b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Zo\xc3\xab\r\nEND:VCALENDAR\r\n",
    calendar_method="REQUEST",
    written_at=datetime(2026, 11, 21, 8, 0, 5, 123000, tzinfo=UTC),
)


def test_a_mail_program_reads_text_html_and_invitation():
    message = travel(DRAFT)
    alternatives = [part for part in message.walk() if part.get_content_maintype() == "text"]
    assert [part.get_content_type() for part in alternatives] == ["text/plain", "text/html", "text/calendar"]
    assert text_of(message) == DRAFT.text
    assert text_of(message, "html") == DRAFT.html
    [calendar] = [part for part in alternatives if part.get_content_type() == "text/calendar"]
    assert calendar.get_param("method") == "REQUEST"
    assert calendar.get_payload(decode=True) == DRAFT.calendar
    [attached] = message.iter_attachments()
    assert (attached.get_content_type(), attached.get_filename()) == ("application/ics", "invitation.ics")
    assert attached.get_payload(decode=True) == DRAFT.calendar


def test_headers_name_both_sides_and_the_news():
    message = travel(DRAFT)
    assert message["From"] == "Studio Ana <hello@studio.example>"
    assert message["To"].addresses[0].display_name == "Zoë Novák"
    assert message["Subject"] == DRAFT.subject
    assert message["Message-ID"] == "<abc123@studio.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == datetime(2026, 11, 21, 8, 0, 5, tzinfo=UTC)


NAMES = [
    "Studio Ana", "Ñandú & Söhne", "李雷工作室", "Ana, Ltd.", 'Ana "the best"', "Ana <fake@evil.example>", "ana@evil.example",
    "Ana\\", "(Ana)", "Ana\r\nBcc: all@evil.example", "a" * 200, "Ана" * 60, "\u202eanA oidutS", "; Ana:",
]  # fmt: skip


def shown(message, header):
    """Name and address as mail programs read them; the standard library's own reader puts blanks between the pieces of a long name."""
    raw = message_from_bytes(message.as_bytes(), policy=policy.compat32)[header]
    name, address = parseaddr(raw.replace("\r\n", "").replace("\n", ""))
    return str(make_header(decode_header(name))), address


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_bears_the_business_s_name_and_the_setting_s_address_whatever_the_name(name):
    message = travel(
        replace(DRAFT, sender="Lockstep <noreply@mail.example>", sender_name=name, reply_to="ana@studio.example")
    )
    assert shown(message, "From") == (" ".join(name.split()), "noreply@mail.example")
    assert shown(message, "Reply-To") == (" ".join(name.split()), "ana@studio.example")
    assert message["Bcc"] is None
    assert message["Message-ID"] == "<abc123@mail.example>"


@pytest.mark.parametrize(
    "address", ["", "hello@studio.example", "HELLO@studio.example", "añá@studio.example", "no address", "a@b\nBcc: c@d"]
)
def test_there_is_no_reply_to_that_says_nothing_or_that_few_servers_could_carry(address):
    assert travel(replace(DRAFT, reply_to=address))["Reply-To"] is None


LONG_LINK = "https://booking.a-rather-long-name-of-a-studio.example/u/" + "WyJyZW1pbmRlcnMiLDFd." * 6


def test_a_mail_that_can_be_ended_says_so_in_one_line_that_every_program_can_read():
    lines = to_bytes(build_mime(replace(DRAFT, stop_url=LONG_LINK))).split(b"\r\n")
    assert f"List-Unsubscribe: <{LONG_LINK}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert travel(replace(DRAFT, stop_url=LONG_LINK))["List-Unsubscribe"] == f"<{LONG_LINK}>"


def test_one_click_is_only_offered_over_https_and_nothing_where_nothing_ends():
    plain = travel(replace(DRAFT, stop_url="http://localhost/u/x"))
    assert plain["List-Unsubscribe"] == "<http://localhost/u/x>"
    assert plain["List-Unsubscribe-Post"] is None
    assert travel(DRAFT)["List-Unsubscribe"] is None


def test_no_address_adds_a_header():
    with pytest.raises(ValueError, match="linefeed"):
        build_mime(replace(DRAFT, stop_url="https://x.example/u/a\r\nBcc: eve@example.org"))


def test_the_same_draft_has_the_same_headers():
    assert build_mime(DRAFT).items()[:-1] == build_mime(DRAFT).items()[:-1]


def test_everything_travels_in_seven_bits_and_short_lines():
    content = to_bytes(build_mime(replace(DRAFT, text="é" * 3000, html="<p>" + "é" * 3000 + "</p>")))
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) <= 998


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\x00", "\ud800"])
@pytest.mark.parametrize("field", ["subject", "recipient_name"])
def test_no_typed_text_adds_a_header(field, mark):
    message = travel(replace(DRAFT, **{field: f"Eve{mark}Bcc: other@example.org{mark}{mark}body"}))
    assert message["Bcc"] is None
    assert text_of(message) == DRAFT.text


@pytest.mark.parametrize(
    "address",
    [
        "",
        "zoe",
        "@example.org",
        "zoe@",
        "zoe@a.example\r\nBcc: eve@example.org",
        "a b@example.org",
        "<zoe@example.org>",
        "\ud800@example.org",
    ],
)
def test_what_is_no_address_is_refused_in_words(address):
    with pytest.raises(DeliveryRefused, match="is not an e-mail address"):
        build_mime(replace(DRAFT, recipient=address))


@pytest.mark.parametrize(
    "address", ["a..b@example.org", "a(b)@example.org", "o'brien+x@example.org", '"quoted"@example.org']
)
def test_unusual_addresses_are_written_down_or_refused_but_never_altered(address):
    try:
        message = travel(replace(DRAFT, recipient=address))
    except DeliveryRefused:
        return
    [to] = message["To"].addresses
    assert to.addr_spec.replace('"', "") == address.replace('"', "")


def test_a_host_with_letters_of_other_scripts_is_written_in_ascii():
    assert travel(replace(DRAFT, recipient="zoe@müller.example"))["To"].addresses[0].domain == "xn--mller-kva.example"


@settings(max_examples=100, deadline=None)
@given(subject=st.text(max_size=300), name=st.text(max_size=200), text=st.text(max_size=500))
def test_any_text_makes_a_mail_with_one_recipient(subject, name, text):
    message = travel(replace(DRAFT, subject=subject, recipient_name=name, text=text))
    assert [address.addr_spec for address in message["To"].addresses] == [DRAFT.recipient]
    assert set(message.keys()) == set(travel(DRAFT).keys())


def test_a_mail_is_kept_as_a_file_for_its_owner_alone(tmp_path):
    folder = tmp_path / "mail"
    name = FileMessenger(folder).send(DRAFT).file_name
    assert name.startswith("20261121T080005123-booked-")
    assert name.endswith(".eml")
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert message_from_bytes((folder / name).read_bytes(), policy=policy.default)["Subject"] == DRAFT.subject


def test_a_repeat_leaves_one_file_and_no_drafts(tmp_path):
    names = {FileMessenger(tmp_path).send(DRAFT).file_name for _ in range(3)}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert len(names) == 1


def test_files_sort_by_time(tmp_path):
    later = replace(DRAFT, message_key="x", kind="aaa", written_at=datetime(2026, 11, 21, 8, 0, 6, tzinfo=UTC))
    first, second = (FileMessenger(tmp_path).send(draft).file_name for draft in (DRAFT, later))
    assert sorted([second, first]) == [first, second]


def test_a_full_or_missing_disk_is_a_reason_to_try_again(tmp_path):
    (tmp_path / "mail").write_text("a file where the folder should be")
    with pytest.raises(TemporaryDeliveryError, match="could not be written"):
        FileMessenger(tmp_path / "mail").send(DRAFT)


def test_a_kind_cannot_lead_out_of_the_folder(tmp_path):
    name = FileMessenger(tmp_path).send(replace(DRAFT, kind="../../etc/x")).file_name
    assert (tmp_path / name).is_file()


def text_of(message, kind: str = "plain") -> str:
    return message.get_body((kind,)).get_content().replace("\r\n", "\n")


def travel(draft: MailDraft):
    """The message as the other side reads it."""
    return message_from_bytes(to_bytes(build_mime(draft)), policy=policy.default)
