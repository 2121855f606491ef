"""HTTP calls to addresses that users chose: no private networks, no redirects, strict timeouts.

The checked IP address is the one connected to, so DNS cannot change in between. TLS verifies the name.
"""

import ipaddress
import socket
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import SplitResult, urlsplit

import certifi
import urllib3
from django.conf import settings
from urllib3.util import Timeout

from providers.deadline import Deadline, DeadlinePassed, HttpPool, HttpsPool

CONNECT_SECONDS = 1.0
PORTS = {"http": 80, "https": 443}
PRIVATE_NAMES = (".localhost", ".local", ".internal", ".home.arpa")
# IPv6 notations of IPv4: the embedded address decides.
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotAllowed(Exception):
    """The address must not be called."""


class NotAnswered(Exception):
    """No answer. `hung`: it used the whole timeout."""

    def __init__(self, reason: str, *, hung: bool = False) -> None:
        super().__init__(reason)
        self.hung = hung


def check_url(url: str) -> SplitResult:
    """Return the URL's parts. Raises NotAllowed without resolving."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotAllowed("this is no URL") from None
    if parts.scheme not in PORTS or (parts.scheme == "http" and not settings.WEBHOOK_ALLOW_PRIVATE):
        raise NotAllowed("webhook URLs must use https")
    if not parts.hostname or parts.username is not None or parts.password is not None or port == 0:
        raise NotAllowed("it has no host, or a user name")
    if not settings.WEBHOOK_ALLOW_PRIVATE and _is_private_name(parts.hostname):
        raise NotAllowed("it leads into a private network")
    if any(ord(character) <= 32 or ord(character) > 126 for character in url):
        raise NotAllowed("it has characters that do not belong in a URL")
    return parts


def _is_private_name(host: str) -> bool:
    """Whether a host is private by its name or number alone; others are resolved before each call."""
    if host.rstrip(".").lower().endswith(PRIVATE_NAMES) or host.lower() == "localhost":
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return not all(is_public(ipaddress.ip_address(entry[4][0])) for entry in found)


def is_public(address: Address) -> bool:
    """Whether an address is public, in any notation."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(inside)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Send once, and return the status. Raises NotAllowed or NotAnswered.

    Takes at most WEBHOOK_TIMEOUT_SECONDS plus a slow DNS lookup.
    """
    parts = check_url(url)
    with_host = {**headers, "Host": parts.netloc, "Accept-Encoding": "identity"}
    try:
        with Deadline(settings.WEBHOOK_TIMEOUT_SECONDS) as deadline, deadline.sockets():
            return _send(_pool(parts, _address_of(parts), deadline.seconds_left), parts, body, with_host)
    except (DeadlinePassed, urllib3.exceptions.TimeoutError) as error:
        raise NotAnswered("no answer in time", hung=True) from error
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NotAnswered(f"no answer ({type(error).__name__})") from error


def _send(
    pool: urllib3.HTTPConnectionPool, parts: SplitResult, body: bytes, headers: Mapping[str, str]
) -> int:
    with closing(pool):
        response = pool.request(
            "POST",
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        response.close()
        return int(response.status)


def _address_of(parts: SplitResult) -> Address:
    """One forbidden address refuses them all."""
    assert parts.hostname is not None
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotAnswered("there is no such name") from error
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
    if not settings.WEBHOOK_ALLOW_PRIVATE and not all(is_public(address) for address in addresses):
        raise NotAllowed("it leads into a private network")
    return addresses[0]


def _pool(parts: SplitResult, address: Address, seconds: float) -> urllib3.HTTPConnectionPool:
    port, timeout = parts.port or PORTS[parts.scheme], _timeout(max(0.001, seconds))
    if parts.scheme == "http":
        return HttpPool(str(address), port, timeout=timeout)
    return HttpsPool(
        str(address),
        port,
        timeout=timeout,
        cert_reqs="CERT_REQUIRED",
        ca_certs=certifi.where(),
        server_hostname=parts.hostname,
        assert_hostname=parts.hostname,
    )


def _timeout(seconds: float) -> Timeout:
    return Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds)
