"""A checkpoint: rows, thumbnails and files against the model."""

import collections
import datetime
import json
import os
import sqlite3
import threading
import time

import harness
import names
import pictures
import verify
from tree import NEW, NONE


class Divergence(Exception):
    """Rows and files, or the model, disagree."""


class Snapshot:
    """The rows and thumbnails as they are now."""

    def __init__(self, world):
        library = world.library
        database = sqlite3.connect(library.database, timeout=20 * harness.PATIENCE)
        database.row_factory = sqlite3.Row
        try:
            # One statement for each table: the daemon is done, or is polled for.
            self.images = {row["path"]: dict(row)
                           for row in database.execute("SELECT * FROM images")}
            self.folders = {row["folder_path"]: dict(row)
                            for row in database.execute("SELECT * FROM folders")}
            self.videos = database.execute("SELECT count(*) FROM videos").fetchone()[0]
            self.broken = [tuple(row) for row in database.execute("PRAGMA foreign_key_check")]
        finally:
            database.close()
        self.thumbnails = set(os.listdir(library.thumbnails))


def compare(world, model, patience=0):
    """Raises Divergence, or lets the model take over the ids that were found."""
    deadline = time.monotonic() + patience
    check = Check(world, model)
    if check.faults and model.rules.tolerates("early-barrier"):
        world.library.settle()
        check = Check(world, model)
    while check.faults and time.monotonic() < deadline:
        threading.Event().wait(0.02)
        world.library.settle()
        check = Check(world, model)
    if check.faults:
        raise Divergence("\n".join(check.faults[:30]))
    model.collapse(check.found)


class Check:
    def __init__(self, world, model):
        self.world = world
        self.model = model
        self.faults = []
        self.rows = Snapshot(world)
        self.by_path = {world.disk(path): path for path, _ in model.walk()
                        if names.is_text(path)}
        self.entries = [(path, entry) for path, entry in model.walk() if entry.expect is not None]
        self.disk()
        self.files()
        self.directories()
        self.whole()

    def wrong(self, path, text):
        self.faults.append(f"{path!r}: {text}")

    def found(self, path, entry):
        if entry.is_directory():
            return self.rows.folders[self.world.disk(path)]["folder_id"]
        row = self.rows.images.get(self.world.disk(path))
        return row and row["id"]

    # -- is the model right about the disk? --

    def disk(self):
        """Model and disk differ only when this program is wrong."""
        wanted = {path for path, _ in self.model.walk() if self.model.reachable(path)}
        there = set()
        for top in names.TOPS:
            if self.model.reachable(top):
                start = self.world.disk(top)
                there.add(top)
                for at, directories, files in os.walk(start):
                    there |= {top + f"{at}/{name}"[len(start):] for name in directories + files}
        assert wanted == there, verify.differences("the model's files", wanted, there)

    # -- photos --

    def files(self):
        for path, entry in self.entries:
            if not entry.is_directory():
                self.file(path, entry)

    def file(self, path, entry):
        row = self.rows.images.get(self.world.disk(path))
        if not self.identity(path, entry, row and row["id"], entry.decodes()) or not row:
            return
        folder = self.rows.folders.get(self.world.disk(names.parent(path)))
        if not folder or folder["folder_id"] != row["folder_id"]:
            self.wrong(path, "folder_id is not that of its directory")
        if self.model.reachable(path):
            self.fields(path, entry, row)

    def identity(self, path, entry, key, must_have_row=True):
        allowed = self.model.allowed(path, entry)
        if key is None:
            if must_have_row and NONE not in allowed:
                self.wrong(path, f"no row, expected {show(allowed)}")
            elif not allowed & {NEW, NONE}:
                self.wrong(path, f"its row is gone, expected {show(allowed)}")
            return False
        fresh = key not in self.model.seen
        if key not in allowed and not (fresh and (NEW in allowed or NONE in allowed
                                                  and must_have_row)):
            self.wrong(path, f"id {'(new) ' if fresh else ''}{key}, expected {show(allowed)}"
                       + self.owner(key))
        return True

    def owner(self, key):
        """Where the id was at the last checkpoint."""
        was = [path for base in self.model.base.values() for path, k in base.items() if k == key]
        return f"; that id was at {was[0]!r}" if was else ""

    def fields(self, path, entry, row):
        real = self.world.disk(path)
        metadata = json.loads(row["metadata"])
        self.equal(path, "name", metadata["name"], names.base(path))
        self.equal(path, "file_location", metadata["file_location"], real)
        if not entry.decodes():
            return  # the row tells of what was there before
        if entry.inode().linked:
            return
        info = os.stat(real)
        moment = datetime.datetime.fromtimestamp(info.st_mtime).isoformat()
        self.equal(path, "file_size", metadata["file_size"], info.st_size)
        self.equal(path, "file_mtime", metadata["file_mtime"], int(info.st_mtime))
        self.equal(path, "date_source", metadata["date_source"], "filesystem")
        self.equal(path, "date_created", metadata["date_created"], moment)
        self.equal(path, "captured_at", row["captured_at"], None)
        if not (entry.inode().unseen or entry.inode().hidden and self.model.blind):
            self.picture(path, entry, row, metadata)

    def picture(self, path, entry, row, metadata):
        wanted = pictures.dimensions(entry.inode().content)
        self.equal(path, "size of the picture", (metadata["width"], metadata["height"]), wanted)
        try:
            with open(row["thumbnailPath"], "rb") as file:
                self.equal(path, "size of the thumbnail", pictures.jpeg_size(file.read()), wanted)
        except OSError as error:
            self.wrong(path, f"thumbnail: {error}")

    def equal(self, path, what, found, wanted):
        if found != wanted:
            self.wrong(path, f"{what} is {found!r}, not {wanted!r}")

    # -- directories --

    def directories(self):
        for path, entry in self.entries:
            if entry.is_directory():
                self.directory(path, entry)

    def directory(self, path, entry):
        row = self.rows.folders.get(self.world.disk(path))
        if not self.identity(path, entry, row and row["folder_id"]):
            return
        above = self.rows.folders.get(self.world.disk(names.parent(path))) if "/" in path else None
        self.equal(path, "parent_folder_id", row["parent_folder_id"],
                   above and above["folder_id"])
        if self.model.reachable(path):
            self.equal(path, "last_modified_time", row["last_modified_time"],
                       int(os.stat(self.world.disk(path)).st_mtime))

    def may_be_unmounted(self, path):
        """Is an empty directory above this one, so that it may be an empty mount point?"""
        while self.model.unknown and not os.path.isdir(path):
            path = os.path.dirname(path)
        if self.by_path.get(path) not in self.model.unknown:
            return False
        there = {self.world.disk(name) for name, _ in self.entries} | set(self.rows.images)
        return not any(name.startswith(f"{path}/") for name in there)

    # -- all rows together --

    def whole(self):
        wanted = {self.world.disk(path) for path, entry in self.entries
                  if not entry.is_directory()}
        for path in sorted(set(self.rows.images) - wanted):
            self.wrong(self.by_path.get(path, path), "a row without a photo"
                       + self.owner(self.rows.images[path]["id"]))
        wanted = {self.world.disk(path) for path, entry in self.entries if entry.is_directory()}
        for path in sorted(set(self.rows.folders) - wanted):
            if self.may_be_unmounted(path):
                continue
            self.wrong(self.by_path.get(path, path), "a folder's row without a directory")
        named = collections.Counter(os.path.basename(row["thumbnailPath"])
                                    for row in self.rows.images.values())
        for name in sorted(set(named) ^ self.rows.thumbnails):
            self.wrong(name, "a row's thumbnail is not there" if name in named
                       else "a thumbnail without a row")
        if self.rows.videos:
            self.wrong("videos", f"{self.rows.videos} rows")
        if self.rows.broken:
            self.wrong("database", f"rows refer to rows that are gone: {self.rows.broken[:3]}")


def show(allowed):
    return " or ".join(sorted(allowed)) or "nothing"

