"""Where the service may connect to: the grammar of an outbound URL and the table of addresses."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

MAX_URL_LENGTH = 2048
HTTPS_PORT = 443

# IANA IPv4 special-purpose registry, multicast and class E, and one cloud's host address.
# The anycast relays (192.88.99/24) and AS112 sinks are public but serve no receiver of ours.
REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; holds a cloud's metadata address
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's host agent
        "169.254.0.0/16",  # link local; holds the usual metadata address
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # automatic multicast tunnels
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
    )
)
# Only 2000::/3 is handed out for the public Internet. What lies outside it (loopback, mapped and
# compatible IPv4, NAT64, discard, segment routing, unique local, link and site local, multicast)
# is refused without being named; the list names what is special inside it.
PUBLIC_V6 = IPv6Network("2000::/3")
REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments; holds Teredo, ORCHID and benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 carries an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the test network that was given back
        "3fff::/20",  # documentation
    )
)

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_URL = re.compile(
    r"(?P<scheme>https?)://"
    rf"(?:\[(?P<six>[0-9a-f:.]{{2,45}})\]|(?P<name>{_LABEL}(?:\.{_LABEL})*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?)",
)
_FRONT = re.compile(r"[A-Za-z]+://[^/?#]*")


class RefusedDestinationError(ValueError):
    """We do not connect there; `code` says why in one snake_case word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL taken apart once; `listed`: the operator allows this host and port by name."""

    scheme: str
    host: str
    port: int
    target: str
    listed: bool


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address is on the public Internet and not special in any way we know."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED_V4)
    return (
        address.scope_id is None
        and address in PUBLIC_V6
        and not any(address in network for network in REFUSED_V6)
    )


def parse_destination(url: str, *, allow: Iterable[str] = ()) -> Destination:
    """Take a URL apart by a strict grammar; `allow` holds `host:port` entries of the operator.

    Raises `RefusedDestinationError`: `url_malformed`, `scheme_refused`, `port_refused`,
    `host_refused` or `address_refused`. A name that passes is checked again when it is resolved.
    """
    found = _match(url)
    scheme = found["scheme"] or ""
    host = _literal_v6(found["six"]) if found["six"] else found["name"] or ""
    port = int(found["port"]) if found["port"] else (HTTPS_PORT if scheme == "https" else 80)
    shown = f"[{host}]:{port}" if found["six"] else f"{host}:{port}"
    listed = shown in {entry.strip().lower() for entry in allow}
    target = found["target"] or "/"
    destination = Destination(
        scheme=scheme,
        host=host,
        port=port,
        target=target if target.startswith("/") else f"/{target}",
        listed=listed,
    )
    if not listed:
        _refuse_unlisted(destination)
    return destination


def _match(url: str) -> dict[str, str | None]:
    """The parts of a URL; host and scheme in lower case."""
    front = _FRONT.match(url)
    if front is None or len(url) > MAX_URL_LENGTH:
        raise RefusedDestinationError("url_malformed")
    lowered = front.group().lower() + url[front.end() :]
    if not lowered.startswith(("http://", "https://")):
        raise RefusedDestinationError("scheme_refused")
    found = _URL.fullmatch(lowered)
    if found is None or int(found["port"] or HTTPS_PORT) not in range(1, 65536):
        raise RefusedDestinationError("url_malformed")
    return found.groupdict()


def _literal_v6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError as error:
        raise RefusedDestinationError("url_malformed") from error


def _refuse_unlisted(destination: Destination) -> None:
    if destination.scheme != "https":
        raise RefusedDestinationError("scheme_refused")
    if destination.port != HTTPS_PORT:
        raise RefusedDestinationError("port_refused")
    try:
        literal = ip_address(destination.host)
    except ValueError:
        labels = destination.host.split(".")
        # A last label that starts like a number is an address in disguise: 127.1, 0x7f000001.
        if len(labels) == 1 or labels[-1][0].isdigit():
            raise RefusedDestinationError("host_refused") from None
        return
    if not is_public(literal):
        raise RefusedDestinationError("address_refused")
