"""Photos and videos made for the tests; nothing binary is kept in the tree."""

import functools
import io
import itertools
import json
import os
import shutil
import subprocess
import tempfile

from PIL import Image

_counter = itertools.count(1)


@functools.lru_cache(maxsize=None)
def _template(width, height, format):
    """A small picture with a gradient: its corners differ, so a turned one shows."""
    image = Image.new("RGB", (width, height))
    image.putdata([(x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), 96)
                   for y in range(height) for x in range(width)])
    out = io.BytesIO()
    image.save(out, format, **({"quality": 80} if format == "JPEG" else {}))
    return out.getvalue()


def jpeg(width=16, height=12, tag=None):
    """A JPEG whose bytes differ from every other one's: a comment holds a running number."""
    body = _template(width, height, "JPEG")
    text = b"%016x" % next(_counter) if tag is None else tag
    comment = b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text
    return body[:2] + comment + body[2:]


def png(width=16, height=12):
    """A PNG, made distinct by one pixel."""
    n = next(_counter)
    image = Image.open(io.BytesIO(_template(width, height, "PNG")))
    image.putpixel((0, 0), (n & 255, n >> 8 & 255, n >> 16 & 255))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def with_segment(data, marker, payload):
    """The JPEG with one more segment behind its SOI; its pixels' bytes are not touched."""
    size = (len(payload) + 2).to_bytes(2, "big")
    return data[:2] + bytes((0xFF, marker)) + size + payload + data[2:]


def with_exif(data, orientation=1, date="2019:05:06 07:08:09"):
    """The JPEG with other metadata, and the same pixels."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0132] = date
    return with_segment(data, 0xE1, exif.tobytes())


def cropped(data, box=(0, 0, 40, 30)):
    """Another picture."""
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).crop(box).save(out, "JPEG", quality=90)
    return out.getvalue()


QUADRANTS = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20)]


def quadrants(width, height):
    """Red, green / blue, yellow: what an upright picture shows."""
    image = Image.new("RGB", (width, height))
    for i, colour in enumerate(QUADRANTS):
        x, y = i % 2 * (width // 2), i // 2 * (height // 2)
        image.paste(colour, (x, y, x + width // 2 + 1, y + height // 2 + 1))
    return image


_UNDO = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
         4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
         6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
         8: Image.Transpose.ROTATE_270}


def turned(orientation, width=96, height=64):
    """A JPEG that shows quadrants(width, height) once its EXIF orientation is applied."""
    image = quadrants(width, height)
    if orientation in _UNDO:
        image = image.transpose(_UNDO[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, subsampling=0, exif=exif)
    return out.getvalue()


def shows_quadrants(image):
    """Does the picture show the four colours upright?"""
    image = image.convert("RGB")
    for i, colour in enumerate(QUADRANTS):
        x = (1 + i % 2 * 2) * image.width // 4
        y = (1 + i // 2 * 2) * image.height // 4
        if any(abs(a - b) > 70 for a, b in zip(image.getpixel((x, y)), colour)):
            return False
    return True


def jpeg_exif(original=None, digitized=None, changed=None, ifd0_original=None, gps=None,
              width=40, height=30):
    """A JPEG with EXIF dates ('YYYY:MM:DD HH:MM:SS') and a place as (latitude, longitude)."""
    exif = Image.Exif()
    if changed:
        exif[0x0132] = changed
    if ifd0_original:
        exif[0x9003] = ifd0_original
    sub = {}
    if original:
        sub[0x9003] = original
    if digitized:
        sub[0x9004] = digitized
    if sub:
        exif[0x8769] = sub
    if gps:
        exif[0x8825] = {1: "N" if gps[0] >= 0 else "S", 2: _degrees(gps[0]),
                        3: "E" if gps[1] >= 0 else "W", 4: _degrees(gps[1])}
    image = Image.open(io.BytesIO(_template(width, height, "JPEG")))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85, exif=exif)
    return out.getvalue()


def _degrees(value):
    value = abs(value)
    degrees = int(value)
    minutes = int((value - degrees) * 60)
    return (float(degrees), float(minutes), round(((value - degrees) * 60 - minutes) * 60, 4))


def sidecar(taken=None, created=None, place=None):
    """The text of a Google Takeout sidecar."""
    data = {"title": "x"}
    if created is not None:
        data["creationTime"] = {"timestamp": str(created)}
    if taken is not None:
        data["photoTakenTime"] = {"timestamp": str(taken)}
    latitude, longitude = place or (0.0, 0.0)
    data["geoData"] = {"latitude": latitude, "longitude": longitude, "altitude": 0.0}
    return json.dumps(data)


def video_maker():
    """The program that makes videos; a build without libavformat has none."""
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build = os.environ.get("PICTOPY_SYNC_BUILD") or os.path.join(top, "build")
    return os.path.join(build, "tests", "tools", "make-video")


def have_video():
    return os.access(video_maker(), os.X_OK)


@functools.lru_cache(maxsize=None)
def _video_template(created):
    directory = tempfile.mkdtemp(prefix="pictopy-test-")
    try:
        path = os.path.join(directory, "v.mp4")
        subprocess.run([video_maker(), path, "64", "48", "10", "1"] + ([created] if created else []),
                       check=True)
        with open(path, "rb") as file:
            return file.read()
    finally:
        shutil.rmtree(directory)


def video(created=None):
    """A one-second MP4, 64 x 48, 10 frames a second; distinct by a 'free' box at its end."""
    note = b"%016x" % next(_counter)
    return _video_template(created) + (8 + len(note)).to_bytes(4, "big") + b"free" + note
