"""Addresses that only this machine can reach are not read: by name, by number, in other clothes, after a redirect."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from farm.errors import InputError
from farm.files import addresses
from farm.files.addresses import ALLOWED_VARIABLE, checked_addresses, open_url, refusal
from farm.files.remote import fetch, open_remote, remote_identity

DATA = bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("93.184.216.34", False),
        ("10.1.2.3", False),  # a studio's own network
        ("192.168.1.9", False),
        ("2606:2800:220:1::1", False),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("169.254.169.254", True),
        ("fe80::1", True),
        ("100.100.100.200", True),
        ("192.0.0.192", True),
        ("fd00:ec2::254", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:7f00:1::", True),  # 6to4 of 127.0.0.1
        ("224.0.0.1", True),
    ],
)
def test_which_addresses_are_refused(address, refused):
    assert bool(refusal(ipaddress.ip_address(address))) is refused


def resolving(monkeypatch: pytest.MonkeyPatch, **hosts: list[str]) -> None:
    def resolve(host: str, port: int, **_: object) -> list[tuple]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in hosts[host.partition(".")[0]]
        ]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)


def test_every_address_of_a_name_is_checked(monkeypatch):
    resolving(monkeypatch, good=["93.184.216.34"], both=["93.184.216.34", "169.254.169.254"])
    assert checked_addresses("good.example", 80) == ["93.184.216.34"]
    with pytest.raises(InputError, match=r"both\.example is not read: its address 169\.254\.169\.254 is link-local"):
        checked_addresses("both.example", 80)


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [
        ("inner.example", True),
        ("127.0.0.0/8", True),
        ("other, 127.0.0.1", True),
        ("other", False),
        ("10.0.0.0/8", False),
    ],
)
def test_internal_hosts_are_allowed_by_name_and_by_network(monkeypatch, allowed, passes):
    resolving(monkeypatch, inner=["127.0.0.1"])
    monkeypatch.setenv(ALLOWED_VARIABLE, allowed)
    if passes:
        assert checked_addresses("inner.example", 80) == ["127.0.0.1"]
    else:
        with pytest.raises(InputError, match=f"set {ALLOWED_VARIABLE}=inner.example"):
            checked_addresses("inner.example", 80)


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server's address, and what it was asked for: `/data` by range, `/whole` without, `/to/HOST` is a redirect."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", f"http://{self.path[4:]}")
                self.end_headers()
                return
            span = self.headers.get("Range") if self.path != "/whole" else None
            first, last = (int(part) for part in span[6:].split("-")) if span else (0, len(DATA) - 1)
            part = DATA[first : last + 1]
            self.send_response(206 if span else 200)
            self.send_header("Content-Length", str(len(part)))
            if span:
                self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(DATA)}")
            self.end_headers()
            self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


READERS = [
    lambda url, _: open_url(url).read(),
    lambda url, _: open_remote(url).read(),
    lambda url, _: remote_identity(url, 10),
    lambda url, folder: fetch(url, folder / "copy"),
]


@pytest.mark.parametrize("read", READERS)
def test_loopback_is_not_asked_at_all(server, tmp_path, monkeypatch, read: Callable):
    monkeypatch.delenv(ALLOWED_VARIABLE, raising=False)
    with pytest.raises(InputError, match="is loopback"):
        read(f"{server[0]}/data", tmp_path)
    assert server[1] == []


@pytest.mark.parametrize("read", READERS)
def test_a_redirect_to_a_metadata_service_is_not_followed(server, tmp_path, monkeypatch, read: Callable):
    monkeypatch.setenv(ALLOWED_VARIABLE, "127.0.0.1")
    with pytest.raises(InputError, match=r"169\.254\.169\.254 is link-local"):
        read(f"{server[0]}/to/169.254.169.254/latest/meta-data/", tmp_path)
    assert len(server[1]) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_chain_of_addresses_is_refused(tmp_path):
    with pytest.raises(InputError, match="simplecache:: in front"):
        fetch("simplecache::http://169.254.169.254/x", tmp_path / "copy")


def test_a_file_is_read_by_range_and_through_a_redirect(server, monkeypatch):
    monkeypatch.setenv(ALLOWED_VARIABLE, "127.0.0.1")
    monkeypatch.setattr(addresses, "BLOCK_BYTES", 1000)
    host = server[0].removeprefix("http://")
    with open_remote(f"{server[0]}/to/{host}/data") as file:
        assert file.seek(5000) == 5000
        assert file.read(3000) == DATA[5000:8000]
        assert file.seek(-10, 2) == len(DATA) - 10
        assert file.read() == DATA[-10:]
        assert file.read(5) == b""
        file.seek(0)
        assert file.read() == DATA


def test_a_server_without_ranges_is_read_whole(server, monkeypatch):
    monkeypatch.setenv(ALLOWED_VARIABLE, "127.0.0.1")
    with open_remote(f"{server[0]}/whole") as file:
        file.seek(77)
        assert file.read(9) == DATA[77:86]
