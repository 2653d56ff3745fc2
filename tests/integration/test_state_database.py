"""The daemon's own database is removed, damaged, made read-only or has no room, while it runs and
while it does not: no row is lost, it is said once, and what was in it is found again."""

import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest

from harness import wait_for
from test_removed_folders import forget_thumbnails_without_rows, remove_folder_rows, watched

NAMES = [f"r/d{i % 3}/{i:02}.jpg" for i in range(12)] + ["s/x.jpg"]
TOLD = r"(?i)state database"


def file_of(lib):
    return os.path.join(lib.state, "state.db")


def make(lib):
    """Photos with all that can hang on them, known by the daemon, and a folder removed by hand."""
    for name in NAMES:
        lib.photo(name)
    lib.photo("r/away/a.jpg")
    lib.start()
    lib.expect([*NAMES, "r/away/a.jpg"])
    remove_folder_rows(lib, "r/away")
    forget_thumbnails_without_rows(lib)
    lib.not_indexed.add("r/away")
    wait_for("it is not watched", lambda: lib.path("r/away") not in watched(lib))
    lib.expect(NAMES)
    lib.kept = {name: lib.decorate(name) for name in NAMES}
    lib.folder_ids = {row["folder_path"]: row["folder_id"] for row in folders(lib)}
    lib.made = set(os.listdir(lib.thumbnails))
    return lib


@pytest.fixture
def lib(library):
    return make(library(roots=("r", "s")))


@pytest.fixture
def small(own_mounts, library):
    """The state is on a file system of its own, which is small."""
    lib = library(roots=("r", "s"))
    lib.mount("-t", "tmpfs", "-o", "size=1m", "x", at="state")
    yield make(lib)
    if lib.daemon:
        lib.stop()
    for at in list(reversed(lib.mounts)):
        lib.umount(at)


def folders(lib):
    return lib.rows("folders", "folder_path")


def messages(lib):
    """What was said of it, by all daemons of this library."""
    return [line for daemon in lib.daemons for line in daemon.lines
            if line.startswith(("warning:", "error:")) and "state database" in line]


def count(lib, what="files"):
    with contextlib.closing(sqlite3.connect(f"file:{file_of(lib)}?mode=ro", uri=True)) as db:
        return db.execute(f"SELECT count(*) FROM {what}").fetchone()[0]


def all_is_kept(lib, names=tuple(NAMES), decoded=0):
    """Ids, what hangs on them, folders, thumbnails; nothing was made again."""
    lib.expect(names)
    for name in NAMES:
        if name in names:
            assert lib.identity(name) == lib.kept[name], name
    assert {row["folder_path"]: row["folder_id"] for row in folders(lib)} == lib.folder_ids
    assert lib.counter("photos_decoded") == decoded
    assert set(os.listdir(lib.thumbnails)) >= lib.made


def known(lib):
    """The ids of files that it knows."""
    with contextlib.closing(sqlite3.connect(f"file:{file_of(lib)}?mode=ro", uri=True)) as db:
        return {row[0].hex() for row in db.execute("SELECT id FROM files")}


def is_rebuilt(lib):
    """All files and directories are known again."""
    ids = {row["id"].replace("-", "") for row in lib.rows("images")}
    wait_for("its notes are there", lambda: os.path.exists(file_of(lib)) and ids <= known(lib), 20)
    assert count(lib, "folders WHERE ino IS NOT NULL") >= len(lib.folder_ids)


def moves_are_recognized(lib, names=tuple(NAMES)):
    """What it is for: after a rename that nobody saw."""
    lib.stop()
    lib.rename("r/d0", "s/d0")
    lib.start()
    lib.expect(["s" + n[1:] if n.startswith("r/d0/") else n for n in names])
    assert lib.identity("s/d0/00.jpg") == lib.kept["r/d0/00.jpg"]
    assert lib.folder("s/d0")["folder_id"] == lib.folder_ids[lib.path("r/d0")]
    assert lib.counter("photos_decoded") == 0


def damage(path):
    """Its pages are overwritten in place, the first one and all others."""
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.write(b"\x5a" * size)


def remove_files(lib):
    for name in os.listdir(lib.state):
        if name.startswith("state.db"):
            os.unlink(os.path.join(lib.state, name))


def remove_directory(lib):
    shutil.rmtree(lib.state)


def replace_by_another(lib):
    """Something that is no database takes its place."""
    remove_files(lib)
    with open(file_of(lib), "w", encoding="ascii") as file:
        file.write("This is no database.\n" * 200)


def damage_it(lib):
    damage(file_of(lib))
    with contextlib.suppress(FileNotFoundError):
        damage(file_of(lib) + "-wal")


WAYS = {"files removed": remove_files, "directory removed": remove_directory,
        "damaged": damage_it, "replaced": replace_by_another}


@pytest.mark.parametrize("how", WAYS)
def test_while_down(lib, how):
    lib.stop()
    WAYS[how](lib)
    lib.start()
    # Of a folder that was removed in the app nothing else tells.
    lib.not_indexed.discard("r/away")
    names = [*NAMES, "r/away/a.jpg"]
    lib.expect(names)
    lib.folder_ids = {row["folder_path"]: row["folder_id"] for row in folders(lib)}
    all_is_kept(lib, names, decoded=1)
    is_rebuilt(lib)
    removed = how in ("files removed", "directory removed")
    assert len(messages(lib)) == (0 if removed else 1), messages(lib)
    notices = [line for line in lib.daemon.lines if line.startswith("notice:") and
               "state database" in line]
    assert len(notices) == (1 if removed else 0), lib.daemon.lines
    moves_are_recognized(lib, names)


@pytest.mark.parametrize("how", [way for way in WAYS if way != "damaged"])
def test_while_running(lib, how):
    WAYS[how](lib)
    decoded = lib.counter("photos_decoded")
    lib.photo("r/d1/new.jpg")
    names = [*NAMES, "r/d1/new.jpg"]
    lib.expect(names)
    all_is_kept(lib, names, decoded + 1)
    is_rebuilt(lib)
    lib.restart()
    all_is_kept(lib, names)
    assert len(messages(lib)) == 1, messages(lib)
    moves_are_recognized(lib, names)


def fill(lib):
    """Not one byte is left."""
    with contextlib.suppress(OSError), open(os.path.join(lib.state, "filler"), "wb",
                                            buffering=0) as file:
        while True:
            file.write(bytes(4096))


def make_room(lib):
    os.unlink(os.path.join(lib.state, "filler"))


def remount(lib, how):
    subprocess.run(["mount", "-o", f"remount,{how}", lib.state], check=True)


def read_only(lib):
    remount(lib, "ro")


def writable(lib):
    remount(lib, "rw")


SICK = {"no room": (fill, make_room), "read-only": (read_only, writable)}


@pytest.mark.parametrize("how", SICK)
def test_cannot_be_written_while_down(small, how):
    lib = small
    sicken, heal = SICK[how]
    lib.stop()
    sicken(lib)
    lib.start()
    lib.not_indexed.discard("r/away")
    names = {*NAMES} | ({"r/away/a.jpg"} if lib.row("r/away/a.jpg") else set())
    lib.folder_ids = {row["folder_path"]: row["folder_id"] for row in folders(lib)}
    all_is_kept(lib, names, len(names) - len(NAMES))
    for i in range(3):
        lib.photo(f"r/d1/new{i}.jpg")
        names.add(f"r/d1/new{i}.jpg")
        lib.expect(names)
    assert len(messages(lib)) == 1, messages(lib)
    lib.stop()
    heal(lib)
    lib.start()
    lib.expect(names)
    all_is_kept(lib, names)
    is_rebuilt(lib)
    assert len(messages(lib)) == 1, messages(lib)
    moves_are_recognized(lib, names)


@pytest.fixture
def sick(request, own_mounts, library):
    """(library, what makes its state sick, what heals it)"""
    if request.param == "no room":
        lib = request.getfixturevalue("small")
        yield lib, lambda: fill(lib), lambda: make_room(lib)
        return
    lib = library(roots=("r", "s"))
    disk = request.getfixturevalue("faulty")(lib, "backing", "state")
    yield (make(lib), lambda: disk.tell("fail EROFS write,create,setattr,remove,rename,mkdir"),
           lambda: disk.tell("clear"))
    if lib.daemon:
        lib.stop()


@pytest.mark.parametrize("sick", ["no room", "read-only"], indirect=True)
def test_cannot_be_written_while_running(sick):
    lib, sicken, heal = sick
    decoded = lib.counter("photos_decoded")
    names = set(NAMES)
    sicken()
    for i in range(40):
        lib.photo(f"r/d1/new{i}.jpg")
        names.add(f"r/d1/new{i}.jpg")
    lib.expect(names)
    all_is_kept(lib, names, decoded + 40)
    lib.unlink("r/d1/new1.jpg")
    lib.rename("r/d1/new0.jpg", "s/new0.jpg")
    names ^= {"r/d1/new0.jpg", "r/d1/new1.jpg", "s/new0.jpg"}
    lib.rename("r/d0/00.jpg", "s/00.jpg")
    lib.rename("s/00.jpg", "r/d0/00.jpg")
    lib.expect(names)
    assert len(messages(lib)) == 1, messages(lib)
    heal()
    lib.daemon.request("POST", "/watcher/rescan")
    # The photo that was renamed is not known, and read to be sure.
    all_is_kept(lib, names, decoded + 41)
    is_rebuilt(lib)
    assert len(messages(lib)) == 1, messages(lib)
    moves_are_recognized(lib, names)


def test_damaged_while_running(lib):
    """What is in SQLite's cache is still right, so it may be noticed at the next start only."""
    damage_it(lib)
    lib.photo("r/d1/new.jpg")
    lib.settle()
    lib.daemon.request("POST", "/watcher/rescan")
    lib.settle()
    assert lib.row("r/d1/new.jpg")
    decoded = lib.counter("photos_decoded")
    lib.restart()
    lib.not_indexed.discard("r/away")
    names = {*NAMES, "r/d1/new.jpg"} | ({"r/away/a.jpg"} if lib.row("r/away/a.jpg") else set())
    lib.folder_ids = {row["folder_path"]: row["folder_id"] for row in folders(lib)}
    assert decoded == len(NAMES) + 2
    all_is_kept(lib, names, len(names) - len(NAMES) - 1)
    is_rebuilt(lib)
    assert len(messages(lib)) == 1, messages(lib)
    moves_are_recognized(lib, names)
