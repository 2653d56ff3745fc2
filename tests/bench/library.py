"""A tree of photos that PictoPy's database knows in full, so that nothing is left to decode.

Only what PictoPy would have written is made here: rows and thumbnails. What the daemon keeps for
itself it learns in a first run of its own.
"""

import os
import sqlite3
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import schema  # noqa: E402

# ext4 allows an inode 65,000 names.
NAMES_PER_THUMBNAIL = 50000
# The smallest thing that begins as a JPEG; nobody reads it.
THUMBNAIL = bytes.fromhex("ffd8ffd9")

IMAGE_SQL = ("INSERT INTO images (id, path, folder_id, thumbnailPath, metadata) "
             "VALUES (?, ?, ?, ?, ?)")
FOLDER_SQL = ("INSERT INTO folders (folder_id, parent_folder_id, folder_path, last_modified_time,"
              " AI_Tagging, taggingCompleted, indexing_status)"
              " VALUES (?, ?, ?, ?, 0, NULL, 'completed')")


class Thumbnails:
    """Makes thumbnails as names of few inodes: a million files would take ten times as long."""

    def __init__(self, directory):
        self.directory = directory
        self.count = 0
        self.source = None
        os.makedirs(directory)

    def add(self, photo_id):
        path = f"{self.directory}/thumbnail_{photo_id}.jpg"
        if self.count % NAMES_PER_THUMBNAIL == 0:
            self.source = path
            with open(path, "wb") as file:
                file.write(THUMBNAIL)
        else:
            os.link(self.source, path)
        self.count += 1
        return path


def _metadata(path, name, info):
    return (f'{{"name": "{name}", "date_created": "2024-05-17T10:20:30", '
            f'"date_source": "filesystem", "width": 4000, "height": 3000, '
            f'"file_location": "{path}", "file_size": {info.st_size}, '
            f'"file_mtime": {int(info.st_mtime)}, "item_type": "image/jpeg"}}')


class Library:
    """Registers `root`, with a database, thumbnails and state below `base`."""

    def __init__(self, base, root):
        self.base = base
        self.root = root
        self.database = f"{base}/data/database/PictoPy.db"
        self.thumbnails = f"{base}/data/thumbnails"
        self.state = f"{base}/state"
        self.n_folders = self.n_photos = 0
        os.makedirs(self.state)
        schema.create(self.database)
        self._fill()

    def _fill(self):
        thumbnails = Thumbnails(self.thumbnails)
        db = sqlite3.connect(self.database)
        try:
            # For this connection only: neither is kept in the file.
            db.execute("PRAGMA synchronous = OFF")
            db.execute("PRAGMA cache_size = -400000")
            self._add_folder(db, thumbnails, self.root, None)
            db.commit()
        finally:
            db.close()

    def _add_folder(self, db, thumbnails, path, parent):
        folder_id = str(uuid.uuid4())
        children, rows = [], []
        db.execute(FOLDER_SQL, (folder_id, parent, path, int(os.stat(path).st_mtime)))
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.is_dir(follow_symlinks=False):
                    children.append(entry.path)
                    continue
                photo_id = str(uuid.uuid4())
                rows.append((photo_id, entry.path, folder_id, thumbnails.add(photo_id),
                             _metadata(entry.path, entry.name,
                                       entry.stat(follow_symlinks=False))))
        db.executemany(IMAGE_SQL, rows)
        self.n_folders += 1
        self.n_photos += len(rows)
        for child in children:
            self._add_folder(db, thumbnails, child, folder_id)

    def paths(self):
        """The paths that have a row now."""
        db = sqlite3.connect(self.database, timeout=60)
        try:
            return {row[0] for row in db.execute("SELECT path FROM images")}
        finally:
            db.close()
