"""The daemon as a program: its database, its roots, its configuration, its signals."""

import configparser
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import uuid

import pytest

import harness
import media
import schema
from harness import wait_for, write


def healthy(lib):
    return lib.daemon.get("/health")[0] == 200


def watched(lib):
    """The paths of GET /folders."""
    return {f["path"] for f in lib.daemon.get("/folders")[1]["folders"]}


def forget_thumbnails_without_rows(lib):
    """PictoPy's backend leaves thumbnails behind when it removes a folder's rows."""
    used = {os.path.basename(r["thumbnailPath"]) for r in lib.rows("images") if r["thumbnailPath"]}
    for name in set(os.listdir(lib.thumbnails)) - used:
        os.unlink(os.path.join(lib.thumbnails, name))


def remove_folder_rows(lib, name):
    """What the backend's DELETE /folders/delete-folders does."""
    with lib.connect() as db:
        found = db.execute("DELETE FROM folders WHERE folder_path = ?", (lib.path(name),)).rowcount
    assert found == 1


# ---- the database ----

def test_database_missing_at_start(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    os.rename(lib.database, lib.path("saved.db"))
    lib.start(settle=False)
    status, body = lib.daemon.get("/health")
    assert (status, body["status"], body["database"]) == (503, "unhealthy", "disconnected")
    assert not os.path.exists(lib.database), "the daemon made a database by itself"
    for _ in range(20):  # answered from the state database: says nothing of the other one
        assert lib.daemon.problems() == {}
        assert lib.daemon.get("/health")[1]["database"] == "disconnected"
    assert "available again" not in lib.log_text()
    os.rename(lib.path("saved.db"), lib.database)
    wait_for("the database is found", lambda: healthy(lib))
    lib.expect({"r/a.jpg"})


def test_database_without_tables_at_start(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    os.unlink(lib.database)
    write(lib.database, b"")
    lib.start(settle=False)
    assert lib.daemon.get("/health")[0] == 503
    schema.create(lib.database)
    lib.register("r")
    wait_for("the tables are found", lambda: healthy(lib))
    lib.expect({"r/a.jpg"})


def test_database_removed_and_back(library):
    lib = library(roots=("r",))
    names = set(lib.photos("r", 5))
    lib.start()
    lib.expect(names)
    os.rename(lib.database, lib.path("saved.db"))
    lib.photo("r/new.jpg")
    wait_for("its absence is noticed", lambda: not healthy(lib))
    lib.photo("r/newer.jpg")
    lib.unlink("r/p00000.jpg")
    os.rename(lib.path("saved.db"), lib.database)
    wait_for("it is found again", lambda: healthy(lib))
    lib.expect(names - {"r/p00000.jpg"} | {"r/new.jpg", "r/newer.jpg"})


@pytest.mark.parametrize("lock", ["EXCLUSIVE", "IMMEDIATE"])
def test_database_locked_for_seconds(library, lock):
    lib = library(roots=("r",))
    names = set(lib.photos("r", 5))
    lib.start()
    db = sqlite3.connect(lib.database, isolation_level=None)
    db.execute(f"BEGIN {lock}")
    names |= set(lib.photos("r/new", 20))
    lib.unlink("r/p00000.jpg")
    lib.rename("r/p00001.jpg", "r/new/renamed.jpg")
    status, _ = lib.daemon.get("/watcher/settle?timeout_ms=3000")
    assert status == 504, "settled while the database was locked"
    assert lib.daemon.get("/watcher/status")[0] == 200
    db.execute("ROLLBACK")
    db.close()
    names = names - {"r/p00000.jpg", "r/p00001.jpg"} | {"r/new/renamed.jpg"}
    lib.expect(names)
    lib.expect_idempotent()


def test_database_locked_at_start(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    db = sqlite3.connect(lib.database, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    lib.start(settle=False)
    assert lib.daemon.get("/watcher/settle?timeout_ms=1500")[0] == 504
    db.execute("ROLLBACK")
    db.close()
    lib.expect({"r/a.jpg"})


def test_other_writers_are_not_kept_out(library):
    """The backend writes all the time during an import, and always gets its turn."""
    lib = library(roots=("r",))
    names = set(lib.photos("r", harness.scaled(600, 50)))
    lib.start(settle=False)
    turns = 0
    done = threading.Event()
    errors = []

    def write_rows():
        nonlocal turns
        try:
            while not done.is_set():
                with lib.connect(timeout=5) as db:
                    db.execute("INSERT OR REPLACE INTO mappings VALUES (?, ?)",
                               (turns % 50, str(uuid.uuid4())))
                turns += 1
        except sqlite3.Error as error:
            errors.append(error)

    writer = threading.Thread(target=write_rows)
    writer.start()
    try:
        lib.settle()
    finally:
        done.set()
        writer.join()
    assert not errors and turns > 0
    lib.expect(names, sample=50)


def test_database_replaced_by_another(library):
    """Another file under the same name, as a restored backup is."""
    lib = library(roots=("r", "s"))
    lib.photo("r/a.jpg")
    lib.photo("s/b.jpg")
    lib.start()
    lib.expect({"r/a.jpg", "s/b.jpg"})
    other = lib.path("other.db")
    schema.create(other)
    first, lib.database = lib.database, other
    lib.register("s")
    lib.database = first
    lib.roots.remove("r")
    os.replace(other, lib.database)
    wait_for("the new list of folders", lambda: watched(lib) == {lib.path("s")})
    lib.settle()
    forget_thumbnails_without_rows(lib)
    lib.expect({"s/b.jpg"})


def test_database_with_fewer_folders_takes_its_place(library):
    """A folder that another database does not list was removed by nobody: it is not left out."""
    lib = library(roots=("r",))
    names = {"r/a.jpg", "r/sub/b.jpg", "r/sub/deep/c.jpg"}
    for name in names:
        lib.photo(name)
    lib.start()
    lib.expect(names)
    other = lib.path("other.db")
    schema.create(other)
    first, lib.database = lib.database, other
    lib.register("r")
    lib.database = first
    os.replace(other, lib.database)
    lib.settle()
    forget_thumbnails_without_rows(lib)
    lib.expect(names)


def test_older_backup_of_the_database_is_restored(library):
    """Its folders are the same ones; what it does not know of their photos is found again."""
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.start()
    lib.expect({"r/a.jpg"})
    shutil.copy(lib.database, lib.path("backup.db"))
    lib.photo("r/b.jpg")
    lib.photo("r/sub/c.jpg")
    lib.expect({"r/a.jpg", "r/b.jpg", "r/sub/c.jpg"})
    os.replace(lib.path("backup.db"), lib.database)
    lib.settle()
    forget_thumbnails_without_rows(lib)
    lib.expect({"r/a.jpg", "r/b.jpg", "r/sub/c.jpg"})


def test_database_corrupt_and_restored(library):
    lib = library(roots=("r",))
    names = set(lib.photos("r", 5))
    lib.start()
    kept = lib.decorate("r/p00000.jpg")
    lib.settle()
    shutil.copy(lib.database, lib.path("backup.db"))
    write(lib.path("garbage"), b"no database at all, " * 1000)
    os.replace(lib.path("garbage"), lib.database)
    lib.photo("r/new.jpg")
    wait_for("it is unhealthy", lambda: not healthy(lib))
    with open(lib.database, "rb") as file:
        assert file.read(20) == b"no database at all, ", "the daemon wrote into the garbage"
    os.replace(lib.path("backup.db"), lib.database)
    wait_for("it is healthy", lambda: healthy(lib))
    lib.expect(names | {"r/new.jpg"})
    assert lib.identity("r/p00000.jpg") == kept


def test_older_schema(library):
    """No videos, no places, no captured_at, no indexing_status."""
    lib = library(roots=("r",), old_schema=True)
    lib.put("r/a.jpg", media.jpeg_exif("2011:12:13 14:15:16", gps=(48.2, 16.37)))
    lib.photo("r/in/b.jpg")
    if media.have_video():
        lib.put("r/film.mp4", media.video())
    lib.start()
    lib.expect({"r/a.jpg", "r/in/b.jpg"})
    metadata = json.loads(lib.row("r/a.jpg")["metadata"])
    assert (metadata["date_created"], metadata["date_source"]) == ("2011-12-13T14:15:16", "exif")
    assert abs(metadata["latitude"] - 48.2) < 1e-6
    kept = lib.decorate("r/a.jpg")
    lib.rename("r/in", "r/out")
    lib.rename("r/a.jpg", "r/out/a.jpg")
    lib.expect({"r/out/a.jpg", "r/out/b.jpg"})
    assert lib.identity("r/out/a.jpg") == kept
    lib.expect_idempotent()


def test_state_may_be_deleted(library):
    """Without its own database the daemon finds everything again; ids stay."""
    lib = library(roots=("r",))
    names = set(lib.photos("r/d", 10))
    lib.start()
    kept = lib.decorate("r/d/p00003.jpg")
    lib.stop()
    shutil.rmtree(lib.state)
    os.mkdir(lib.state)
    lib.start()
    lib.expect(names)
    assert lib.identity("r/d/p00003.jpg") == kept
    lib.rename("r/d/p00003.jpg", "r/moved.jpg")
    lib.expect(names - {"r/d/p00003.jpg"} | {"r/moved.jpg"})
    assert lib.identity("r/moved.jpg") == kept


def test_what_it_does_not_know_stays(library):
    """Columns, JSON keys, triggers and tables of a later PictoPy."""
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    with lib.connect() as db:
        db.executescript("""
            ALTER TABLE images ADD COLUMN rating INTEGER DEFAULT 0;
            ALTER TABLE folders ADD COLUMN note TEXT;
            CREATE TABLE log (what TEXT);
            CREATE TRIGGER deleted AFTER DELETE ON images BEGIN INSERT INTO log VALUES ('d'); END;
            CREATE TRIGGER tagged AFTER UPDATE OF isTagged ON images
                BEGIN INSERT INTO log VALUES ('t'); END;
        """)
    lib.start()
    lib.expect({"r/a.jpg"})
    with lib.connect() as db:
        db.execute("UPDATE images SET rating = 5, "
                   "metadata = json_set(metadata, '$.colour', json('{\"r\": 1}'))")
        db.execute("UPDATE folders SET note = 'mine'")
    lib.photo("r/a.jpg", width=50)
    lib.settle()
    lib.rename("r/a.jpg", "r/b.jpg")
    lib.settle()
    row = lib.row("r/b.jpg")
    metadata = json.loads(row["metadata"])
    assert row["rating"] == 5
    assert metadata["colour"] == {"r": 1}
    assert (metadata["width"], metadata["name"]) == (50, "b.jpg")
    assert lib.folder("r")["note"] == "mine"
    assert lib.rows("log", "what") == [], "a row was deleted, or columns written for nothing"
    lib.check()


def test_rows_that_pictopy_made_before(library):
    """Rows without file_mtime, as PictoPy of 2026-08-08 writes them, keep their id."""
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.photo("r/b.jpg")
    thumbnail = f"{lib.thumbnails}/thumbnail_{uuid.uuid4()}.jpg"
    write(thumbnail, media.jpeg())
    row_id = str(uuid.uuid4())
    with lib.connect() as db:
        db.execute("INSERT INTO images (id, path, folder_id, thumbnailPath, metadata, isFavourite)"
                   " SELECT ?, ?, folder_id, ?, ?, 1 FROM folders",
                   (row_id, lib.path("r/a.jpg"), thumbnail,
                    json.dumps({"name": "a.jpg", "width": 16, "height": 12})))
    lib.start()
    lib.expect({"r/a.jpg", "r/b.jpg"})
    assert lib.identity("r/a.jpg")["id"] == row_id
    assert lib.identity("r/a.jpg")["favourite"] == 1


def test_rows_of_files_that_are_gone_at_the_first_start(library):
    lib = library(roots=("r", "empty"))
    lib.photo("r/a.jpg")
    for folder in ("r", "empty"):
        with lib.connect() as db:
            db.execute("INSERT INTO images (id, path, folder_id, thumbnailPath, metadata) SELECT "
                       "?, ?, folder_id, NULL, '{}' FROM folders WHERE folder_path = ?",
                       (folder, lib.path(folder + "/gone.jpg"), lib.path(folder)))
    lib.start()
    assert {row["path"] for row in lib.rows("images")} == {
        lib.path("r/a.jpg"), lib.path("empty/gone.jpg")}, (
        "an empty directory that was never seen before may be the place of a drive")


# ---- folders come and go ----

def test_folder_row_added_by_sql(library):
    """Noticed with no request to the daemon."""
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.start()
    lib.mkdir("s")
    lib.photo("s/in/b.jpg")
    lib.roots.append("s")
    lib.register("s")
    wait_for("the new folder is watched", lambda: lib.path("s") in watched(lib))
    wait_for("its photo has a row", lambda: lib.row("s/in/b.jpg"))
    lib.photo("s/c.jpg")
    lib.expect({"r/a.jpg", "s/in/b.jpg", "s/c.jpg"})


def test_folder_added_by_init_while_running(library):
    lib = library(roots=("r",))
    lib.start()
    lib.photo("s/b.jpg")
    lib.roots.append("s")
    result = lib.run("init", lib.path("s"))
    assert result.returncode == 0, result.stderr
    assert lib.daemon.request("POST", "/watcher/restart")[0] == 200
    lib.expect({"s/b.jpg"})


@pytest.mark.parametrize("name", ["r", "r/sub"])
def test_folder_row_removed(library, name):
    """Not watched any more, and it does not come back by itself."""
    lib = library(roots=("r", "s"))
    lib.photo("s/a.jpg")
    lib.photo("r/b.jpg")
    lib.photo("r/sub/c.jpg")
    lib.photo("r/sub/deep/d.jpg")
    lib.start()
    lib.expect({"s/a.jpg", "r/b.jpg", "r/sub/c.jpg", "r/sub/deep/d.jpg"})
    remove_folder_rows(lib, name)
    wait_for("it is not watched", lambda: lib.path(name) not in watched(lib))
    if name == "r":
        lib.roots.remove("r")
        names = {"s/a.jpg"}
    else:
        lib.not_indexed.add("r/sub")
        names = {"s/a.jpg", "r/b.jpg"}
    lib.settle()
    forget_thumbnails_without_rows(lib)
    lib.photo("r/sub/new.jpg")
    lib.photo("r/sub/deeper/new.jpg")
    lib.photo("s/new.jpg")
    names.add("s/new.jpg")
    if name != "r":
        lib.photo("r/new.jpg")
        names.add("r/new.jpg")
    lib.expect(names)
    assert lib.daemon.request("POST", "/watcher/restart")[0] == 200
    lib.expect(names)
    lib.expect_idempotent()
    lib.expect(names)


def test_removed_folder_comes_back_when_it_is_added(library):
    lib = library(roots=("r",))
    lib.photo("r/b.jpg")
    lib.photo("r/sub/c.jpg")
    lib.start()
    remove_folder_rows(lib, "r/sub")
    wait_for("it is not watched", lambda: lib.path("r/sub") not in watched(lib))
    lib.settle()
    assert lib.row("r/sub/c.jpg") is None
    forget_thumbnails_without_rows(lib)
    lib.register("r/sub", parent=lib.folder("r")["folder_id"])
    wait_for("it is watched", lambda: lib.path("r/sub") in watched(lib))
    lib.expect({"r/b.jpg", "r/sub/c.jpg"})


def test_folder_in_progress_is_left_alone_then_finished(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.photo("s/b.jpg")
    lib.photo("s/in/c.jpg")
    lib.register("s", status="in_progress")
    lib.start()
    lib.photo("s/d.jpg")
    lib.settle()
    paths = [row["path"] for row in lib.rows("images")]
    assert paths == [lib.path("r/a.jpg")], "a folder in progress was touched"
    lib.roots.append("s")
    with lib.connect() as db:
        db.execute("UPDATE folders SET indexing_status = 'completed'")
    wait_for("it is finished", lambda: lib.row("s/d.jpg"))
    lib.expect({"r/a.jpg", "s/b.jpg", "s/in/c.jpg", "s/d.jpg"})


def test_folder_not_started_has_a_grace_period(library):
    lib = library(roots=("r",), settings={"sync.import_grace": "3s"})
    lib.photo("r/a.jpg")
    lib.start()
    lib.expect({"r/a.jpg"})
    lib.photo("s/b.jpg")
    lib.register("s", status="not_started")
    lib.roots.append("s")
    assert lib.daemon.request("POST", "/watcher/restart")[0] == 200
    assert lib.row("s/b.jpg") is None
    wait_for("it is imported", lambda: lib.row("s/b.jpg"), timeout=15)
    lib.expect({"r/a.jpg", "s/b.jpg"})


@pytest.mark.parametrize("inherit", ["yes", "no"])
def test_ai_tagging_is_inherited(library, inherit):
    lib = library(roots=(), settings={"sync.inherit_ai_tagging": inherit})
    lib.mkdir("on")
    lib.mkdir("off")
    lib.register("on", ai_tagging=1)
    lib.register("off", ai_tagging=0)
    lib.roots = ["on", "off"]
    lib.photo("on/before/a.jpg")
    lib.start()
    lib.photo("on/new/deep/a.jpg")
    lib.photo("off/new/a.jpg")
    lib.expect({"on/before/a.jpg", "on/new/deep/a.jpg", "off/new/a.jpg"})
    for name in ("on/before", "on/new", "on/new/deep"):
        assert bool(lib.folder(name)["AI_Tagging"]) == (inherit == "yes"), name
    assert not lib.folder("off/new")["AI_Tagging"]
    assert lib.folder("on")["AI_Tagging"] == 1


@pytest.mark.parametrize("mode", ["backend", "observe"])
def test_other_modes_are_refused(library, mode):
    """Rather than writing rows that nobody wants to have written."""
    lib = library(roots=("r",))
    result = lib.run("run", settings={"sync.mode": mode})
    assert result.returncode == 2 and "direct only" in result.stderr, result


# ---- roots that are away ----

def test_root_missing_at_start(library):
    lib = library(roots=("r", "s"))
    names = {"r/a.jpg", "r/in/b.jpg", "s/c.jpg"}
    for name in names:
        lib.photo(name)
    lib.start()
    before = {name: lib.decorate(name) for name in names}
    lib.stop()
    lib.rename("r", "away")
    lib.start()
    result = lib.run("check")
    assert "offline" in (result.stdout + result.stderr), result
    assert {name: lib.identity(name) for name in names} == before
    lib.rename("away", "r")
    wait_for("it is online", lambda: "offline" not in lib.run("check").stdout)
    lib.expect(names)
    assert lib.counter("photos_decoded") == 0
    assert {name: lib.identity(name) for name in names} == before


def test_root_away_and_back_while_running(library):
    lib = library(roots=("r", "s"))
    names = {"r/a.jpg", "r/in/b.jpg", "s/c.jpg"}
    for name in names:
        lib.photo(name)
    lib.start()
    before = {name: lib.decorate(name) for name in names}
    decoded = lib.counter("photos_decoded")
    lib.rename("r", "away")
    lib.settle()
    assert {name: lib.identity(name) for name in names} == before, "rows of a lost root changed"
    result = lib.run("check")
    assert "offline" in (result.stdout + result.stderr), result
    lib.photo("s/d.jpg")
    lib.rename("away/a.jpg", "away/z.jpg")
    lib.settle()
    lib.rename("away", "r")
    names = names - {"r/a.jpg"} | {"r/z.jpg", "s/d.jpg"}
    wait_for("it is online", lambda: lib.row("r/z.jpg"), timeout=20)
    lib.expect(names)
    assert lib.counter("photos_decoded") == decoded + 1
    assert lib.identity("r/z.jpg") == before["r/a.jpg"]
    lib.photo("r/e.jpg")
    lib.expect(names | {"r/e.jpg"})


@pytest.mark.parametrize("how", ["while running", "while stopped"])
def test_drive_unplugged_and_plugged_in(own_mounts, library, how):
    """An empty mount point, or another file system in its place, proves nothing."""
    lib = library(roots=("mnt", "r"))
    # The file system stays alive in one place while it comes and goes in another.
    alive = lib.mkdir("alive")
    lib.mount("-t", "tmpfs", "x", at="alive")
    lib.mount("--bind", alive, at="mnt")
    names = {"mnt/a.jpg", "mnt/in/b.jpg", "r/c.jpg"}
    for name in names:
        lib.photo(name)
    lib.start()
    lib.expect(names)
    before = {name: lib.decorate(name) for name in names}
    folder = lib.folder("mnt/in")
    decoded = lib.counter("photos_decoded")

    def replaced(change):
        if how == "while stopped":
            lib.stop()
            change()
            lib.start()
        else:
            change()
            lib.settle()

    replaced(lambda: lib.umount("mnt"))
    lib.photo("r/d.jpg")
    lib.settle()
    assert {name: lib.identity(name) for name in names} == before, "unplugged, rows changed"
    assert lib.folder("mnt/in") == folder
    assert "offline" in lib.run("check").stdout

    replaced(lambda: lib.mount("-t", "tmpfs", "other", at="mnt"))
    lib.photo("r/e.jpg")
    lib.settle()
    assert {name: lib.identity(name) for name in names} == before, "another one, rows changed"

    lib.umount("mnt")
    replaced(lambda: lib.mount("--bind", alive, at="mnt"))
    names |= {"r/d.jpg", "r/e.jpg", "mnt/f.jpg"}
    lib.photo("mnt/f.jpg")
    wait_for("it is online", lambda: lib.row("mnt/f.jpg"), timeout=20)
    lib.expect(names)
    assert {name: lib.identity(name) for name in before} == before
    if how == "while running":
        assert lib.counter("photos_decoded") == decoded + 3
    else:
        assert lib.counter("photos_decoded") == 1


def test_file_system_mounted_inside_a_root(own_mounts, library):
    """Mounting over a directory gives no event; what it hides is not gone for good."""
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.photo("r/in/b.jpg")
    lib.start()
    before = lib.decorate("r/in/b.jpg")
    lib.mount("-t", "tmpfs", "x", at="r/in")
    lib.photo("r/c.jpg")
    lib.settle()
    assert lib.identity("r/in/b.jpg") == before, "rows went away with a mount"
    lib.umount("r/in")
    lib.photo("r/in/d.jpg")
    wait_for("the directory is watched again", lambda: lib.row("r/in/d.jpg"), timeout=20)
    lib.expect({"r/a.jpg", "r/in/b.jpg", "r/c.jpg", "r/in/d.jpg"})
    assert lib.identity("r/in/b.jpg") == before


def test_move_between_file_systems(own_mounts, library):
    """mv copies, then removes."""
    lib = library(roots=("r", "mnt"))
    lib.mount("-t", "tmpfs", "x", at="mnt")
    lib.photo("r/a.jpg")
    lib.photo("r/dir/b.jpg")
    lib.photo("r/dir/in/c.jpg")
    lib.start()
    subprocess.run(["mv", lib.path("r/a.jpg"), lib.path("mnt/z.jpg")], check=True)
    subprocess.run(["mv", lib.path("r/dir"), lib.path("mnt/dir")], check=True)
    lib.expect({"mnt/z.jpg", "mnt/dir/b.jpg", "mnt/dir/in/c.jpg"})


# ---- what is left out ----

def test_own_directories_are_never_indexed(library):
    """The directory above database, thumbnails and state is registered."""
    lib = library(roots=(".",))
    lib.photo("photos/a.jpg")
    lib.photo("b.jpg")
    lib.start()
    lib.expect({"photos/a.jpg", "b.jpg"})
    for i in range(5):
        lib.photo(f"photos/{i}.jpg")
    lib.put("data/thumbnails/hand.jpg", media.jpeg())
    lib.put("data/database/hand.jpg", media.jpeg())
    lib.photo("data/c.jpg")
    lib.settle()
    lib.unlink("data/thumbnails/hand.jpg")
    names = {"photos/a.jpg", "b.jpg", "data/c.jpg"} | {f"photos/{i}.jpg" for i in range(5)}
    lib.expect(names)
    lib.expect_idempotent()


def test_ignored_files(library):
    lib = library(roots=("r",))
    lib.photo("r/._a.jpg")
    lib.put("r/.pictopy-write-x.tmp", media.jpeg())
    lib.photo("r/.visible.jpg")
    lib.start()
    lib.expect({"r/.visible.jpg"})
    lib.photo("r/._b.jpg")
    lib.expect({"r/.visible.jpg"})


def test_own_ignore_rules(library):
    lib = library(roots=("r",), settings={"watch.ignore": "skip-* Cache",
                                          "watch.ignore_files": "*_draft.* x.jpg"})
    for name in ("skip-me/a", "Cache/a", "in/Cache/a", "x", "a_draft", "in/x"):
        lib.photo(f"r/{name}.jpg")
    for directory in ("skip-me", "Cache", "in/Cache"):
        lib.not_indexed.add("r/" + directory)
    names = {"r/cache/a.jpg", "r/xx.jpg", "r/in/a.jpg"}
    for name in names:
        lib.photo(name)
    lib.start()
    lib.expect(names)


def test_registered_folder_is_watched_though_its_name_is_ignored(library):
    lib = library(roots=("r/.hidden",))
    lib.photo("r/.hidden/a.jpg")
    lib.photo("r/.hidden/.too/b.jpg")
    lib.start()
    lib.expect({"r/.hidden/a.jpg"})
    lib.photo("r/.hidden/c.jpg")
    lib.expect({"r/.hidden/a.jpg", "r/.hidden/c.jpg"})


def test_new_ignore_rule_deletes_no_row(library):
    lib = library(roots=("r",))
    names = {"r/keep/a.jpg", "r/b.jpg"}
    for name in names:
        lib.photo(name)
    lib.start()
    lib.stop()
    lib.start(settings={"watch.ignore": "keep", "watch.ignore_files": "b.*"})
    assert {row["path"] for row in lib.rows("images")} == {lib.path(n) for n in names}
    lib.photo("r/keep/c.jpg")  # registered, so still watched
    lib.settle()
    assert lib.row("r/keep/c.jpg")


# ---- what a row says ----

def test_exif_dates_and_place(library):
    lib = library(roots=("r",))
    samples = {
        "all.jpg": dict(original="2001:01:01 01:01:01", digitized="2002:02:02 02:02:02",
                        changed="2003:03:03 03:03:03"),
        "digitized.jpg": dict(digitized="2002:02:02 02:02:02", changed="2003:03:03 03:03:03"),
        "changed.jpg": dict(changed="2003:03:03 03:03:03"),
        "ifd0.jpg": dict(ifd0_original="2004:04:04 04:04:04", digitized="2002:02:02 02:02:02"),
        "bad.jpg": dict(original="not a date"),
        "zero.jpg": dict(original="0000:00:00 00:00:00"),
        "none.jpg": {},
        "south-west.jpg": dict(original="2001:01:01 01:01:01", gps=(-33.8568, -151.2153)),
        "north-east.jpg": dict(gps=(59.3293, 18.0686)),
    }
    wanted = {"all.jpg": "2001-01-01T01:01:01", "digitized.jpg": "2002-02-02T02:02:02",
              "changed.jpg": "2003-03-03T03:03:03", "ifd0.jpg": "2004-04-04T04:04:04",
              "south-west.jpg": "2001-01-01T01:01:01"}
    for name, options in samples.items():
        lib.put("r/" + name, media.jpeg_exif(**options))
    lib.start()
    lib.expect({"r/" + name for name in samples})
    for name, options in samples.items():
        row = lib.row("r/" + name)
        metadata = json.loads(row["metadata"])
        assert row["captured_at"] == wanted.get(name), name
        assert metadata["date_source"] == ("exif" if name in wanted else "filesystem"), name
        place = options.get("gps", (None, None))
        for key, value in zip(("latitude", "longitude"), place):
            assert row[key] == pytest.approx(value, abs=1e-6) if value else row[key] is None, name
            assert metadata.get(key) == row[key], name


@pytest.mark.parametrize("format", ["jpg", "png"])
def test_thumbnail_sizes(library, format):
    lib = library(roots=("r",))
    sizes = {"wide": (1201, 400), "tall": (333, 1800), "small": (90, 70), "exact": (600, 600),
             "one": (1, 1), "line": (2000, 1), "column": (1, 700)}
    for name, (width, height) in sizes.items():
        lib.photo(f"r/{name}.{format}", width=width, height=height)
    lib.start()
    lib.expect({f"r/{name}.{format}" for name in sizes})


def test_thumbnails_are_upright(library):
    lib = library(roots=("r",))
    for orientation in range(1, 9):
        lib.put(f"r/{orientation}.jpg", media.turned(orientation))
        lib.put(f"r/large{orientation}.jpg", media.turned(orientation, 1200, 800))
    lib.start()
    names = {f"r/{kind}{o}.jpg" for kind in ("", "large") for o in range(1, 9)}
    lib.expect(names)
    for name in names:
        with media.Image.open(lib.row(name)["thumbnailPath"]) as picture:
            assert picture.size == ((600, 400) if "large" in name else (96, 64)), name
            assert media.shows_quadrants(picture), f"{name} is not upright"


@pytest.mark.parametrize("order", ["before", "at once", "later"])
@pytest.mark.parametrize("name", ["a.jpg.supplemental-metadata.json", "a.jpg.json",
                                  "a.jpg.supplemental-me.json"])
def test_takeout_sidecar(library, name, order, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    lib = library(roots=("r",))
    text = media.sidecar(taken=1_000_000_000, created=1, place=(48.25, 16.5)).encode()
    if order == "before":
        lib.put("r/" + name, text)
    lib.start()
    lib.photo("r/a.jpg")
    lib.photo("r/b.jpg")
    if order == "later":
        lib.settle()
        assert lib.row("r/a.jpg")["captured_at"] is None
        kept = lib.decorate("r/a.jpg")
    if order != "before":
        lib.put("r/" + name, text)
    lib.expect({"r/a.jpg", "r/b.jpg"})
    row = lib.row("r/a.jpg")
    metadata = json.loads(row["metadata"])
    assert (metadata["date_source"], row["captured_at"]) == ("sidecar", "2001-09-09T01:46:40")
    assert (row["latitude"], row["longitude"]) == (48.25, 16.5)
    assert lib.row("r/b.jpg")["captured_at"] is None
    if order == "later":
        assert lib.identity("r/a.jpg") == kept
    lib.expect_idempotent()


@pytest.mark.skipif(not media.have_video(), reason="built without libavformat: no videos to be had")
def test_videos(library, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    lib = library(roots=("r",))
    lib.put("r/film.mp4", media.video("2015-06-07T08:09:10Z"))
    lib.put("r/in/undated.MOV", media.video())
    lib.put("r/empty.mp4", b"")
    lib.start()
    names = {"r/film.mp4", "r/in/undated.MOV"}
    lib.expect(names, problems=None)
    row = lib.row("r/film.mp4", "videos")
    metadata = json.loads(row["metadata"])
    assert row["captured_at"] == metadata["date_created"] == "2015-06-07T08:09:10"
    assert metadata["date_source"] == "container"
    assert (metadata["width"], metadata["height"]) == (64, 48)
    assert (metadata["duration"], metadata["fps"]) == (1.0, 10.0)
    assert metadata["item_type"] == "video/mp4"
    undated = lib.row("r/in/undated.MOV", "videos")
    assert undated["captured_at"] is None
    assert json.loads(undated["metadata"])["date_source"] == "filesystem"

    with lib.connect() as db:
        db.execute("UPDATE videos SET isFavourite = 1")
    before = {name: lib.identity(name, "videos") for name in names}
    read = lib.counter("videos_read")
    lib.rename("r/film.mp4", "r/in/film.m4v")
    lib.rename("r/in", "r/out")
    lib.expect({"r/out/film.m4v", "r/out/undated.MOV"}, problems=None)
    assert lib.identity("r/out/film.m4v", "videos") == before["r/film.mp4"]
    assert lib.identity("r/out/undated.MOV", "videos") == before["r/in/undated.MOV"]
    assert lib.counter("videos_read") == read
    lib.unlink("r/out/undated.MOV")
    lib.expect({"r/out/film.m4v"}, problems=None)


@pytest.mark.skipif(not media.have_video(), reason="built without libavformat: no videos to be had")
def test_video_that_is_none_is_still_listed(library):
    lib = library(roots=("r",))
    lib.put("r/broken.mp4", b"this is no film\n" * 100)
    lib.start()
    lib.settle()
    row = lib.row("r/broken.mp4", "videos")
    assert row and row["thumbnailPath"] is None
    metadata = json.loads(row["metadata"])
    assert metadata["duration"] is None and metadata["fps"] is None
    assert metadata["date_source"] == "filesystem"
    lib.check()


# ---- commands ----

def program(lib, *words, **options):
    return subprocess.run([harness.BINARY, *words], stderr=subprocess.PIPE, text=True, check=False,
                          env=lib.environment(), **{"stdout": subprocess.PIPE, **options})


def test_help_and_version(library):
    lib = library(roots=())
    for words in (("--version",), ("-V",), ("check", "--version")):
        result = program(lib, *words)
        assert (result.returncode, result.stderr) == (0, "")
        assert re.fullmatch(r"pictopy-sync \d+\.\d+\.\d+\n", result.stdout)
    for words in (("--help",), ("-h",), ("run", "--help"), ("--help", "nonsense")):
        result = program(lib, *words)
        assert (result.returncode, result.stderr) == (0, "")
        for word in ("Usage: pictopy-sync ", "run", "init", "check", "status", "config",
                     "--config", "--set", "--json", "--help", "--version"):
            assert word in result.stdout, f"--help does not mention {word}"


@pytest.mark.parametrize("words, message", [
    (["--nonsense"], "unrecognized option '--nonsense'"),
    (["-x"], "invalid option -- 'x'"),
    (["check", "--nonsense"], "unrecognized option '--nonsense'"),
    (["--help=x"], "option '--help' doesn't allow an argument"),
    (["config", "--set"], "option '--set' requires an argument"),
    (["config", "-c"], "option requires an argument -- 'c'"),
    (["nonsense"], "unknown command 'nonsense'"),
    ([""], "unknown command ''"),
    (["--", "--help"], "unknown command '--help'"),
    (["run", "extra"], "run: extra operand 'extra'"),
    (["check", "--", "--json"], "check: extra operand '--json'"),
    (["status", "a", "b"], "status: extra operand 'a'"),
    (["init"], "init: missing operand: which directories?"),
    (["config", "--json"], "config: option '--json' is for check, status and graveyard"),
    (["--json"], "run: option '--json' is for check, status and graveyard"),
])
def test_wrong_usage(library, words, message):
    result = program(library(roots=()), *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (f"pictopy-sync: {message}\n"
                             "Try 'pictopy-sync --help' for more information.\n")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["config"], ["check"],
                                   ["check", "--json"]])
def test_full_disk_is_an_error(library, words):
    lib = library(roots=("r",))
    with open("/dev/full", "wb") as full:
        result = program(lib, *lib.arguments(), *words, stdout=full)
    assert (result.returncode, result.stderr) == (
        2, "pictopy-sync: write error: No space left on device\n")


def test_options_may_stand_anywhere(library):
    lib = library(roots=())
    name = lib.mkdir("-dir")
    for words in ((*lib.arguments(), "init", name), ("init", name, *lib.arguments()),
                  ("init", *lib.arguments(), "--", name)):
        assert program(lib, *words).returncode == 0
    result = program(lib, "init", *lib.arguments(), "--", "-dir", cwd=lib.base)
    assert (result.returncode, result.stdout) == (0, f"{name} is registered already\n")


def test_init_refuses_what_it_cannot_register(library):
    lib = library(roots=())
    write(lib.path("file"), b"")
    bad = os.fsencode(lib.base) + b"/\xff"
    os.mkdir(bad)
    for path, why in ((lib.path("file"), "not a directory"), ("", "No such file or directory"),
                      (lib.path("nowhere"), "No such file or directory")):
        result = lib.run("init", path)
        assert (result.returncode, result.stderr) == (1, f"pictopy-sync: '{path}': {why}\n")
    result = lib.run("init", os.fsdecode(bad))
    assert result.returncode == 1 and "\\xff': the name is not UTF-8" in result.stderr
    result = lib.run("init", lib.path("nowhere"), lib.base)  # one that fails does not hinder others
    assert (result.returncode, result.stdout) == (1, f"registered {lib.base}\n")


def test_init_makes_database_and_folders(library):
    lib = library(roots=())
    os.unlink(lib.database)
    os.rmdir(os.path.dirname(lib.database))
    lib.photo("r/a.jpg")
    lib.photo("r/in/b.jpg")
    lib.mkdir("s")
    lib.roots = ["r", "s"]
    result = lib.run("init", lib.path("r"), lib.path("s"))
    assert result.returncode == 0, result.stderr
    again = lib.run("init", lib.path("r") + "/")
    assert again.returncode == 0, again.stderr
    lib.start()
    lib.expect({"r/a.jpg", "r/in/b.jpg"})
    lib.expect_idempotent()
    result = lib.run("init", lib.path("nowhere"))
    assert result.returncode > 0 and "nowhere" in result.stderr


def test_made_database_takes_what_pictopy_does_with_it(library):
    """The tables that init makes have the columns and keys of PictoPy's own."""
    lib = library(roots=("r",))
    with lib.connect() as db:
        wanted = columns(db)
    os.unlink(lib.database)
    assert lib.run("init", lib.path("r")).returncode == 0
    with lib.connect() as db:
        found = columns(db)
    for table in ("folders", "images", "videos"):
        assert found.get(table) == wanted[table], table


def columns(db):
    tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {t: [(c["name"], c["type"].upper()) for c in db.execute(f"PRAGMA table_info({t})")]
            + [(k["table"], k["from"], k["to"], k["on_delete"])
               for k in db.execute(f"PRAGMA foreign_key_list({t})")] for t in tables}


def test_check_finds_differences_and_changes_nothing(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.photo("r/in/b.jpg")
    lib.start()
    lib.settle()
    lib.stop()
    lib.check()
    before, stamp = lib.dump(), os.stat(lib.database).st_mtime_ns
    changes = {
        "added": lambda: lib.photo("r/new.jpg"),
        "removed": lambda: lib.unlink("r/a.jpg"),
        "changed": lambda: lib.photo("r/in/b.jpg", width=99),
        "directory": lambda: lib.mkdir("r/newdir"),
    }
    for what, change in changes.items():
        change()
        result = lib.check(1)
        assert json.loads(result.stdout), what
        text = lib.run("check")
        assert text.returncode == 1 and text.stdout, what
    assert lib.dump() == before and os.stat(lib.database).st_mtime_ns == stamp
    lib.start()
    lib.settle()
    lib.check()
    lib.stop()
    os.unlink(lib.row("r/in/b.jpg")["thumbnailPath"])
    lib.check(1)
    os.rename(lib.database, lib.path("saved.db"))
    assert lib.run("check").returncode == 2
    write(lib.database, b"garbage" * 1000)
    assert lib.run("check").returncode == 2


def test_check_says_what_differs(library):
    lib = library(roots=("r",))
    for name in ("r/gone.jpg", "r/changed.jpg", "r/bare.jpg", "r/kept.jpg"):
        lib.photo(name)
    lib.start()
    lib.expect({"r/gone.jpg", "r/changed.jpg", "r/bare.jpg", "r/kept.jpg"})
    lib.stop()
    lib.unlink("r/gone.jpg")
    lib.photo("r/changed.jpg", width=99)
    os.unlink(lib.row("r/bare.jpg")["thumbnailPath"])
    lib.photo("r/new.jpg")
    lib.mkdir("r/dir")
    os.utime(lib.path("r"), (1, 1))  # in case that all this took less than a second
    wanted = {lib.path("r"): "folder differs", lib.path("r/dir"): "folder differs",
              lib.path("r/gone.jpg"): "not on disk", lib.path("r/changed.jpg"): "modified",
              lib.path("r/bare.jpg"): "thumbnail missing",
              lib.path("r/new.jpg"): "not in the database"}
    answer = json.loads(lib.check(1).stdout)
    found = {item["path"]: item["difference"] for item in answer.pop("differences")}
    assert found == wanted
    assert answer == {"in_sync": False, "folders": 2, "files": 4, "offline": 0}
    lines = lib.run("check").stdout.splitlines()
    assert sorted(lines[:-1]) == sorted(f"{text}: {path}" for path, text in wanted.items())
    assert lines[-1] == "not in sync: 2 folders, 4 files, 6 differences"


def test_check_looks_behind_an_ignored_directory(library):
    """A registered folder that no scan of another one reaches is looked at all the same."""
    lib = library(roots=("r",))
    lib.photo("r/.hidden/in/a.jpg")
    lib.register("r/.hidden/in")
    differences = json.loads(lib.check(1).stdout)["differences"]
    assert lib.path("r/.hidden/in/a.jpg") in {item["path"] for item in differences}
    lib.start()
    lib.check()
    assert lib.row("r/.hidden/in/a.jpg")


def test_check_of_many_folders(library):
    """Where scans begin is found without comparing every folder with every other."""
    lib = library(roots=())
    above = "/nowhere" + "/deep" * 20
    with lib.connect() as db:
        db.executemany("INSERT INTO folders (folder_id, folder_path, last_modified_time, "
                       "AI_Tagging) VALUES (?, ?, 0, 0)",
                       ((str(n), f"{above}/{n:05}") for n in range(30000)))
    started = time.monotonic()
    answer = json.loads(lib.check(0).stdout)
    assert answer["offline"] == 30000
    assert time.monotonic() - started < 10 * harness.PATIENCE


def test_thumbnail_that_was_deleted_is_made_again_at_start(library):
    lib = library(roots=("r",))
    names = set(lib.photos("r", 3))
    lib.start()
    kept = lib.decorate("r/p00001.jpg")
    lib.stop()
    os.unlink(lib.row("r/p00001.jpg")["thumbnailPath"])
    lib.start()
    lib.expect(names)
    assert lib.identity("r/p00001.jpg") == kept
    assert lib.counter("photos_decoded") == 1


def test_status_command(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.start()
    here = {"http.listen": f"localhost:{lib.daemon.port}"}

    def status(*words, settings=here):
        result = lib.run("status", *words, settings=settings)
        return result.returncode, result.stdout, result.stderr

    assert status() == (0, "healthy\ndatabase: connected\nwatcher: running\nfolders: 1\n", "")
    code, text, _ = status("--json")
    assert (code, set(json.loads(text))) == (0, {"health", "watcher"})

    def same():
        """The detail is made anew now and then only: perhaps between the two readings."""
        answer = json.loads(status("--json")[1])
        return (answer["health"] == lib.daemon.get("/health")[1] and
                answer["watcher"] == lib.daemon.get("/watcher/status")[1])

    wait_for("the command and the server say the same", same)
    os.rename(lib.database, lib.path("away.db"))
    wait_for("it is missed", lambda: lib.daemon.get("/health")[0] == 503)
    code, text, _ = status()
    assert (code, text.splitlines()[:2]) == (1, ["unhealthy", "database: disconnected"])
    lib.stop()
    assert status() == (3, "", f"pictopy-sync: status: {here['http.listen']}: nobody answers: "
                               "the daemon is not running\n")
    code, text, error = status(settings={"http.listen": "localhost:0"})
    assert (code, text) == (3, "") and "port 0" in error


def test_status_of_another_service(library):
    """Something else listens there, and says nothing that we understand."""
    lib = library(roots=())
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            client = server.accept()[0]
            with client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        thread = threading.Thread(target=answer)
        thread.start()
        result = lib.run("status", settings={"http.listen": f"localhost:{server.getsockname()[1]}"})
        thread.join()
    assert (result.returncode, result.stdout) == (3, "")
    assert "somebody else answers" in result.stderr


# ---- configuration ----

def test_unknown_key_names_file_and_line(library):
    lib = library(roots=())
    write(lib.config, b"# a comment\n[watch]\nsettle = 100ms\nsettel = 100ms\n")
    for command in ("run", "check", "config"):
        result = lib.run(command)
        assert result.returncode > 0, command
        assert lib.config in result.stderr and "4" in result.stderr, result.stderr
        assert "settel" in result.stderr, result.stderr


def test_every_error_is_told(library):
    """All at once, a line each; nothing is started."""
    lib = library(roots=())
    write(lib.config, b"[watch]\nsettle = x\n[nothing]\na = b\n[log]\nlevel = info\nlevel = info\n")
    result = lib.run("config", settings={"thumbnails.size": "1"})
    lines = result.stderr.splitlines()
    assert (result.returncode, result.stdout, len(lines)) == (2, "", 4)
    for line, start in zip(lines, (f"{lib.config}:2: bad value", f"{lib.config}:3: unknown section",
                                   f"{lib.config}:7: log.level is set again, first in line 6",
                                   "--set thumbnails.size=1: bad value")):
        assert line.startswith("pictopy-sync: " + start) and "; accepted: " in line


@pytest.mark.parametrize("key, value, accepted", [
    ("sync.mode", "fly", ["direct", "backend", "observe"]),
    ("log.level", "loud", ["debug", "info", "warning", "error"]),
    ("watch.settle", "soon", ["ms"]),
    ("thumbnails.size", "0", ["16", "4096"]),
    ("thumbnails.quality", "101", ["1", "100"]),
    ("sync.inherit_ai_tagging", "perhaps", ["yes", "no"]),
    ("http.listen", "nowhere", ["localhost", "PORT"]),
])
@pytest.mark.parametrize("where", ["file", "--set", "environment"])
def test_bad_value_names_what_is_accepted(library, key, value, accepted, where, monkeypatch):
    lib = library(roots=())
    section, name = key.split(".")
    lib.settings.pop(key, None)
    settings = None
    environment = lib.environment()
    variable = f"PICTOPY_SYNC_{section}_{name}".upper()
    if where == "file":
        write(lib.config, f"[{section}]\n\n{name} = {value}\n".encode())
    elif where == "--set":
        settings = {key: value}
    else:
        environment[variable] = value
    result = subprocess.run(lib.command("config", settings=settings), capture_output=True,
                            text=True, env=environment)
    assert result.returncode > 0, result.stdout
    source = {"file": lib.config, "--set": "--set", "environment": variable}[where]
    for word in [source, value, *accepted] + (["3"] if where == "file" else []):
        assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"


def test_precedence_and_printed_configuration(library):
    lib = library(roots=())
    write(lib.config, b"[watch]\nsettle = 111ms\npoll_interval = 33s\n[log]\nlevel = error\n")
    environment = lib.environment() | {"PICTOPY_SYNC_WATCH_POLL_INTERVAL": "44s",
                                       "PICTOPY_SYNC_LOG_LEVEL": "warning"}

    def printed(config, *words):
        result = subprocess.run([harness.BINARY, "config", "--config", config, *words],
                                capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stderr
        return result.stdout

    text = printed(lib.config, "--set", "log.level=debug")
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    assert parser["watch"]["settle"] == "111ms"
    assert parser["watch"]["poll_interval"] == "44s"
    assert parser["log"]["level"] == "debug"
    home = lib.path("home")
    assert parser["database"]["path"] == f"{home}/data/PictoPy/database/PictoPy.db"
    assert parser["thumbnails"]["directory"] == f"{home}/data/PictoPy/thumbnails"
    assert parser["thumbnails"]["size"] == "600" and parser["thumbnails"]["quality"] == "75"
    assert parser["http"]["listen"] == "localhost:52124"
    assert parser["sync"]["mode"] == "direct"
    # What is printed is a configuration of the same meaning.
    write(lib.path("printed.conf"), text.encode())
    environment = lib.environment()
    again = configparser.ConfigParser(interpolation=None)
    again.read_string(printed(lib.path("printed.conf")))
    assert {s: dict(again[s]) for s in again} == {s: dict(parser[s]) for s in parser}


def test_missing_configuration_file(library):
    lib = library(roots=())
    lib.config = lib.path("nowhere.conf")
    result = lib.run("config")
    assert result.returncode > 0 and "nowhere.conf" in result.stderr


def test_reload(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    write(lib.config, b"[log]\nlevel = info\n")
    daemon = lib.start()
    lib.expect({"r/a.jpg"})
    seen = len(daemon.lines)
    write(lib.config, b"[log]\nlevel = debug\n[watch]\nignore = skip .*\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_line(r"(?i)reload|configuration", start=seen)
    lib.settle()
    lib.not_indexed.add("r/skip")
    lib.photo("r/skip/b.jpg")
    lib.photo("r/@eaDir/c.jpg")
    lib.settle()
    assert lib.row("r/skip/b.jpg") is None
    assert lib.row("r/@eaDir/c.jpg"), "the new list of names to ignore is not in force"

    seen = len(daemon.lines)
    write(lib.config, b"[watch]\nignore = other\nsettle = soon\n[nonsense]\nkey = value\n")
    daemon.process.send_signal(signal.SIGHUP)
    for number, what in ((3, "bad value"), (4, "unknown section")):  # a message each
        daemon.wait_line(f"^error: configuration not taken up: {re.escape(lib.config)}:{number}: "
                         + what, start=seen)
    lib.photo("r/skip/d.jpg")
    lib.photo("r/other/e.jpg")
    lib.settle()
    assert lib.row("r/skip/d.jpg") is None, "a broken configuration was taken up"
    assert lib.row("r/other/e.jpg"), "a broken configuration was taken up"
    assert healthy(lib)


def test_reload_names_what_it_cannot_take_up(library):
    lib = library(roots=("r",))
    daemon = lib.start()
    write(lib.config, b"[thumbnails]\nsize = 99\n[watch]\nsettle = 100ms\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_line(r"^warning: these change only with the next start: thumbnails.size$")
    seen = len(daemon.lines)
    write(lib.config, b"")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_line(r"configuration reloaded", start=seen)
    lib.settle()
    assert not [line for line in daemon.lines[seen:] if "next start" in line]


def test_reload_with_other_own_directories(library):
    """The thumbnails stay where they are until the next start, and are not photos before."""
    lib = library(roots=(".",))
    del lib.settings["thumbnails.directory"]
    write(lib.config, f"[thumbnails]\ndirectory = {lib.thumbnails}\n".encode())
    lib.photo("b.jpg")
    daemon = lib.start()
    lib.settle()
    write(lib.config, f"[thumbnails]\ndirectory = {lib.path('elsewhere')}\n".encode())
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_line("configuration reloaded")
    lib.settle()
    assert [row["path"] for row in lib.rows("images")] == [lib.path("b.jpg")]


def test_reload_while_the_database_is_away(library):
    """What waits for it since the first reload outlives the second one."""
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    daemon = lib.start()

    def reload():
        seen = len(daemon.lines)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_line("configuration reloaded", start=seen)

    reload()
    lib.settle()
    os.rename(lib.database, lib.database + ".away")
    daemon.wait_line("waiting for it")
    for _ in range(3):
        reload()
    os.rename(lib.database + ".away", lib.database)
    lib.expect({"r/a.jpg"})


def test_watcher_stopped_with_changes_waiting(library):
    """They do not keep the loop turning, and are found again at the next start."""
    lib = library(roots=("r",), settings={"watch.settle": "500ms", "watch.settle_create": "500ms"})
    lib.photo("r/a.jpg")
    daemon = lib.start()
    lib.photo("r/b.jpg")
    daemon.request("POST", "/watcher/stop")
    due = time.monotonic() + 1
    wait_for("what waited would be due", lambda: time.monotonic() > due)
    before = lib.counter("loop_rounds")
    for _ in range(20):
        daemon.get("/debug/counters")
    assert lib.counter("loop_rounds") - before < 120
    daemon.request("POST", "/watcher/start")
    lib.expect({"r/a.jpg", "r/b.jpg"})


# ---- the process ----

@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["idle", "importing", "just started"])
def test_signals_end_it_cleanly(library, signo, moment):
    lib = library(roots=("r",))
    count = harness.scaled(400, 40)
    names = set(lib.photos("r", 3 if moment == "idle" else count))
    daemon = lib.start(settle=moment == "idle")
    if moment == "importing":
        wait_for("some rows", lambda: lib.rows("images"), 30)
    lib.daemon = None
    assert daemon.stop(signo) == 0
    lib.start()
    lib.expect(names, sample=50)


def test_stop_while_the_database_is_missing(library):
    """What waits for it is given up, whatever moment it is (the sanitizers count what is lost)."""
    lib = library(roots=())
    os.unlink(lib.database)
    for _ in range(10):
        lib.start(settle=False)
        lib.stop()


def test_shutdown_request_ends_it(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    daemon = lib.start()
    status, _, body = daemon.request("POST", "/shutdown")
    assert (status, body["status"]) == (200, "shutting_down")
    assert daemon.wait() == 0
    lib.daemon = None


def test_second_instance_is_refused(library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.start()
    second = lib.spawn()
    assert second.wait() > 0
    text = "\n".join(second.lines)
    assert "already" in text or "another" in text, text
    lib.photo("r/b.jpg")
    lib.expect({"r/a.jpg", "r/b.jpg"})
    # kill -9 leaves nothing behind that would keep the next one out.
    lib.kill()
    lib.start()
    lib.expect({"r/a.jpg", "r/b.jpg"})


def test_second_instance_with_another_state_directory_is_refused(library):
    """The database is what must have one writer."""
    lib = library(roots=("r",))
    lib.start()
    second = lib.spawn(settings={"state.directory": lib.mkdir("state2")})
    assert second.wait() > 0
    text = "\n".join(second.lines)
    assert "already" in text or "another" in text, text


def test_port_in_use(library):
    lib = library(roots=("r",))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        daemon = lib.spawn(settings={"http.listen": f"127.0.0.1:{port}"})
        assert daemon.wait() > 0
        assert str(port) in "\n".join(daemon.lines)


def test_worker_that_is_killed_is_replaced(library):
    """The media workers are processes; one that dies costs one photo at most a second try."""
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.start()
    for child in lib.daemon.children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    names = set(lib.photos("r/new", 20))
    lib.expect(names | {"r/a.jpg"})


def test_nothing_is_left_open(library):
    """Descriptors do not pile up with renames, removals and new directories."""
    lib = library(roots=("r",))
    lib.start()

    def work(n):
        names = set(lib.photos(f"r/d{n}", 20))
        lib.settle()
        lib.rename(f"r/d{n}", f"r/e{n}")
        lib.settle()
        lib.rmtree(f"r/e{n}")
        lib.settle()
        return names

    def descriptors():
        return len(os.listdir(f"/proc/{lib.daemon.process.pid}/fd"))

    work(0)
    before = descriptors()
    for n in range(1, 6):
        work(n)
    lib.expect(set())
    assert descriptors() <= before + 3
