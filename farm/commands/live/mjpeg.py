r"""Motion JPEG over HTTP: one answer that never ends, and each part of it is a picture that replaces the one before.

The form is that of RFC 2046, section 5.1, with the type `multipart/x-mixed-replace`, which browsers show in an `<img>`.

>>> opening() + part(b"...")
b'--farm-frame\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\n\r\n...\r\n--farm-frame\r\n'
"""

from __future__ import annotations

BOUNDARY = "farm-frame"
"""Text that separates two parts."""
CONTENT_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
"""Content type of the whole answer."""


def part(jpeg: bytes) -> bytes:
    """One JPEG picture as a part, with the delimiter that follows it.

    Why: a browser shows a part only when it has read the delimiter that ends it.
    """
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
    return head + jpeg + f"\r\n--{BOUNDARY}\r\n".encode()


def opening() -> bytes:
    """The delimiter before the first part."""
    return f"--{BOUNDARY}\r\n".encode()
