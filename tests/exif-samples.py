#!/usr/bin/env python3
"""exif-samples.py MEDIA-READ DIRECTORY EXPECTED.json - compares what the workers make of real photos
with what PictoPy's own reader made of them; prints each disagreement; exit status 1 if there is any.

EXPECTED.json maps a path below DIRECTORY to: indexed, metadata (without file_location and
file_mtime; a date_created of "<mtime>" stands for the file's own time), latitude, longitude,
captured_at, thumbnail_size_unrotated. The values are those of the time zone UTC.
"""

import datetime
import io
import json
import os
import subprocess
import sys
import tempfile

from PIL import Image, ImageChops, ImageOps, ImageStat

# A thumbnail is compared with Pillow's, both reduced to this size; the mean difference of a channel
# stays below the limit when it is the same picture the same way up.
COMPARED_SIZE = (64, 64)
DIFFERENCE_LIMIT = 4


def read_all(program, paths, thumbnails):
    output = subprocess.run(
        [program, "-t", thumbnails, *paths],
        env={**os.environ, "TZ": "UTC"},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return {line["path"]: line for line in map(json.loads, output.splitlines())}


def expected_metadata(path, expected):
    metadata = dict(expected["metadata"])
    if metadata["date_created"] == "<mtime>":
        mtime = os.stat(path).st_mtime
        local = datetime.datetime.fromtimestamp(mtime, datetime.timezone.utc)
        metadata["date_created"] = local.replace(tzinfo=None).isoformat()
    metadata["file_location"] = path
    metadata["file_mtime"] = int(os.stat(path).st_mtime)
    return metadata


def orientation_of(path):
    try:
        with Image.open(path) as image:
            return image.getexif().get(274, 1)
    except Exception:
        return 1


def compare_facts(path, expected, got):
    if (got["status"] == "ok") != expected["indexed"]:
        yield f"status is {got['status']} ({got['error']}), expected indexed={expected['indexed']}"
        return
    if not expected["indexed"]:
        return
    metadata = expected_metadata(path, expected)
    for key in sorted(metadata.keys() | got["metadata"].keys()):
        want, have = metadata.get(key), got["metadata"].get(key)
        if want != have or type(want) is not type(have):
            yield f"metadata.{key} is {have!r}, expected {want!r}"
    for key in ("latitude", "longitude"):
        if got["metadata"].get(key) != expected[key]:
            yield f"{key} is {got['metadata'].get(key)!r}, expected {expected[key]!r}"
    if got["captured_at"] != expected["captured_at"]:
        yield f"captured_at is {got['captured_at']!r}, expected {expected['captured_at']!r}"


def compare_thumbnail(path, expected, got, thumbnail):
    size = expected["thumbnail_size_unrotated"]
    if orientation_of(path) >= 5:
        size = size[::-1]
    with Image.open(thumbnail) as image:
        image.load()
        if list(image.size) != size or got["thumbnail_size"] != size:
            yield f"the thumbnail is {image.size}, expected {size}"
        if "exif" in image.info:
            yield "the thumbnail has EXIF"
        ours = image.convert("RGB").resize(COMPARED_SIZE, Image.Resampling.BOX)
        profile = image.info.get("icc_profile")
    with Image.open(path) as image:
        if profile != image.info.get("icc_profile"):
            yield "the colour profile is not the photo's"
        try:
            image = ImageOps.exif_transpose(image)
        except Exception:
            pass
        image.thumbnail((600, 600))
        file = io.BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=75)
    theirs = Image.open(file).resize(COMPARED_SIZE, Image.Resampling.BOX)
    difference = max(ImageStat.Stat(ImageChops.difference(ours, theirs)).mean)
    if difference > DIFFERENCE_LIMIT:
        yield f"the thumbnail differs by {difference:.1f} from Pillow's, made upright"


def main():
    program, directory, expected_file = sys.argv[1:]
    with open(expected_file, encoding="utf-8") as handle:
        expected = json.load(handle)
    paths = [os.path.join(directory, name) for name in expected]
    n_wrong = 0
    with tempfile.TemporaryDirectory() as thumbnails:
        answers = read_all(program, paths, thumbnails)
        for path, facts in zip(paths, expected.values()):
            got = answers[path]
            problems = list(compare_facts(path, facts, got))
            if got["status"] == "ok":
                thumbnail = os.path.join(thumbnails, f"{got['number']}.jpg")
                problems += compare_thumbnail(path, facts, got, thumbnail)
            n_wrong += bool(problems)
            for problem in problems:
                print(f"{os.path.relpath(path, directory)}: {problem}")
    print(f"{len(paths) - n_wrong} of {len(paths)} files agree")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
