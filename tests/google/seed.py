"""Accounts for the demo."""

from tests.google.model import World


def demo(world: World, zone: str) -> None:
    for email in ("ana@gmail.example", "ben@gmail.example"):
        world.account(email, zone=zone)
