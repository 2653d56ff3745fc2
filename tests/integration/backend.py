"""PictoPy's own way to follow the disk, carried out on a copy of the database.

PictoPy's backend knows a photo by its path and by nothing else. To synchronise a folder it lists
it, adds and removes the child folders, deletes the rows of photos whose file is gone (foreign keys
are on: faces, tags, albums, memories and embeddings go along), and upserts every photo that it
finds on `path`: a row that is there keeps its id and what hangs on it, a new one gets a new id. The
AI's work and the thumbnails, which have no part in this, are left out.
"""

import contextlib
import os
import sqlite3
import uuid

import harness
import verify

UPSERT = """
INSERT INTO images (id, path, folder_id, thumbnailPath, metadata) VALUES (?, ?, ?, ?, '{}')
ON CONFLICT (path) DO UPDATE SET folder_id = excluded.folder_id,
    thumbnailPath = excluded.thumbnailPath, metadata = excluded.metadata
"""


class Backend:
    """A copy of a library's database as it is now, kept in step by PictoPy's way alone."""

    def __init__(self, lib):
        self.lib = lib
        self.database = lib.path("backend.db")
        with lib.connect() as source, self._connect() as copy:
            source.backup(copy)

    @contextlib.contextmanager
    def _connect(self):
        db = sqlite3.connect(self.database)
        db.row_factory = sqlite3.Row
        try:
            db.execute("PRAGMA foreign_keys = ON")
            yield db
            db.commit()
        finally:
            db.close()

    def sync(self):
        """Every root is synchronised, as by the endless rescans that it is asked for."""
        with self._connect() as db:
            for path, in db.execute("SELECT folder_path FROM folders").fetchall():
                if not os.path.isdir(path):
                    db.execute("DELETE FROM folders WHERE folder_path = ?", (path,))
            for root in self.lib.roots:
                for directory, _, files in os.walk(self.lib.path(root)):
                    folder = self._folder(db, directory)
                    photos = {os.path.join(directory, name) for name in files
                              if name.lower().endswith(verify.PHOTO)}
                    self._remove_all_but(db, folder, photos)
                    for path in sorted(photos):
                        db.execute(UPSERT, (str(uuid.uuid4()), path, folder,
                                            f"thumbnail_{uuid.uuid4()}.jpg"))

    @staticmethod
    def _folder(db, path):
        """The id of this directory's row, which is made if need be."""
        find = "SELECT folder_id FROM folders WHERE folder_path = ?"
        parent = db.execute(find, (os.path.dirname(path),)).fetchone()
        db.execute("INSERT INTO folders (folder_id, parent_folder_id, folder_path)"
                   " VALUES (?, ?, ?) ON CONFLICT (folder_path) DO NOTHING",
                   (str(uuid.uuid4()), parent[0] if parent else None, path))
        return db.execute(find, (path,)).fetchone()[0]

    @staticmethod
    def _remove_all_but(db, folder, there):
        for path, in db.execute("SELECT path FROM images WHERE folder_id = ?",
                                (folder,)).fetchall():
            if path not in there:
                db.execute("DELETE FROM images WHERE path = ?", (path,))

    def identity(self, name):
        with self._connect() as db:
            return harness.identity_in(db, self.lib.path(name))
