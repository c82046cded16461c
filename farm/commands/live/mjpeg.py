"""Motion JPEG over HTTP: one answer that never ends, each part of it a picture that replaces the one before.

RFC 2046, section 5.1, and the type `multipart/x-mixed-replace` that browsers show in an `<img>`.
"""

from __future__ import annotations

BOUNDARY = "farm-frame"
CONTENT_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"


def part(jpeg: bytes) -> bytes:
    """One picture, with the delimiter that follows it: a browser shows a part when it sees that it is over."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
    return head + jpeg + f"\r\n--{BOUNDARY}\r\n".encode()


def opening() -> bytes:
    """What comes before the first part."""
    return f"--{BOUNDARY}\r\n".encode()
