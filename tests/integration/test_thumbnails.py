"""Thumbnail files and rows are the same set, whoever made which, and whatever happened to them."""

import os
import shutil
import signal
import sqlite3
import time
import uuid

import pytest
from PIL import Image

import media
import verify
from harness import wait_for, write

DAY = 86400
OFTEN = {"thumbnails.collect_interval": "100ms"}


def thumbnail_name():
    return f"thumbnail_{uuid.uuid4()}.jpg"


def age(path, seconds=2 * DAY):
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def orphan(lib, name=None, seconds=2 * DAY):
    path = os.path.join(lib.thumbnails, name or thumbnail_name())
    write(path, media.jpeg())
    age(path, seconds)
    return path


def make_old(lib):
    """All files that rows name have been there for some time."""
    for row in lib.rows("images"):
        age(row["thumbnailPath"])


def collected(lib):
    """Once a whole pass has been made that began now or later."""
    before = lib.counter("collections")
    wait_for("two passes", lambda: lib.counter("collections") >= before + 2, 20)
    return lib.counter("thumbnails_collected")


def with_photos(library, count=3, **settings):
    lib = library(settings=settings)
    lib.names = set(lib.photos("photos", count))
    lib.start()
    make_old(lib)
    return lib


# ---- what is collected ----

def test_orphans_go(library):
    lib = with_photos(library, **OFTEN)
    paths = [orphan(lib) for _ in range(5)]
    wait_for("orphans are gone", lambda: not any(map(os.path.exists, paths)))
    assert collected(lib) == 5
    lib.expect(lib.names)


def test_only_orphans_go(library):
    """Young ones, other names, directories, links and what they point to stay."""
    lib = with_photos(library, **OFTEN)
    kept = [orphan(lib, seconds=DAY - 600), orphan(lib, "thumbnail_1.jpg"), orphan(lib, "my.jpg"),
            orphan(lib, f"thumbnail_{uuid.uuid4()}.png"), orphan(lib, f"thumb_{uuid.uuid4()}.jpg")]
    directory = os.path.join(lib.thumbnails, thumbnail_name())
    os.mkdir(directory)
    inner = os.path.join(directory, thumbnail_name())
    write(inner, b"x")
    target = lib.put("outside/" + thumbnail_name(), b"x")
    link = os.path.join(lib.thumbnails, thumbnail_name())
    os.symlink(target, link)
    kept += [directory, inner, target, link]
    for path in kept[5:]:
        age(path)
    gone = orphan(lib)
    wait_for("the orphan is gone", lambda: not os.path.exists(gone))
    collected(lib)
    assert [path for path in kept if not os.path.lexists(path)] == []


def test_age_is_configured(library):
    lib = with_photos(library, **OFTEN, **{"thumbnails.collect_after": "1h"})
    old, young = orphan(lib, seconds=4000), orphan(lib, seconds=3000)
    wait_for("the old one is gone", lambda: not os.path.exists(old))
    collected(lib)
    assert os.path.exists(young)


def test_not_often_by_default(library):
    """An idle daemon is left alone for minutes; a reload brings in another interval at once."""
    lib = with_photos(library)
    path = orphan(lib)
    lib.settle()
    assert lib.counter("collections") == 0
    write(lib.config, b"[thumbnails]\ncollect_interval = 100ms\n")
    lib.daemon.process.send_signal(signal.SIGHUP)
    wait_for("the orphan is gone", lambda: not os.path.exists(path))


def test_switched_off(library):
    lib = with_photos(library, **{"thumbnails.collect_interval": "0"})
    path = orphan(lib)
    lib.daemon.process.send_signal(signal.SIGHUP)
    lib.daemon.wait_line("reloaded")
    lib.settle()
    assert lib.counter("collections") == 0
    assert os.path.exists(path)


# ---- when the database is not what it was ----

def test_empty_database(library):
    """A new database knows of no file. The old one may come back, and finds all of them."""
    lib = with_photos(library, **OFTEN)
    lib.stop()
    saved = lib.path("saved.db")
    shutil.copy(lib.database, saved)
    before = set(os.listdir(lib.thumbnails))
    with lib.connect() as db:
        db.execute("DELETE FROM folders")
    lib.start()
    collected(lib)
    assert set(os.listdir(lib.thumbnails)) == before
    os.rename(saved, lib.database)
    lib.settle()
    assert collected(lib) == 0
    lib.expect(lib.names)


def test_database_missing_and_locked(library):
    lib = with_photos(library, **OFTEN)
    before = set(os.listdir(lib.thumbnails))
    os.rename(lib.database, lib.database + "-away")
    path = orphan(lib)
    wait_for("it is missed", lambda: lib.daemon.get("/health")[0] == 503)
    assert set(os.listdir(lib.thumbnails)) == before | {os.path.basename(path)}
    os.rename(lib.database + "-away", lib.database)
    wait_for("it is back, the orphan is gone", lambda: not os.path.exists(path))
    lib.expect(lib.names)


def test_rows_say_another_path(library):
    """PictoPy may know the directory by another name, in a container or through a link."""
    lib = with_photos(library, **OFTEN)
    with lib.connect() as db:
        rows = db.execute("SELECT id, thumbnailPath FROM images ORDER BY path").fetchall()
        os.symlink(lib.thumbnails, lib.path("link"))
        for row, directory in zip(rows, ("/app/data/thumbnails", lib.path("link"))):
            name = os.path.basename(row["thumbnailPath"])
            db.execute("UPDATE images SET thumbnailPath = ? WHERE id = ?",
                       (f"{directory}/{name}", row["id"]))
    gone = orphan(lib)
    wait_for("the orphan is gone", lambda: not os.path.exists(gone))
    collected(lib)
    assert [row["id"] for row in rows
            if not os.path.exists(os.path.join(lib.thumbnails,
                                               os.path.basename(row["thumbnailPath"])))] == []


# ---- the backend's imports ----

def backend_imports_again(lib, folder="photos"):
    """As PictoPy does it: a new thumbnail for every photo, the old files stay behind."""
    folder_id = lib.folder(folder)["folder_id"]
    db = sqlite3.connect(lib.database, timeout=20)
    db.row_factory = sqlite3.Row
    with db:
        for row in db.execute("SELECT * FROM images WHERE folder_id = ?", (folder_id,)).fetchall():
            path = os.path.join(lib.thumbnails, thumbnail_name())
            with Image.open(row["path"]) as picture:
                picture.thumbnail((600, 600))
                picture.save(path, "JPEG")
            db.execute("INSERT INTO images (id, path, folder_id, thumbnailPath, metadata)"
                       " VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET"
                       " thumbnailPath = excluded.thumbnailPath",
                       (str(uuid.uuid4()), row["path"], folder_id, path, row["metadata"]))
    db.close()


def assert_same_set(lib):
    on_disk = {os.path.join(lib.thumbnails, name) for name in os.listdir(lib.thumbnails)}
    in_rows = {row["thumbnailPath"] for row in lib.rows("images")}
    assert on_disk == in_rows, verify.differences("thumbnail files", in_rows, on_disk)


def test_backend_import(library):
    lib = with_photos(library, **OFTEN)
    for _ in range(2):
        backend_imports_again(lib)
        for name in os.listdir(lib.thumbnails):
            age(os.path.join(lib.thumbnails, name))
        wait_for("those left behind are gone", lambda: len(os.listdir(lib.thumbnails)) == 3)
    lib.expect(lib.names)
    assert lib.counter("thumbnails_collected") == 6
    lib.expect_idempotent()


def test_backend_deletes_a_folder(library):
    """Rows cascade, files stay."""
    lib = library(settings=OFTEN)
    kept, gone = lib.photos("photos/kept", 2), lib.photos("photos/gone", 4)
    lib.start()
    make_old(lib)
    with lib.connect() as db:
        db.execute("DELETE FROM folders WHERE folder_path = ?", (lib.path("photos/gone"),))
    wait_for("their files are gone", lambda: len(os.listdir(lib.thumbnails)) == 2)
    assert_same_set(lib)
    assert len(gone) == 4 and {row["path"] for row in lib.rows("images")} == set(
        map(lib.path, kept))


def test_all_kinds_of_changes(library):
    """Passes go on while photos come, change, move and go."""
    lib = library(settings=OFTEN | {"watch.settle": "20ms", "thumbnails.collect_after": "1s"})
    lib.photos("photos/a", 20)
    lib.start()
    make_old(lib)
    for turn in range(5):
        lib.photos(f"photos/new{turn}", 10)
        for i in range(turn, 20, 7):
            if os.path.exists(lib.path(f"photos/a/p{i:05}.jpg")):
                lib.put(f"photos/a/p{i:05}.jpg", media.jpeg(30 + turn, 20))
        os.rename(lib.path(f"photos/new{turn}"), lib.path(f"photos/moved{turn}"))
        orphan(lib)
        if turn % 2:
            lib.rmtree(f"photos/moved{turn - 1}")
        lib.settle()
    wait_for("orphans are gone", lambda: lib.counter("thumbnails_collected") >= 5)
    lib.settle()
    assert_same_set(lib)
    collected(lib)
    lib.expect({os.path.relpath(os.path.join(d, name), lib.base)
                for d, _, names in os.walk(lib.path("photos")) for name in names})


# ---- missing ones are made again ----

@pytest.mark.parametrize("how", ["rescan", "restart", "interval"])
def test_missing_are_made_again(library, how):
    settings = {"watch.reconcile_interval": "300ms"} if how == "interval" else {}
    lib = with_photos(library, 5, **settings)
    ids = {row["path"]: row["id"] for row in lib.rows("images")}
    for row in lib.rows("images")[1:4]:
        os.unlink(row["thumbnailPath"])
    if how == "rescan":
        assert lib.daemon.request("POST", "/watcher/rescan")[0] == 200
    elif how == "restart":
        lib.restart()
    else:
        wait_for("they are back", lambda: len(os.listdir(lib.thumbnails)) == 5)
    lib.expect(lib.names)
    assert {row["path"]: row["id"] for row in lib.rows("images")} == ids


def test_directory_removed(library):
    lib = with_photos(library, 5)
    shutil.rmtree(lib.thumbnails)
    assert lib.daemon.request("POST", "/watcher/rescan")[0] == 200
    lib.expect(lib.names)


def test_directory_is_gone_while_collecting(library):
    lib = with_photos(library, **OFTEN)
    shutil.rmtree(lib.thumbnails)
    collected(lib)
    assert lib.daemon.request("POST", "/watcher/rescan")[0] == 200
    lib.expect(lib.names)


# ---- the end of a process ----

@pytest.mark.parametrize("turns", [6])
def test_killed_while_collecting(library, turns):
    """Whenever it dies: nothing but orphans is gone, and the rest goes the next time."""
    lib = with_photos(library, 20, **OFTEN)
    for turn in range(turns):
        paths = [orphan(lib) for _ in range(600)]
        wait_for("it has begun", lambda: not all(map(os.path.exists, paths)))
        lib.kill()
        lib.start()
        wait_for("orphans are gone", lambda: not any(map(os.path.exists, paths)), 20)
    lib.expect(lib.names)
    assert lib.counter("photos_decoded") == 0
