"""What an e-mail address is: the same wherever one is typed, in a form, over the API, in a seed file, on the command line."""

from __future__ import annotations

import pytest

from portal.accounts.forms import clean_email
from portal.booking.rules import Customer, check_customer
from portal.errors import Invalid
from portal.seed.file import read_seed_file

GOOD = (
    "ana@example.org", "ana@studio.example", "ana@studio.test", "ana.ruiz+yoga@mail.example.co.uk", "o'neil@example.org", "zoë@example.org",
    "ana@bücher.example", "ana@xn--bcher-kva.example", "ana@studio.local", "用户@例子.广告",
)  # fmt: skip
WRONG = (
    "ana@localhost", "a@b..c", "ana", "@example.org", "ana@", "ana@example", "ana@example.org.", "ana@.example.org", ".ana@example.org",
    "ana.@example.org", "an..a@example.org", "ana@exam ple.org", "an a@example.org", "ana@example.org, ben@example.org",
    "ana@example.org;ben@example.org",
    "Ana <ana@example.org>", "<ana@example.org>", '"ana"@example.org', "ana@[127.0.0.1]", "ana@127.0.0.1",
    "ana@@example.org", "ana@-example.org",
    "an\u200ba@example.org", "ana@exam\u00adple.org", "ana@example.org\nbcc: b@example.org", "a" * 65 + "@example.org", "ana@" + "x" * 64 + ".org",
    "ana@" + "x." * 150 + "org", "ana@example.onion", "\ud800@example.org",
)  # fmt: skip
SEED = '[business]\nname = "Studio"\nzone = "Europe/Madrid"\nemail = "{}"\n[[resource]]\nslug = "ana"\nname = "Ana"\nemail = "{}"\n'


def of_a_customer(text):
    check_customer(Customer("Ana", text))


def of_staff(text):
    clean_email(text)


def in_a_seed_file(text):
    written = "".join(f"\\u{ord(sign):04x}" if not 31 < ord(sign) < 0xD800 or sign in '"\\' else sign for sign in text)
    read_seed_file(SEED.format(written, written), name="studio.toml", environ={})


PLACES = [of_a_customer, of_staff, in_a_seed_file]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", GOOD)
def test_a_good_address_is_good_everywhere(place, text):
    place(text)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_address_is_wrong_everywhere(place, text):
    with pytest.raises(Invalid):
        place(text)


def test_both_wrong_addresses_of_a_file_are_named_with_their_lines():
    with pytest.raises(Invalid) as refused:
        in_a_seed_file("ana@localhost")
    assert [sentence.split(":")[0] for sentence in str(refused.value).splitlines()] == [
        "studio.toml, line 4",
        "studio.toml, line 8",
    ]
