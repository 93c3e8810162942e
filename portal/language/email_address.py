"""E-mail addresses: the one place that says what is one, by the rules of email-validator. Pure; used wherever an address is typed.

The server behind it is not asked for. Names of which examples and tests are made (`.example`, `.test`) are good, and so is a house's own `.local`;
such that no mail reaches, `localhost` among them, are not. Nor are signs that nobody sees: else one person has as many addresses as they like.
"""

from __future__ import annotations

import email_validator

from portal.language.names import has_hidden_signs

LONGEST = 254


def is_address(text: str) -> bool:
    """Whether mail can be sent to it, as far as its letters tell."""
    if len(text) > LONGEST or has_hidden_signs(text):
        return False
    try:
        email_validator.validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except (email_validator.EmailNotValidError, UnicodeError):
        return False
    return True


if "local" in email_validator.SPECIAL_USE_DOMAIN_NAMES:  # as its own documentation says to do it
    email_validator.SPECIAL_USE_DOMAIN_NAMES.remove("local")
