"""88 files of real cameras against what PictoPy's own reader makes of them.

Runs where PICTOPY_EXIF_SAMPLES names the directory that holds `exif-samples/` and
`exif-samples-expected.json`.
"""

import json
import os
import shutil

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

import verify

SAMPLES = os.environ.get("PICTOPY_EXIF_SAMPLES")
pytestmark = pytest.mark.skipif(
    not SAMPLES, reason="PICTOPY_EXIF_SAMPLES does not name the sample photos' directory")

# Decisions: where the daemon differs from PictoPy's reader on purpose, and why.
DECIDED = {}


@pytest.fixture(scope="module")
def expected():
    with open(os.path.join(SAMPLES, "exif-samples-expected.json")) as file:
        return json.load(file)


def test_samples(library, expected, monkeypatch, capsys):
    monkeypatch.setenv("TZ", "UTC")
    lib = library(roots=("r",))
    # Not named as Takeout sidecars: PictoPy's reader saw the same directories.
    shutil.copytree(os.path.join(SAMPLES, "exif-samples"), lib.path("r"), dirs_exist_ok=True)
    lib.start()
    lib.check()
    rows = {os.path.relpath(row["path"], lib.path("r")): row for row in lib.rows("images")}
    problems = {os.path.relpath(p, lib.path("r")) for p in lib.daemon.problems()}
    wrong = []
    for name, want in sorted(expected.items()):
        wrong += [f"{name}: {text}" for text in compare(lib, name, want, rows.get(name), problems)
                  if (name, text.split(" ")[0]) not in DECIDED]
    wrong += [f"{name}: a row that was not expected" for name in sorted(set(rows) - set(expected))]
    with capsys.disabled():
        print(f"\n    {len(expected)} samples, {len(rows)} rows, {len(problems)} problems, "
              f"{len(wrong)} disagreements")
    assert not wrong, "\n" + "\n".join(wrong)


def compare(lib, name, want, row, problems):
    if not want["indexed"]:
        if row is not None:
            yield "indexed, PictoPy does not"
        if name not in problems:
            yield "problem not listed"
        return
    if row is None:
        yield "indexed: no, PictoPy does"
        return
    path = lib.path("r/" + name)
    info = os.stat(path)
    metadata = json.loads(row["metadata"])
    facts = dict(want["metadata"], file_location=path, file_mtime=int(info.st_mtime))
    if facts["date_created"] == "<mtime>":
        facts["date_created"] = verify._local_time(info)
    for key in sorted(set(facts) | set(metadata)):
        if not same(metadata.get(key), facts.get(key)):
            yield f"{key} {metadata.get(key)!r}, not {facts.get(key)!r}"
    for key in ("latitude", "longitude", "captured_at"):
        if not same(row[key], want[key]):
            yield f"{key} (column) {row[key]!r}, not {want[key]!r}"
    yield from thumbnail(lib, row, path, want["thumbnail_size_unrotated"])


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-12
    return a == b


def thumbnail(lib, row, path, size):
    """The right size, decodes, and shows the picture upright."""
    with Image.open(path) as picture, Image.open(lib.host(row["thumbnailPath"])) as made:
        orientation = picture.getexif().get(0x0112, 1)
        if orientation in (5, 6, 7, 8):
            size = size[::-1]
        if any(abs(a - b) > 1 for a, b in zip(made.size, size)):
            yield f"thumbnail {made.size}, not {tuple(size)}"
            return
        made.load()
        upright = ImageOps.exif_transpose(picture).convert("RGB").resize((64, 64))
        apart = ImageStat.Stat(ImageChops.difference(
            upright, made.convert("RGB").resize((64, 64)))).mean
        if max(apart) > 12:
            yield f"thumbnail differs from the upright picture by {max(apart):.0f} of 255"
