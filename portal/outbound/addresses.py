"""Which addresses may be reached from here. Called by `session` alone.

The library's `is_global` alone will not do: it calls NAT64, 6to4, site-local and multicast addresses global, behind which
private ones can hide. So there is a list of our own, and addresses inside addresses are unwrapped first.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Collection
from typing import TypeAlias
from urllib.parse import urlsplit

import requests

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver: TypeAlias = Callable[[str, int], list[str]]
"""Name and port to all addresses, as text. Raises OSError."""

_DENIED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "::/96", "::1/128", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20",
        "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_ODD_HOST = re.compile(r"[^A-Za-z0-9._:\-\[\]]")


class OutboundRefused(requests.exceptions.InvalidURL):
    """This address must not be reached; the text is a sentence for people."""


class AddressGuard:
    """Says yes or no to addresses, by the operator's list of exceptions."""

    def __init__(self, allow: Collection[str], resolver: Resolver) -> None:
        self._names: set[tuple[str, int | None]] = set()
        self._networks: list[Network] = []
        self._resolver = resolver
        for entry in allow:
            self._add(entry.strip())

    def check_url(self, url: str) -> None:
        """Refuse what can be refused by its looks. Raises OutboundRefused."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise OutboundRefused("This is no address that can be reached.") from error
        if parts.scheme not in ("http", "https") or not host or "\\" in url or _ODD_HOST.search(_ascii(host)):
            raise OutboundRefused("This is no address that can be reached: it has to begin with https://.")
        if parts.username is not None or parts.password is not None:
            raise OutboundRefused("An address must not hold a user name or password.")
        if parts.scheme == "http" and not self._may_be_plain(host, port or 80):
            raise OutboundRefused(f"{host} can only be reached encrypted: the address has to begin with https://.")

    def is_surely_outside(self, url: str) -> bool:
        """Whether that server is no machine of this house: then its clock is another one than ours."""
        parts = urlsplit(url)
        is_public = parts.scheme == "https" and not self._networks
        return is_public and not self._is_named((parts.hostname or "").rstrip(".").lower(), parts.port or 443)

    def addresses(self, host: str, port: int, *, is_plain: bool, seconds: float) -> list[str]:
        """All addresses of a host, each of them allowed. Raises OutboundRefused, OSError.

        One forbidden address among good ones forbids all: such an answer is made by nobody who means well.
        """
        host = host.strip("[]").rstrip(".").lower()
        literal = _literal(host)
        found = [host] if literal is not None else self._resolve(host, port, seconds)
        if self._is_named(host, port):
            return found
        addresses = [_parsed(text) for text in found]
        if not addresses or not all(self._may_be_reached(address) for address in addresses):
            raise OutboundRefused(
                f"{host} is not on the public internet. If it is meant to be reached, the operator of this portal "
                "can allow it with the setting OUTBOUND_ALLOW."
            )
        if is_plain and not all(self._is_in_allowed_network(address) for address in addresses):
            raise OutboundRefused(f"{host} can only be reached encrypted: the address has to begin with https://.")
        return found

    def _add(self, entry: str) -> None:
        if not entry:
            return
        try:
            network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            parts = urlsplit(f"//{entry}")
            self._names.add((str(parts.hostname or entry).rstrip(".").lower(), parts.port))
        else:
            self._networks.append(network)

    def _is_named(self, host: str, port: int) -> bool:
        return (host, None) in self._names or (host, port) in self._names

    def _may_be_plain(self, host: str, port: int) -> bool:
        """Whether plain HTTP is possible at all; a name that only a range could allow is settled once it is resolved."""
        return self._is_named(host.rstrip(".").lower(), port) or bool(self._networks)

    def _may_be_reached(self, address: Address) -> bool:
        return self._is_in_allowed_network(address) or all(_is_public(inner) for inner in _unwrapped(address))

    def _is_in_allowed_network(self, address: Address) -> bool:
        return any(address in network for network in self._networks if address.version == network.version)

    def _resolve(self, host: str, port: int, seconds: float) -> list[str]:
        """Resolve in a thread that may be left behind, for the system's resolver knows no time limit."""
        found: list[list[str]] = []
        failed: list[OSError] = []

        def resolve() -> None:
            try:
                found.append(self._resolver(host, port))
            except OSError as error:
                failed.append(error)
            except UnicodeError:
                failed.append(OSError(f"{host} is no name"))

        thread = threading.Thread(target=resolve, name="resolve", daemon=True)
        thread.start()
        thread.join(seconds)
        if failed:
            raise failed[0]
        if not found:
            raise TimeoutError(f"The address of {host} could not be found in time.")
        return found[0]


def system_resolver(host: str, port: int) -> list[str]:
    """All addresses of a name by the system's own means."""
    return list(dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def _literal(host: str) -> Address | None:
    """The address that a host already is. Only the usual spelling: 127.1 and 0x7f000001 are names to the resolver."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _parsed(text: str) -> Address:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError as error:
        raise OutboundRefused("The name leads to something that is no internet address.") from error


def _unwrapped(address: Address) -> list[Address]:
    """The address itself and every address hidden in it; each must be public."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if any(address in network for network in _NAT64):
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return [address, *address.teredo]
    return [address]


def _is_public(address: Address) -> bool:
    if any(address in network for network in _DENIED if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host
