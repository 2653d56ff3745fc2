"""Tiny pictures, made once: no two have the same width and height, many the same size in bytes.

So the row's width and height tell which picture the daemon read, and a size in bytes does not.
"""

import functools
import io

from PIL import Image

COUNT = 400
SIZES = (1000, 1100, 1200)


def dimensions(number):
    return 8 + number % 25, 8 + number // 25


def size(number):
    return SIZES[number % len(SIZES)]


def of_size(count):
    """The pictures of so many bytes."""
    return [n for n in range(COUNT) if size(n) == count]


@functools.lru_cache(maxsize=None)
def data(number):
    if number is None:
        return b"this is no photo\n"
    width, height = dimensions(number)
    out = io.BytesIO()
    Image.new("RGB", (width, height), (number % 256, 90, 160)).save(out, "JPEG", quality=60)
    body = out.getvalue()
    padding = size(number) - len(body) - 4
    assert padding >= 0, f"picture {number} has {len(body)} bytes"
    comment = b"\xff\xfe" + (padding + 2).to_bytes(2, "big") + b" " * padding
    return body[:2] + comment + body[2:]


def jpeg_size(data):
    """Width and height in the frame header of a JPEG."""
    at = 2
    while at + 9 < len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2:at + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2):
            return (int.from_bytes(data[at + 7:at + 9], "big"),
                    int.from_bytes(data[at + 5:at + 7], "big"))
        at += 2 + length
    return None
