"""Passwords: how they are kept, and which will not do."""

from __future__ import annotations

import pytest

from portal.accounts import passwords

ABOUT = ("Ana López", "ana.lopez@studio.example", "Studio Ana")


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "x" * 201,
        "aaaaaaaaaaaa",
        "abababababab",
        "123456789012",
        "739201847561",
        "abcdefghijklm",
        "password1234",
        "P4ssw0rd-2026!",
        "passwordpassword",
        "password123password",
        "iloveyou!iloveyou!",
        "qwertyuiop12",
        "Summer2026!!!",
        "correcthorsebatterystaple",
        "ana.lopez.studio1",
    ],
)
def test_weak_passwords_are_refused_with_a_reason(password):
    assert passwords.weakness(password, about=ABOUT)


@pytest.mark.parametrize(
    "password",
    [
        "violet anvil jumping",
        "короткая фраза про кота",
        "ana drinks nine coffees",
        "xK9#mQ2$vL5@",
        "明日は雨が降るかもしれないね",
    ],
)
def test_good_passwords_are_taken_in_every_script(password):
    assert passwords.weakness(password, about=ABOUT) is None


def test_a_password_is_kept_as_argon2id_and_fits_itself_only():
    stored = passwords.hash_password("violet anvil jumping")
    assert stored.startswith("$argon2id$")
    assert passwords.fits("violet anvil jumping", stored)
    assert not passwords.fits("violet anvil jumpinG", stored)
    assert not passwords.needs_rehash(stored)


def test_nobodys_password_fits_nothing():
    for password in ("", "nobody has this password", "violet anvil jumping"):
        assert not passwords.fits(password, None)


def test_nobodys_hash_takes_as_long_as_a_users():
    assert not passwords.needs_rehash(passwords.NOBODYS)
    assert len(passwords.NOBODYS) == len(passwords.hash_password("violet anvil jumping"))


def test_a_hash_with_old_parameters_is_to_be_renewed():
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("violet anvil jumping")
    assert passwords.fits("violet anvil jumping", old)
    assert passwords.needs_rehash(old)


def test_a_damaged_hash_fits_nothing():
    assert not passwords.fits("violet anvil jumping", "not a hash")
