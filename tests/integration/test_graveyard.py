"""What was deleted comes back with its file: the same id, and all that the user had put on it."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
import uuid

import pytest

import media
from harness import wait_for

DAY = 86400
A, B, C = "photos/a.jpg", "photos/trip/b.jpg", "photos/trip/deep/c.jpg"
START = {A, B, C}


def begin(library, **arguments):
    """A running daemon on three photos, each with all that can hang on it, and a backup of them."""
    lib = library(**arguments)
    for name in START:
        lib.photo(name, width=64, height=48)
    subprocess.run(["cp", "-a", lib.path("photos"), lib.path("outside/backup")], check=True)
    lib.start()
    return lib, {name: lib.decorate(name) for name in START}


def backup(name):
    return name.replace("photos", "outside/backup", 1)


def restore(lib, name, to=None):
    """As from a backup: another inode."""
    path = lib.path(to or name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copyfile(lib.path(backup(name)), path)


def state(lib, query, *values):
    db = sqlite3.connect(os.path.join(lib.state, "state.db"), timeout=20)
    try:
        rows = db.execute(query, values).fetchall()
        db.commit()
        return rows
    finally:
        db.close()


def graves(lib):
    result = lib.run("graveyard", "list", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["total"] == len(answer["graves"])
    assert answer["bytes"] == sum(grave["bytes"] for grave in answer["graves"])
    return {os.path.relpath(lib.host(grave["path"]), lib.base): grave
            for grave in answer["graves"]}


# ---- deleted and restored ----

def test_photo(library):
    lib, before = begin(library)
    lib.unlink(A)
    lib.expect(START - {A})
    assert list(graves(lib)) == [A]
    restore(lib, A)
    lib.expect(START)
    assert lib.identity(A) == before[A]
    assert len(before[A]["albums"]) == 2 and before[A]["embeddings"] and before[A]["covers"]
    assert not graves(lib)
    assert lib.counter("rows_buried") == 1 and lib.counter("rows_exhumed") == 1
    assert lib.daemon.wait_line("restored .*a.jpg")
    lib.expect_idempotent()


def test_elsewhere(library):
    lib, before = begin(library)
    lib.unlink(A)
    lib.expect(START - {A})
    restore(lib, A, "photos/new place/other name.jpg")
    lib.expect(START - {A} | {"photos/new place/other name.jpg"})
    assert lib.identity("photos/new place/other name.jpg") == before[A]


def test_folder_from_tar(library):
    lib, before = begin(library)
    archive = lib.path("outside/trip.tar")
    subprocess.run(["tar", "-C", lib.path("photos"), "-cf", archive, "trip"], check=True)
    lib.rmtree("photos/trip")
    lib.expect({A})
    assert set(graves(lib)) == {B, C}
    subprocess.run(["tar", "-C", lib.path("photos"), "-xf", archive], check=True)
    lib.expect(START)
    assert {name: lib.identity(name) for name in START} == before
    lib.expect_idempotent()


def test_restart_between(library):
    lib, before = begin(library)
    lib.unlink(A)
    lib.settle()
    lib.restart()
    restore(lib, A)
    lib.expect(START)
    assert lib.identity(A) == before[A]


def test_killed_between(library):
    lib, before = begin(library)
    lib.unlink(A)
    lib.settle()
    lib.kill()
    restore(lib, A)
    lib.start()
    lib.expect(START)
    assert lib.identity(A) == before[A]


def test_while_down(library):
    """Deleted while nobody looked, found by the scan; restored while nobody looked."""
    lib, before = begin(library)
    lib.stop()
    lib.rmtree("photos/trip")
    lib.start()
    lib.expect({A})
    lib.stop()
    for name in (B, C):
        restore(lib, name)
    lib.start()
    lib.expect(START)
    assert {name: lib.identity(name) for name in START} == before


def test_overwritten(library):
    """A photo renamed over another one, which comes back under another name."""
    lib, before = begin(library)
    lib.rename(A, B)
    lib.expect({B, C})
    assert lib.identity(B)["id"] == before[A]["id"]
    restore(lib, B, "photos/again.jpg")
    lib.expect({B, C, "photos/again.jpg"})
    after = lib.identity("photos/again.jpg")
    # The album's cover named the path, and another photo is there now.
    assert after | {"album covers": []} == before[B] | {"album covers": []}


@pytest.mark.skipif(not media.have_video(), reason="built without libavformat: no videos to be had")
def test_video(library):
    lib = library()
    lib.put("photos/v.mp4", media.video())
    lib.photo(A)
    shutil.copy(lib.path("photos/v.mp4"), lib.path("outside/v.mp4"))
    lib.start()
    key = lib.row("photos/v.mp4", "videos")["id"]
    with lib.connect() as db:
        db.execute("UPDATE videos SET isFavourite = 1, isTagged = 1")
        db.execute("INSERT INTO video_frames VALUES ('f', ?, '/f.jpg', 0.5, 1, 1)", (key,))
        db.execute("INSERT INTO video_frame_embeddings VALUES ('f', 'm', x'00ff')")
    lib.unlink("photos/v.mp4")
    lib.expect({A})
    shutil.copyfile(lib.path("outside/v.mp4"), lib.path("photos/v.mp4"))
    lib.expect({A, "photos/v.mp4"})
    assert lib.identity("photos/v.mp4", "videos") == {"id": key, "favourite": 1, "tagged": 1}
    assert [r["embedding"] for r in lib.rows("video_frame_embeddings", "1")] == [b"\0\xff"]


def test_twins(library):
    """Of equal files each id is used once; a copy of one that is there is a new one."""
    lib = library()
    lib.photo(A)
    for name in ("photos/b.jpg", "photos/sub/a.jpg", "outside/backup.jpg"):
        os.makedirs(os.path.dirname(lib.path(name)), exist_ok=True)
        shutil.copyfile(lib.path(A), lib.path(name))
    lib.start()
    before = {name: lib.row(name)["id"] for name in (A, "photos/b.jpg", "photos/sub/a.jpg")}
    for name in before:
        lib.unlink(name)
    lib.expect(set())
    assert len(graves(lib)) == 3
    after = {}
    for name in ("photos/b.jpg", "photos/else/a.jpg", "photos/x.jpg", "photos/y.jpg"):
        os.makedirs(os.path.dirname(lib.path(name)), exist_ok=True)
        shutil.copyfile(lib.path("outside/backup.jpg"), lib.path(name))
        lib.settle()
        after[name] = lib.row(name)["id"]
    # While b.jpg is there, those elsewhere are copies of it.
    assert len(set(after.values())) == 4
    assert after.pop("photos/b.jpg") == before["photos/b.jpg"]
    assert not set(after.values()) & set(before.values())
    shutil.copyfile(lib.path("outside/backup.jpg"), lib.path(A))
    lib.settle()
    assert lib.row(A)["id"] == before[A]


# ---- what has changed meanwhile ----

def test_album_deleted(library):
    lib, before = begin(library)
    gone = before[A]["albums"][0][0]
    lib.unlink(A)
    lib.settle()
    with lib.connect() as db:
        db.execute("DELETE FROM albums WHERE album_id = ?", (gone,))
        db.execute("DELETE FROM face_clusters")
    restore(lib, A)
    lib.expect(START)
    after = lib.identity(A)
    assert after["id"] == before[A]["id"] and after["favourite"] == 1
    assert after["albums"] == before[A]["albums"][1:]
    assert after["faces"] == [(face, None) for face, _ in before[A]["faces"]]
    assert after["tags"] == before[A]["tags"]


def test_old_schema(library):
    lib, before = begin(library, old_schema=True)
    lib.rmtree("photos/trip")
    lib.expect({A})
    for name in (B, C):
        restore(lib, name)
    lib.expect(START)
    assert {name: lib.identity(name) for name in START} == before


def test_future_table(library):
    lib = library()
    lib.photo(A)
    shutil.copyfile(lib.path(A), lib.path("outside/a.jpg"))
    lib.start()
    key = lib.row(A)["id"]
    with lib.connect() as db:
        db.execute("CREATE TABLE ratings (image_id TEXT REFERENCES images(id) ON DELETE CASCADE,"
                   " stars INTEGER, \"who said\" TEXT)")
        db.execute("INSERT INTO ratings VALUES (?, 5, 'Ada')", (key,))
    lib.unlink(A)
    lib.expect(set())
    assert lib.rows("ratings", "1") == []
    assert graves(lib)[A]["kept"] == {"ratings": 1}
    with lib.connect() as db:
        db.execute("ALTER TABLE ratings ADD COLUMN at INTEGER DEFAULT 7")
    shutil.copyfile(lib.path("outside/a.jpg"), lib.path(A))
    lib.expect({A})
    assert lib.rows("ratings", "1") == [{"image_id": key, "stars": 5, "who said": "Ada", "at": 7}]


# ---- bounds ----

def test_expired(library):
    lib, before = begin(library)
    lib.unlink(A)
    lib.settle()
    state(lib, "UPDATE graves SET buried_at = ?", int(time.time()) - 30 * DAY - 1)
    restore(lib, A)
    lib.expect(START)
    assert lib.identity(A)["id"] != before[A]["id"]


def test_expired_go(library):
    """What is too old does not stay in the state database, though no file comes for it."""
    lib, _ = begin(library, settings={"thumbnails.collect_interval": "100ms"})
    lib.unlink(A)
    lib.unlink(B)
    lib.settle()
    state(lib, "UPDATE graves SET buried_at = ? WHERE path = ?",
          int(time.time()) - 30 * DAY - 1, lib.path(A))
    wait_for("the old one is removed", lambda: list(graves(lib)) == [B], 30)


def test_off(library):
    lib, before = begin(library, settings={"sync.graveyard_days": "0"})
    lib.unlink(A)
    lib.rmtree("photos/trip")
    lib.expect(set())
    for name in START:
        restore(lib, name)
    lib.expect(START)
    assert not {lib.identity(name)["id"] for name in START} & {i["id"] for i in before.values()}
    assert not graves(lib)


def test_size(library):
    """Filled beyond its bound: it stays within, and the oldest are dropped."""
    lib = library(settings={"sync.graveyard_size": "1M"})
    names = lib.photos("photos", 40)
    shutil.copytree(lib.path("photos"), lib.path("outside/backup"))
    lib.start()
    ids = {name: lib.row(name)["id"] for name in names}
    with lib.connect() as db:
        for key in ids.values():
            db.execute("INSERT INTO image_embeddings VALUES (?, 'm', randomblob(50000))", (key,))
    for name in names:
        lib.unlink(name)
        lib.settle()
    kept = graves(lib)
    assert sum(grave["bytes"] for grave in kept.values()) <= 1 << 20
    assert list(kept) == names[-len(kept):] and 15 <= len(kept) <= 20
    for name in names:
        restore(lib, name)
    lib.expect(set(names))
    after = {name: lib.row(name)["id"] for name in names}
    assert {name for name in names if after[name] == ids[name]} == set(kept)


# ---- the state database ----

def test_state_removed(library):
    lib, before = begin(library)
    lib.unlink(A)
    lib.settle()
    lib.stop()
    shutil.rmtree(lib.state)
    os.mkdir(lib.state)
    restore(lib, A)
    lib.start()
    lib.expect(START)
    assert lib.identity(A)["id"] != before[A]["id"]
    assert lib.identity(B) == before[B]
    lib.unlink(B)
    lib.expect(START - {B})
    assert list(graves(lib)) == [B]


# ---- the command ----

def test_list(library):
    lib, _ = begin(library)
    assert lib.run("graveyard").stdout == "nothing is kept\n"
    lib.unlink(A)
    lib.settle()
    result = lib.run("graveyard")
    assert result.returncode == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lib.path(A) + "  (" in lines[0] and "album_images 2" in lines[0] and "faces 1" in lines[0]
    assert lines[1].startswith("1 deleted photo or video is kept for 30 days, ")
    grave = graves(lib)[A]
    assert grave["kind"] == "photo" and grave["kept"]["image_embeddings"] == 1
    assert abs(time.mktime(time.strptime(grave["buried_at"][:19], "%Y-%m-%dT%H:%M:%S"))
               - time.time()) < 600


def test_list_without_state(library):
    lib = library()
    shutil.rmtree(lib.state)
    result = lib.run("graveyard", "list")
    assert (result.returncode, result.stdout) == (0, "nothing is kept\n")
    assert not os.path.exists(lib.state)


def test_purge(library):
    lib, before = begin(library)
    lib.rmtree("photos/trip")
    lib.settle()
    result = lib.run("graveyard", "purge")
    assert (result.returncode, result.stdout) == (
        0, "2 deleted photos and videos are no longer kept\n")
    assert not graves(lib)
    restore(lib, B)
    lib.expect({A, B})
    assert lib.identity(B)["id"] != before[B]["id"]


def test_purge_shrinks(library):
    """With no daemon beside it the file is written anew: what was deleted is not on the disk."""
    lib, _ = begin(library)
    with lib.connect() as db:
        db.execute("UPDATE image_embeddings SET embedding = randomblob(1000000)")
    lib.rmtree("photos/trip")
    lib.settle()
    lib.stop()
    database = os.path.join(lib.state, "state.db")
    assert lib.run("graveyard", "purge").returncode == 0
    assert os.path.getsize(database) < 1 << 20


@pytest.mark.parametrize("running", [True, False])
def test_restore_by_hand(library, running):
    """The file was edited before it came back: the daemon takes it for a new one."""
    lib, before = begin(library)
    lib.unlink(A)
    lib.settle()
    lib.photo(A, width=64, height=48)
    lib.expect(START)
    fresh = lib.identity(A)
    assert fresh["id"] != before[A]["id"]
    if not running:
        lib.stop()
    result = lib.run("graveyard", "restore", lib.view(lib.path(A)))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"restored {lib.path(A)}\n"
    assert lib.identity(A) == before[A]
    assert not graves(lib)
    if not running:
        lib.start()
    lib.expect(START)
    lib.rename(A, "photos/moved.jpg")
    lib.expect(START - {A} | {"photos/moved.jpg"})
    assert lib.identity("photos/moved.jpg") == before[A]


def test_restore_after_the_backend(library):
    """The backend made a row for the file before the daemon saw it."""
    lib, before = begin(library)
    lib.unlink(A)
    lib.settle()
    lib.stop()
    restore(lib, A)
    with lib.connect() as db:
        key = str(uuid.uuid4())
        db.execute("INSERT INTO images (id, path, folder_id) VALUES (?, ?, ?)",
                   (key, lib.path(A), lib.folder("photos")["folder_id"]))
    lib.start()
    lib.expect(START)
    assert lib.identity(A)["id"] == key
    assert lib.run("graveyard", "restore", lib.path(A)).returncode == 0
    lib.expect(START)
    assert lib.identity(A) == before[A]


def test_restore_refused(library):
    lib, before = begin(library)

    def refused(name, words):
        result = lib.run("graveyard", "restore", lib.path(name))
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith(f"pictopy-sync: graveyard: '{lib.path(name)}': ")
        assert words in result.stderr

    lib.unlink(A)
    lib.settle()
    refused(A, "put it back")
    refused(B, "nothing of it is kept")
    refused("photos/trip", "not a file")
    lib.put("outside/x.jpg", media.jpeg())
    refused("outside/x.jpg", "no row yet")
    lib.photo(A)
    lib.settle()
    with lib.connect() as db:
        db.execute("UPDATE images SET isFavourite = 1 WHERE path = ?", (lib.path(A),))
    refused(A, "favourite")
    assert lib.identity(B) == before[B]


def opened(pid, path):
    files = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        return any(os.readlink(os.path.join(files, fd)) == path for fd in os.listdir(files))
    return False


def test_restore_waits(library):
    """PictoPy is writing: the command waits for it."""
    lib, before = begin(library)
    lib.unlink(A)
    lib.settle()
    lib.photo(A)
    lib.settle()
    with lib.connect() as db:
        db.execute("BEGIN IMMEDIATE")
        command = subprocess.Popen(lib.command("graveyard", "restore", lib.path(A)),
                                   env=lib.environment(), stdout=subprocess.PIPE, text=True)
        wait_for("the command has opened the database", lambda: opened(command.pid, lib.database))
        assert command.poll() is None
    assert command.communicate(timeout=60)[0] == f"restored {lib.path(A)}\n"
    assert lib.identity(A) == before[A]


@pytest.mark.parametrize("words, message", [
    (["burn"], "graveyard: unknown operand; it is list, restore PATH or purge, not burn"),
    (["restore"], "graveyard: missing operand: which file?"),
    (["restore", "/a", "/b"], "graveyard: extra operand /b"),
    (["list", "x"], "graveyard: extra operand x"),
    (["purge", "--json"], "graveyard: option '--json' is for list"),
])
def test_usage(library, words, message):
    lib = library()
    result = lib.run("graveyard", *words)
    assert result.returncode == 2
    assert result.stderr == (f"pictopy-sync: {message}\n"
                             "Try 'pictopy-sync --help' for more information.\n")


def test_unreadable_database(library):
    lib, _ = begin(library)
    lib.stop()
    os.rename(lib.database, lib.database + ".away")
    result = lib.run("graveyard", "restore", lib.path(A))
    assert result.returncode == 1 and lib.database in result.stderr
    os.rename(lib.database + ".away", lib.database)
