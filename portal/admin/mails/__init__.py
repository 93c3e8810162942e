"""Mails of a booking, a business's own texts, the development mailbox."""
