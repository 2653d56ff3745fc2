"""A folder that the user removed in the app while it is on disk, below another one: it stays away
until it is added again, or its directory is made anew."""

import subprocess
import uuid

import pytest

from harness import wait_for
from test_daemon import forget_thumbnails_without_rows, remove_folder_rows, watched

START = {"r/b.jpg", "r/sub/c.jpg", "r/sub/deep/d.jpg", "r/sub2/e.jpg"}
LEFT = {"r/b.jpg", "r/sub2/e.jpg"}


def post(lib, what):
    status, _, body = lib.daemon.request("POST", f"/watcher/{what}")
    assert status in (200, 202), body


def make(library, root="r"):
    lib = library(roots=(root,))
    for name in START:
        lib.photo(name)
    lib.start()
    lib.expect(START)
    return lib


def remove(lib):
    remove_folder_rows(lib, "r/sub")
    forget_thumbnails_without_rows(lib)
    lib.not_indexed.add("r/sub")


def removed(library):
    lib = make(library)
    remove(lib)
    wait_for("it is not watched", lambda: lib.path("r/sub") not in watched(lib))
    lib.expect(LEFT)
    return lib


def stays_away(lib, names=frozenset(LEFT)):
    """Whatever happens."""
    names = set(names)
    lib.expect(names)
    lib.photo("r/sub/new.jpg")
    lib.photo("r/sub/deeper/new.jpg")
    lib.photo("r/seen.jpg")
    names.add("r/seen.jpg")
    lib.expect(names)
    for what in ("rescan", "restart"):
        post(lib, what)
        lib.expect(names)
    post(lib, "stop")
    lib.photo("r/sub/stopped.jpg")
    post(lib, "start")
    lib.expect(names)
    lib.restart()
    lib.expect(names)
    lib.kill()
    lib.photo("r/sub/killed.jpg")
    lib.start()
    lib.expect(names)
    return names


def test_removed_after_it_moved(library):
    """That we once moved it ourselves is no reason to take the user's removal for ours."""
    lib = make(library)
    for a, b in (("r/sub", "r/x"), ("r/x", "r/sub")):
        lib.rename(a, b)
        lib.settle()
    lib.expect(START)
    remove(lib)
    wait_for("it is not watched", lambda: lib.path("r/sub") not in watched(lib))
    stays_away(lib)


def comes_back(lib, names):
    """All of it, when the app adds it."""
    lib.not_indexed.remove("r/sub")
    lib.register("r/sub", parent=lib.folder("r")["folder_id"])
    wait_for("it is watched", lambda: lib.path("r/sub") in watched(lib))
    names = names | {"r/sub/c.jpg", "r/sub/deep/d.jpg", "r/sub/new.jpg", "r/sub/deeper/new.jpg",
                     "r/sub/stopped.jpg", "r/sub/killed.jpg"}
    lib.expect(names)
    lib.restart()
    lib.expect(names)
    lib.photo("r/sub/last.jpg")
    lib.expect(names | {"r/sub/last.jpg"})


def test_whole_story(library):
    lib = removed(library)
    names = stays_away(lib)
    lines = [line for line in lib.daemon.lines if "removed from the library" in line]
    assert not lines, "it was said once, by the first one"
    comes_back(lib, names)


@pytest.mark.parametrize("then", ["nothing", "restart", "kill"])
def test_removed_while_the_watcher_is_stopped(library, then):
    lib = make(library)
    post(lib, "stop")
    remove(lib)
    post(lib, "start")
    lib.expect(LEFT)
    if then == "restart":
        lib.restart()
    elif then == "kill":
        lib.kill()
        lib.start()
    comes_back(lib, stays_away(lib))


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_removed_and_added_at_once(library, stopped):
    """The daemon sees another row, and nothing of those below: all are found again."""
    lib = make(library)
    if stopped:
        post(lib, "stop")
    with lib.connect() as db:
        db.execute("BEGIN IMMEDIATE")
        row = dict(db.execute("SELECT * FROM folders WHERE folder_path = ?",
                              (lib.path("r/sub"),)).fetchone())
        db.execute("DELETE FROM folders WHERE folder_id = ?", (row["folder_id"],))
        row["folder_id"] = str(uuid.uuid4())
        db.execute(f"INSERT INTO folders ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                   tuple(row.values()))
    forget_thumbnails_without_rows(lib)
    if stopped:
        post(lib, "start")
    lib.expect(START)
    lib.expect_idempotent()


def test_root_removed_while_the_watcher_is_stopped(library):
    """Nothing is above it: there is nothing to be kept away from, and it may be added again."""
    lib = make(library)
    post(lib, "stop")
    remove_folder_rows(lib, "r")
    forget_thumbnails_without_rows(lib)
    post(lib, "start")
    lib.settle()
    assert not watched(lib) and not lib.rows("images")
    lib.register("r")
    lib.expect(START)


@pytest.mark.parametrize("how", ["stopped", "down"])
def test_added_again_meanwhile(library, how):
    """While nobody looked."""
    lib = removed(library)
    if how == "down":
        lib.stop()
    else:
        post(lib, "stop")
    lib.not_indexed.remove("r/sub")
    lib.register("r/sub", parent=lib.folder("r")["folder_id"])
    if how == "down":
        lib.start()
    else:
        post(lib, "start")
    lib.expect(START)
    lib.restart()
    lib.photo("r/sub/last.jpg")
    lib.expect(START | {"r/sub/last.jpg"})


@pytest.mark.parametrize("how", ["live", "stopped", "down"])
def test_made_anew(library, how):
    """Its directory goes, which is seen, and another one of its name is a folder like any other."""
    lib = removed(library)
    if how == "stopped":
        post(lib, "stop")
    elif how == "down":
        lib.stop()
    lib.rmtree("r/sub")
    lib.not_indexed.remove("r/sub")
    if how == "down":
        lib.start()
    elif how == "stopped":
        post(lib, "start")
    lib.expect(LEFT)
    if how == "stopped":
        post(lib, "stop")
    elif how == "down":
        lib.stop()
    lib.photo("r/sub/anew/f.jpg")
    if how == "down":
        lib.start()
    elif how == "stopped":
        post(lib, "start")
    lib.expect(LEFT | {"r/sub/anew/f.jpg"})


def test_drive_away_and_back(own_mounts, library):
    """An empty mount point does not say that the directory is gone."""
    lib = library(roots=())
    lib.mkdir("r")
    lib.mkdir("drive")
    lib.mount("-t", "tmpfs", "x", at="drive")
    lib.mount("--bind", lib.path("drive"), at="r")
    lib.roots.append("r")
    lib.register("r")
    for name in START:
        lib.photo(name)
    lib.start()
    lib.expect(START)
    remove(lib)
    wait_for("it is not watched", lambda: lib.path("r/sub") not in watched(lib))
    lib.expect(LEFT)
    for down in (False, True):
        subprocess.run(["umount", "-l", lib.path("r")], check=True)
        lib.mounts.remove("r")
        if down:
            lib.restart()
        lib.settle()
        assert len(lib.rows("images")) == len(LEFT)
        lib.mount("--bind", lib.path("drive"), at="r")
        lib.expect(LEFT)
    lib.stop()
    lib.umount("r")
    lib.umount("drive")


def test_itself_renamed(library):
    """By another name it is the same folder."""
    lib = removed(library)
    lib.rename("r/sub", "r/other")
    lib.not_indexed = {"r/other"}
    lib.photo("r/other/new.jpg")
    lib.photo("r/sub/new.jpg")
    names = LEFT | {"r/sub/new.jpg"}
    lib.expect(names)
    lib.kill()
    lib.start()
    lib.expect(names)


@pytest.mark.parametrize("first", ["r/sub", "r/sub2"])
def test_itself_exchanged(library, first):
    """With a folder that is in the library."""
    lib = removed(library)
    other = lib.folder("r/sub2")["folder_id"]
    lib.exchange(first, "r/sub2" if first == "r/sub" else "r/sub")
    lib.not_indexed = {"r/sub2"}
    lib.photo("r/sub/new.jpg")
    lib.photo("r/sub2/new.jpg")
    names = {"r/b.jpg", "r/sub/e.jpg", "r/sub/new.jpg"}
    lib.expect(names)
    assert lib.folder("r/sub")["folder_id"] == other
    lib.restart()
    lib.expect(names)


@pytest.mark.parametrize("empty", [False, True])
def test_another_in_its_place(library, empty):
    """What was removed has gone from the disk, and a folder of the library takes its name."""
    lib = removed(library)
    lib.rmtree("r/sub")
    if empty:
        lib.mkdir("r/sub")
        lib.settle()
        remove_folder_rows(lib, "r/sub")
        wait_for("it is not watched", lambda: lib.path("r/sub") not in watched(lib))
    lib.rename("r/sub2", "r/sub")
    lib.not_indexed = set()
    lib.photo("r/sub/new.jpg")
    names = {"r/b.jpg", "r/sub/e.jpg", "r/sub/new.jpg"}
    lib.expect(names)
    for what in ("stop", "start"):
        post(lib, what)
    lib.photo("r/sub/newer.jpg")
    names.add("r/sub/newer.jpg")
    lib.expect(names)
    lib.restart()
    lib.expect(names)


def move_above(lib, how):
    """The directory above the removed one; returns its new name."""
    down, exchanged = how.endswith("down"), how.startswith("exchanged")
    if down:
        lib.stop()
    if exchanged:
        lib.exchange("r/a", "r/z")
    else:
        lib.rename("r/a", "r/m")
    if down:
        lib.start()
    return "r/z" if exchanged else "r/m"


@pytest.mark.parametrize("how", ["live", "down", "exchanged", "exchanged-down"])
def test_directory_above_moved(library, how):
    lib = library(roots=("r",))
    for name in ("r/a/sub/deep/c.jpg", "r/a/b.jpg", "r/z/e.jpg"):
        lib.photo(name)
    lib.start()
    lib.settle()
    remove_folder_rows(lib, "r/a/sub")
    forget_thumbnails_without_rows(lib)
    lib.not_indexed.add("r/a/sub")
    wait_for("it is not watched", lambda: lib.path("r/a/sub") not in watched(lib))
    lib.expect({"r/a/b.jpg", "r/z/e.jpg"})
    to = move_above(lib, how)
    lib.not_indexed = {f"{to}/sub"}
    names = {f"{to}/b.jpg", "r/a/e.jpg" if to == "r/z" else "r/z/e.jpg"}
    lib.expect(names)
    lib.photo(f"{to}/sub/new.jpg")
    lib.photo(f"{to}/seen.jpg")
    lib.photo("r/a/sub/other.jpg")  # not the one that was removed
    names |= {f"{to}/seen.jpg", "r/a/sub/other.jpg"}
    lib.expect(names)
    post(lib, "rescan")
    lib.expect(names)
    lib.restart()
    lib.expect(names)
