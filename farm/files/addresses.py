"""Reading http(s) addresses that a user named, without reading what only this machine can reach.

with open_url("https://host/film.mp4", first=0, last=65535) as answer: ...

A spec may come from somebody else, and a node has addresses that nobody elsewhere has: the metadata service of a cloud
with the node's credentials, and services on loopback. So a name is resolved here, all its addresses are checked, and
the connection goes to an address that was checked. The same is done for each redirect.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import os
import socket
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from farm.errors import InputError

ALLOWED_VARIABLE = "FARM_ALLOWED_HOSTS"
"""Environment variable with names, addresses and networks (`10.1.0.0/16`) that may be read all the same, by commas."""
CONNECT_SECONDS = 30.0
"""Longest wait, in seconds, for a connection, and for each part of an answer."""
BLOCK_BYTES = 4 << 20
"""Bytes of a film that one request asks for."""
METADATA = tuple(
    ipaddress.ip_network(network) for network in ("100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128")
)
"""Metadata services of clouds that do not lie in the link-local networks: Alibaba, Oracle, AWS over IPv6."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that stand for the IPv4 address in their last 32 bits (RFC 6052)."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def refusal(address: Address) -> str:
    """Why an address is not read from: `loopback`, `link-local`, ... Empty where it may be.

    Private networks such as 10.0.0.0/8 may be: a studio keeps its films there.
    """
    address = _inner(address)
    if any(address in network for network in METADATA if network.version == address.version):
        return "a metadata service"
    kinds = {
        "loopback": address.is_loopback,
        "link-local, as metadata services are": address.is_link_local,
        "unspecified": address.is_unspecified,
        "multicast": address.is_multicast,
        "reserved": address.is_reserved,
    }
    return next((kind for kind, applies in kinds.items() if applies), "")


def checked_addresses(host: str, port: int) -> list[str]:
    """The addresses of `host`, all of which may be read from.

    Raises InputError where one of them may not, OSError where there is none.
    """
    bare = host.strip("[]").partition("%")[0]
    found = [str(row[4][0]) for row in socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)]
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        reason = refusal(address)
        if reason and not _allowed(bare, address):
            raise InputError(
                f"{host} is not read: its address {address} is {reason}",
                f"where nodes may read it, set {ALLOWED_VARIABLE}={host} for them",
            )
    return found


def open_url(url: str, first: int | None = None, last: int | None = None) -> Any:
    """The answer to a GET of an http(s) URL, with `headers` and `read`; the caller closes it.

    `first` and `last` are the range of bytes that is asked for, which a server may not heed. Raises InputError for an
    address that is not read, and OSError (urllib's errors among them) where nothing can be had.
    """
    request = urllib.request.Request(url)  # noqa: S310  the opener knows http and https alone
    if first is not None:
        request.add_header("Range", f"bytes={first}-{'' if last is None else last}")
    return _opener().open(request, timeout=CONNECT_SECONDS)


class RangeFile(io.RawIOBase):
    """A file at an http(s) URL, read by range.

    Raises OSError where it cannot be read, and UnsupportedOperation where the server sends no ranges.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, self._at = url, 0
        self._size = -1
        self._block, self._block_at = b"", 0
        self._load(0)

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes before the next that is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and return it. Nothing is transferred."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or a part of it; 0 at the end of the file."""
        view = memoryview(buffer).cast("B")
        if self._at >= self._size or not len(view):
            return 0
        if not self._block_at <= self._at < self._block_at + len(self._block):
            self._load(self._at)
        part = self._block[self._at - self._block_at :][: len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _load(self, first: int) -> None:
        with open_url(self._url, first, first + BLOCK_BYTES - 1) as answer:
            size = (answer.headers.get("Content-Range") or "").rpartition("/")[2]
            if answer.status != 206 or not size.isdigit():
                raise io.UnsupportedOperation("the server sends no parts of files")
            if self._size not in (-1, int(size)):
                raise OSError("the file has changed while it was read")
            self._size, self._block_at, self._block = int(size), first, answer.read()
        if not self._block and self._size > first:
            raise OSError("the server sent nothing")


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for; any other address as it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _allowed(host: str, address: Address) -> bool:
    for entry in filter(None, (part.strip() for part in os.environ.get(ALLOWED_VARIABLE, "").split(","))):
        if entry.lower() == host.lower():
            return True
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:  # a name
            continue
        if network.version == address.version and address in network:
            return True
    return False


def _connect(address: tuple[str, int], *arguments: Any) -> socket.socket:
    """As `socket.create_connection`, to an address that was checked."""
    error: OSError | None = None
    for checked in checked_addresses(*address):
        try:
            return socket.create_connection((checked, address[1]), *arguments)
        except OSError as failure:
            error = failure
    raise error or OSError(f"{address[0]} has no address")


class _Connection(http.client.HTTPConnection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = _connect


class _SafeConnection(http.client.HTTPSConnection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._create_connection = _connect


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        if _checked_for_proxy(req):
            return super().http_open(req)
        return self.do_open(_Connection, req)


class _SafeHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        if _checked_for_proxy(req):
            return super().https_open(req)
        return self.do_open(_SafeConnection, req)


def _checked_for_proxy(request: urllib.request.Request) -> bool:
    """Whether a proxy makes the connection. The address behind it is checked as this machine resolves it."""
    if not request.has_proxy() and not getattr(request, "_tunnel_host", None):
        return False
    origin = urlsplit(request.full_url)
    try:
        checked_addresses(origin.hostname or "", origin.port or 443)
    except InputError:
        raise
    except OSError:  # a name that only the proxy can resolve
        pass
    return True


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        _Handler,
        _SafeHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
