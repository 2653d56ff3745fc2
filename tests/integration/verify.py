"""What "in sync" means, looked at without the daemon's help: rows, folders, fields, thumbnails.

Everything is checked against the files themselves, read by Python and Pillow.
"""

import datetime
import fnmatch
import json
import os
import random
import re
import stat

from PIL import Image

PHOTO = (".jpg", ".jpeg", ".png")
VIDEO = (".mp4", ".mov", ".webm", ".m4v")
IGNORED_DIRECTORIES = (".*", "@eaDir", "#recycle", "lost+found")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
THUMBNAIL = re.compile(r"thumbnail_" + UUID.pattern.removesuffix(r"\Z") + r"\.jpg\Z")
IMAGE_KEYS = ["name", "date_created", "date_source", "width", "height", "file_location",
              "file_size", "file_mtime", "item_type", "latitude", "longitude"]
VIDEO_KEYS = ["name", "date_created", "date_source", "file_modified", "width", "height", "duration",
              "fps", "file_location", "file_size", "item_type"]
THUMBNAIL_SIDE = 600


def shown(path):
    """A path as JSON has it: as it is, unless it is no text; then such bytes, and control characters,
    are \\xNN."""
    data = os.fsencode(path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "backslashreplace")
    return "".join(f"\\x{ord(c):02x}" if c < " " or c == "\x7f" else c for c in text)


def differences(what, wanted, found, limit=12):
    def some(items):
        return "".join(f"\n    {item!r}" for item in sorted(items, key=repr)[:limit])

    missing, extra = wanted - found, found - wanted
    return (f"{what}: {len(missing)} missing, {len(extra)} too many"
            + (f"\n  missing:{some(missing)}" if missing else "")
            + (f"\n  too many:{some(extra)}" if extra else ""))


def is_text(name):
    try:
        os.fsencode(name).decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


class Disk:
    """Directories and media files below the roots, found through descriptors, so that no path is
    too long. Links to directories are not followed."""

    def __init__(self, library, roots):
        self.directories = {}  # path as the daemon sees it -> stat
        self.media = {}        # likewise
        self._library = library
        self._skip = {os.path.normpath(p) for p in
                      (os.path.dirname(library.database), library.thumbnails, library.state)}
        self._skip |= {library.path(name) for name in library.not_indexed}
        for root in roots:
            path = library.path(root)
            if os.path.isdir(path) and library.view(path) not in self.directories:
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
                self._walk(path, fd)

    def _walk(self, path, fd):
        try:
            self.directories[self._library.view(path)] = os.fstat(fd)
            with os.scandir(fd) as entries:
                names = [entry.name for entry in entries]
            for name in names:
                self._entry(path, fd, name)
        finally:
            os.close(fd)

    def _entry(self, path, fd, name):
        full = os.path.join(path, name)
        info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not is_text(name):
            return
        if stat.S_ISDIR(info.st_mode):
            if any(fnmatch.fnmatchcase(name, glob) for glob in IGNORED_DIRECTORIES):
                return
            if full in self._skip:
                return
            self._walk(full, os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd))
        elif name.lower().endswith(PHOTO + VIDEO):
            if stat.S_ISLNK(info.st_mode):
                try:
                    info = os.stat(name, dir_fd=fd)
                except OSError:
                    return
            if stat.S_ISREG(info.st_mode):
                self.media[self._library.view(full)] = info


def everything(library, names, stale=frozenset(), sample=None, offline=()):
    """Asserts that database and thumbnails are exactly what the files and `names` say."""
    away = [library.view(library.path(root)) for root in offline]
    disk = Disk(library, [root for root in library.roots if root not in offline])
    wanted = {library.view(library.path(name)) for name in names}
    assert len(wanted) == len(list(names)), "the test names a file twice"
    absent = {p for p in wanted if p not in disk.media and not _below(p, away)}
    assert not absent, f"the test expects files that are not there: {sorted(absent)[:5]}"

    photos = {p for p in wanted if p.lower().endswith(PHOTO)}
    folders = library.rows("folders", "folder_path")
    images = library.rows("images")
    videos = [] if library.old_schema else library.rows("videos")
    _schema_unchanged(library)
    _media_paths("images", photos, images)
    _media_paths("videos", set() if library.old_schema else wanted - photos, videos)
    _folders(library, disk, folders, away)
    by_path = {f["folder_path"]: f for f in folders}
    for row in images + videos:
        assert UUID.match(row["id"]), f"{row['path']}: id {row['id']!r} is not a uuid4"
        directory = by_path.get(os.path.dirname(row["path"]))
        assert directory, f"{row['path']}: its directory has no row"
        assert row["folder_id"] == directory["folder_id"], f"{row['path']}: folder_id is wrong"
    _thumbnails_are_rows(library, images + videos)

    stale = {library.view(library.path(name)) for name in stale}
    looked_at = [r for r in images if r["path"] not in stale and not _below(r["path"], away)]
    if sample is not None and len(looked_at) > sample:
        looked_at = random.Random(1).sample(looked_at, sample)
    for row in looked_at:
        _image(library, row, disk.media[row["path"]])
    for row in videos:
        if row["path"] not in stale and not _below(row["path"], away):
            _video(row, disk.media[row["path"]])


def _below(path, directories):
    return any(path.startswith(d + "/") for d in directories)


def _schema_unchanged(library):
    with library.connect() as db:
        mode = db.execute("PRAGMA journal_mode").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        broken = db.execute("PRAGMA foreign_key_check").fetchall()
    assert mode == "delete", f"the journal mode became {mode}"
    assert version == 0, f"user_version became {version}"
    assert not broken, f"rows refer to rows that are gone: {[tuple(b) for b in broken][:5]}"


def _media_paths(table, wanted, rows):
    found = [row["path"] for row in rows]
    assert len(found) == len(set(found)), f"{table}: a path is there twice"
    assert set(found) == wanted, differences(table, wanted, set(found))


def _folders(library, disk, rows, away):
    found = {row["folder_path"]: row for row in rows}
    kept = {p for p in found if p in away or _below(p, away)}
    wanted = set(disk.directories) | kept
    assert len(found) == len(rows), "folders: a path is there twice"
    assert set(found) == wanted, differences("folders", wanted, set(found))
    for path, row in found.items():
        assert UUID.match(row["folder_id"]), f"{path}: folder_id {row['folder_id']!r}"
        if path in kept:
            continue
        parent = found.get(os.path.dirname(path)) if path != "/" else None
        # A root that lies in another root may keep the parent that it was registered with.
        allowed = [parent["folder_id"] if parent else None]
        if path in {library.view(library.path(root)) for root in library.roots}:
            allowed.append(None)
        assert row["parent_folder_id"] in allowed, f"{path}: wrong parent"
        mtime = int(disk.directories[path].st_mtime)
        assert row["last_modified_time"] == mtime, (
            f"{path}: last_modified_time {row['last_modified_time']}, the directory says {mtime}")


def _thumbnails_are_rows(library, rows):
    paths = [row["thumbnailPath"] for row in rows if row["thumbnailPath"]]
    directory = library.view(library.thumbnails)
    assert len(paths) == len(set(paths)), "two rows share a thumbnail"
    strange = [p for p in paths
               if os.path.dirname(p) != directory or not THUMBNAIL.match(os.path.basename(p))]
    assert not strange, f"thumbnails with strange names: {strange[:5]}"
    on_disk = set(os.listdir(library.thumbnails))
    in_rows = {os.path.basename(p) for p in paths}
    assert on_disk == in_rows, differences("thumbnail files", in_rows, on_disk)


def _local_time(info):
    return datetime.datetime.fromtimestamp(info.st_mtime).isoformat()


def _common(row, info, order):
    metadata = json.loads(row["metadata"])
    where = row["path"]
    assert list(metadata) == [key for key in order if key in metadata], (
        f"{where}: order of keys {list(metadata)}")
    facts = {"name": os.path.basename(where), "file_location": where, "file_size": info.st_size}
    for key, value in facts.items():
        assert metadata.get(key) == value, f"{where}: {key} is {metadata.get(key)!r}, not {value!r}"
    if metadata["date_source"] == "filesystem":
        assert metadata["date_created"] == _local_time(info), (
            f"{where}: date_created {metadata['date_created']}, the file's {_local_time(info)}")
        assert row["captured_at"] is None, f"{where}: a file time reached captured_at"
    else:
        assert row["captured_at"] == metadata["date_created"][:19], (
            f"{where}: captured_at {row['captured_at']}")
    return metadata


def _image(library, row, info):
    where = row["path"]
    row.setdefault("captured_at", None)
    if library.old_schema:
        row["captured_at"] = None
    metadata = _common_image(library, row, info)
    with _open(library, where) as picture:
        width, height = picture.size
        kind = picture.format
        orientation = picture.getexif().get(0x0112, 1)
    assert (metadata["width"], metadata["height"]) == (width, height), f"{where}: wrong size"
    by_name = where.lower().endswith(".png") == (kind == "PNG")
    if by_name:
        assert metadata["item_type"] == "image/" + kind.lower(), f"{where}: {metadata['item_type']}"
    for key in ("latitude", "longitude"):
        assert metadata.get(key) == row.get(key, metadata.get(key)), f"{where}: {key} differs"
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    _thumbnail(library, row, width, height)


def _common_image(library, row, info):
    if library.old_schema:
        metadata = json.loads(row["metadata"])
        if metadata["date_source"] != "filesystem":
            row = row | {"captured_at": metadata["date_created"][:19]}
    metadata = _common(row, info, IMAGE_KEYS)
    assert metadata["file_mtime"] == int(info.st_mtime), (
        f"{row['path']}: file_mtime {metadata['file_mtime']}, not {int(info.st_mtime)}")
    return metadata


def _open(library, path):
    """The picture at a path of any length."""
    path = library.host(path)
    if len(os.fsencode(path)) < 4000:
        return Image.open(path)
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    *directories, name = path.lstrip("/").split("/")
    for directory in directories:
        inner = os.open(directory, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    file = os.fdopen(os.open(name, os.O_RDONLY, dir_fd=fd), "rb")
    os.close(fd)
    return Image.open(file)


def thumbnail_size(width, height, side=THUMBNAIL_SIDE):
    """The bounds of a thumbnail's size: ((least width, height), (most width, height))."""
    if width <= side and height <= side:
        return (width, height), (width, height)
    factor = side / max(width, height)
    exact = width * factor, height * factor
    return tuple(max(1, int(v)) for v in exact), tuple(max(1, -int(-v // 1)) for v in exact)


def _thumbnail(library, row, width, height):
    path = library.host(row["thumbnailPath"])
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "JPEG", f"{path} is a {picture.format}"
        least, most = thumbnail_size(width, height)
        fits = all(a <= v <= b for a, v, b in zip(least, picture.size, most))
        assert fits, f"{row['path']}: thumbnail of {picture.size}, not {least} to {most}"


def _video(row, info):
    assert row["thumbnailPath"] is None, f"{row['path']}: a thumbnail out of nowhere"
    metadata = _common(row, info, VIDEO_KEYS)
    missing = set(VIDEO_KEYS) - set(metadata)
    assert not missing, f"{row['path']}: no {missing}"
    assert metadata["file_modified"] == _local_time(info), (
        f"{row['path']}: file_modified {metadata['file_modified']}, not {_local_time(info)}")
