"""Directories that were moved while the daemon was down: each is one move. Its own row, those of all
directories and photos below it, and all that hangs on them, come along; nothing is decoded."""

import itertools
import json
import os
import shutil
import sqlite3
import time

import pytest

import media
from harness import scaled, wait_for

START = ("r/a/1.jpg", "r/a/2.jpg", "r/a/in/deep/3.jpg", "r/b/4.jpg", "r/b/in/5.jpg", "r/c/6.jpg",
         "s/7.jpg")


@pytest.fixture
def lib(library):
    lib = library(roots=("r", "s"))
    for name in START:
        lib.photo(name)
    lib.start()
    lib.expect(START)
    return lib


def folders(lib):
    """{name: (id, AI_Tagging)}"""
    with lib.connect() as db:
        return {os.path.relpath(row["folder_path"], lib.base): (row["folder_id"], row["AI_Tagging"])
                for row in db.execute("SELECT * FROM folders")}


def play(lib, change, moved, names, made=(), fresh=(), n_moves=None):
    """change() while the daemon is down moved these directories, old name → new name; no directory
    but those in made has a new row, and no photo but those in fresh."""
    with lib.connect() as db:
        for i, name in enumerate(sorted(folders(lib))):
            db.execute("UPDATE folders SET AI_Tagging = ? WHERE folder_path = ?",
                       (i % 2, lib.path(name)))
    before, photos = folders(lib), {row["id"] for row in lib.rows("images")}
    kept = {name: lib.decorate(name) for name in START}
    lib.stop()
    change()
    lib.start()
    lib.expect(names)
    after = folders(lib)
    for old, new in moved.items():
        assert after[new] == before[old], f"{old} -> {new}"
    known = {row for row in before.values()}
    assert {name for name, row in after.items() if row not in known} == set(made)
    for name in names:
        is_new = lib.row(name)["id"] not in photos
        assert is_new == (name in fresh), f"{name}: {'a new id' if is_new else 'an old id'}"
    for name in START:
        old = next((o for o in sorted(moved, reverse=True) if name.startswith(o + "/")), None)
        new = moved[old] + name[len(old):] if old else name
        if new in names and new not in fresh:
            assert lib.identity(new) == kept[name], f"{name} -> {new}"
    assert lib.counter("photos_decoded") == len(fresh)
    if n_moves is not None:
        assert (lib.counter("folders_moved"), lib.counter("moved")) == (n_moves, 0)
    lib.expect_idempotent()


def renamed(names, *pairs):
    for old, new in pairs:
        names = [new + n[len(old):] if n.startswith(old + "/") else n for n in names]
    return names


@pytest.mark.parametrize("old, new", [("r/c", "r/z"), ("r/a", "r/z"), ("r/a", "s/a"),
                                      ("r/a/in/deep", "r/deep"), ("r/a/in", "s/x")])
def test_one(lib, old, new):
    moved = {name: new + name[len(old):] for name in folders(lib)
             if name == old or name.startswith(old + "/")}
    play(lib, lambda: lib.rename(old, new), moved, renamed(START, (old, new)), n_moves=1)


def test_into_a_new_directory(lib):
    def change():
        lib.mkdir("r/new/er")
        lib.rename("r/a", "r/new/er/a")

    play(lib, change, {"r/a": "r/new/er/a", "r/a/in/deep": "r/new/er/a/in/deep"},
         renamed(START, ("r/a", "r/new/er/a")), made=("r/new", "r/new/er"), n_moves=1)


def test_twice(lib):
    """One that was moved out of another one, which was moved before and after."""
    def change():
        lib.rename("r/a", "r/x")
        lib.rename("r/x/in", "r/y")
        lib.rename("r/x", "s/x")

    play(lib, change, {"r/a": "s/x", "r/a/in": "r/y", "r/a/in/deep": "r/y/deep"},
         renamed(START, ("r/a/in", "r/y"), ("r/a", "s/x")), n_moves=2)


def test_one_into_the_other(lib):
    def change():
        lib.rename("r/b", "r/a/in/b")
        lib.rename("r/a", "s/a")

    play(lib, change, {"r/a": "s/a", "r/a/in": "s/a/in", "r/b": "s/a/in/b",
                       "r/b/in": "s/a/in/b/in"},
         renamed(START, ("r/b", "r/a/in/b"), ("r/a", "s/a")), n_moves=2)


def test_exchanged(lib):
    play(lib, lambda: lib.exchange("r/a", "r/b"),
         {"r/a": "r/b", "r/b": "r/a", "r/a/in": "r/b/in", "r/b/in": "r/a/in",
          "r/a/in/deep": "r/b/in/deep"},
         ["r/b/1.jpg", "r/b/2.jpg", "r/b/in/deep/3.jpg", "r/a/4.jpg", "r/a/in/5.jpg", "r/c/6.jpg",
          "s/7.jpg"], n_moves=2)


def test_round(lib):
    def change():
        lib.rename("r/a", "r/t")
        lib.rename("r/c", "r/a")
        lib.rename("r/b", "r/c")
        lib.rename("r/t", "r/b")

    play(lib, change, {"r/a": "r/b", "r/b": "r/c", "r/c": "r/a"},
         ["r/b/1.jpg", "r/b/2.jpg", "r/b/in/deep/3.jpg", "r/c/4.jpg", "r/c/in/5.jpg", "r/a/6.jpg",
          "s/7.jpg"], n_moves=3)


def test_chain(lib):
    """Into the place of one that has moved away, to a place that is free."""
    def change():
        lib.rename("r/c", "r/z")
        lib.rename("r/b", "r/c")
        lib.rename("r/a", "r/b")

    play(lib, change, {"r/a": "r/b", "r/b": "r/c", "r/c": "r/z"},
         renamed(START, ("r/c", "r/z"), ("r/b", "r/c"), ("r/a", "r/b")), n_moves=3)


def test_another_one_in_its_place(lib):
    """The old name is that of a new directory: the row goes with the one that it is of."""
    def change():
        lib.rename("r/a", "r/z")
        lib.photo("r/a/1.jpg")
        lib.photo("r/a/in/8.jpg")

    play(lib, change, {"r/a": "r/z", "r/a/in": "r/z/in", "r/a/in/deep": "r/z/in/deep"},
         renamed(START, ("r/a", "r/z")) + ["r/a/1.jpg", "r/a/in/8.jpg"],
         made=("r/a", "r/a/in"), fresh=("r/a/1.jpg", "r/a/in/8.jpg"), n_moves=1)


def test_changed_as_well(lib):
    """Photos were removed from it, added to it and edited."""
    def change():
        lib.rename("r/a", "r/z")
        lib.unlink("r/z/2.jpg")
        lib.photo("r/z/new.jpg")

    play(lib, change, {"r/a": "r/z", "r/a/in/deep": "r/z/in/deep"},
         [n for n in renamed(START, ("r/a", "r/z")) if n != "r/z/2.jpg"] + ["r/z/new.jpg"],
         fresh=("r/z/new.jpg",))


def test_over_one_that_was_deleted(lib):
    """The rows at the new path are of photos that are gone: they go as any other, and the photos
    that came are the same."""
    before = {name: lib.decorate(name) for name in START}
    lib.stop()
    lib.rmtree("r/b")
    lib.rename("r/a", "r/b")
    lib.start()
    lib.expect({"r/b/1.jpg", "r/b/2.jpg", "r/b/in/deep/3.jpg", "r/c/6.jpg", "s/7.jpg"})
    for name in ("1.jpg", "2.jpg", "in/deep/3.jpg"):
        assert lib.identity("r/b/" + name) == before["r/a/" + name]
    assert lib.counter("photos_decoded") == 0
    lib.expect_idempotent()


def test_guard(library):
    """A directory that was moved over another one does not take the rows of that one's photos away:
    that many are held."""
    lib = library(roots=("r",), settings={"sync.guard_files": "2", "sync.guard_percent": "10"})
    names = lib.photos("r/b", 5) + lib.photos("r/a", 5, prefix="q")
    lib.start()
    lib.expect(names)
    before = {name: lib.row(name)["id"] for name in names}
    lib.stop()
    lib.rmtree("r/b")
    lib.rename("r/a", "r/b")
    lib.start()
    assert {name: (lib.row(name) or {}).get("id") for name in names[:5]} == {
        name: before[name] for name in names[:5]}
    assert {lib.row("r/b" + name[3:])["id"] for name in names[5:]} == {
        before[name] for name in names[5:]}
    assert "confirm" in lib.daemon.problems()[lib.path("r")]


def test_without_photos(lib):
    """Its birth tells."""
    lib.mkdir("r/empty/also")
    lib.settle()
    before = folders(lib)
    lib.stop()
    lib.rename("r/empty", "s/still")
    lib.start()
    lib.expect(START)
    after = folders(lib)
    if not birth_is_known(lib.path("s")):
        pytest.skip("this file system does not tell when a directory was made")
    assert after["s/still"] == before["r/empty"]
    assert after["s/still/also"] == before["r/empty/also"]


def birth_is_known(path):
    result = os.popen(f"stat -c %W '{path}'").read().strip()
    return result not in ("0", "-", "")


def state(lib, sql, *values):
    db = sqlite3.connect(os.path.join(lib.state, "state.db"))
    with db:
        changed = db.execute(sql, values).rowcount
    db.close()
    return changed


@pytest.mark.parametrize("kept", ["gone", "there"])
def test_inode_used_again(lib, kept):
    """Another directory has its inode number, and nobody knows when either was made: not the same,
    for none of its photos is in it. And a directory that is where it was is never taken for
    another one that has its number."""
    before, rows = folders(lib), {row["path"]: row["id"] for row in lib.rows("images")}
    lib.stop()
    lib.photo("r/z/1.jpg")  # the name tells nothing
    number = os.stat(lib.path("r/z")).st_ino
    if kept == "gone":
        lib.rmtree("r/a")
    assert state(lib, "UPDATE folders SET ino = ?, born = NULL WHERE ino = ?", number,
                 os.stat(lib.path("r/b")).st_ino if kept == "there" else inode_of(lib, before)) == 1
    lib.start()
    names = [n for n in START if kept == "there" or not n.startswith("r/a/")] + ["r/z/1.jpg"]
    lib.expect(names)
    after = folders(lib)
    assert after["r/z"] not in before.values()
    assert {row["id"] for row in lib.rows("images") if row["path"] != lib.path("r/z/1.jpg")} == {
        i for path, i in rows.items() if os.path.relpath(path, lib.base) in names}
    assert lib.counter("folders_moved") == 0
    if kept == "there":
        assert after["r/b"] == before["r/b"]


def ask(lib, sql, *values):
    db = sqlite3.connect(os.path.join(lib.state, "state.db"))
    answer = db.execute(sql, values).fetchone()[0]
    db.close()
    return answer


def count(lib, table):
    return ask(lib, f"SELECT count(*) FROM {table}")


def inode_of(lib, before):
    """The inode that the state database knows of r/a."""
    key = bytes.fromhex(before["r/a"][0].replace("-", ""))
    return ask(lib, "SELECT ino FROM folders WHERE id = ?", key)


def test_inode_used_again_by_the_kernel(library):
    """The same where the file system gives the number to the next directory that is made."""
    lib = library(roots=("r",))
    lib.photo("r/old/1.jpg")
    lib.start()
    before = lib.decorate("r/old/1.jpg")
    folder = lib.folder("r/old")["folder_id"]
    lib.stop()
    number = os.stat(lib.path("r/old")).st_ino
    data = media.jpeg()
    lib.rmtree("r/old")
    for i in range(50):
        os.mkdir(lib.path(f"r/new{i}"))
        if os.stat(lib.path(f"r/new{i}")).st_ino == number:
            break
    else:
        pytest.skip("this file system does not use it again soon")
    lib.put(f"r/new{i}/1.jpg", data)
    lib.start()
    lib.expect({f"r/new{i}/1.jpg"})
    assert lib.row(f"r/new{i}/1.jpg")["id"] != before["id"]
    assert lib.folder(f"r/new{i}")["folder_id"] != folder
    assert lib.counter("folders_moved") == 0


def test_second_path_is_no_move(library):
    """The same directory by two paths: a root leads into the other one."""
    lib = library(roots=("r",))
    lib.photo("r/a/in/1.jpg")
    lib.start()
    before = folders(lib)
    lib.stop()
    os.symlink("r/a", lib.path("l"))
    lib.roots.append("l")
    lib.register("l")
    lib.start()
    lib.expect({"r/a/in/1.jpg", "l/in/1.jpg"})
    after = folders(lib)
    assert {name: after[name] for name in before} == before
    assert lib.counter("folders_moved") == 0


def test_many(lib):
    """More of them than are looked at together, some in the place of others."""
    count = scaled(200, 100)
    for i in range(count):
        lib.photo(f"r/many/{i:04}/x.jpg")
    lib.settle()
    before, ids = folders(lib), {row["id"] for row in lib.rows("images")}
    lib.stop()
    moved = {}
    for i in range(0, count, 4):
        lib.rename(f"r/many/{i:04}", f"s/{i:04}")
        lib.exchange(f"r/many/{i + 1:04}", f"r/many/{i + 2:04}")
        moved |= {f"r/many/{i:04}": f"s/{i:04}", f"r/many/{i + 1:04}": f"r/many/{i + 2:04}",
                  f"r/many/{i + 2:04}": f"r/many/{i + 1:04}"}
    lib.start()
    names = [f"r/many/{i:04}/x.jpg" for i in range(count) if i % 4]
    lib.expect([*START, *names, *(f"s/{i:04}/x.jpg" for i in range(0, count, 4))])
    after = folders(lib)
    assert {old: after[new] for old, new in moved.items()} == {old: before[old] for old in moved}
    assert {row["id"] for row in lib.rows("images")} == ids
    assert lib.counter("photos_decoded") == 0
    assert lib.counter("folders_moved") == len(moved)


def test_old_state_database(lib):
    """One from before directories were known: taken over, and what is in it stays."""
    lib.stop()
    for sql in ("DROP INDEX folders_by_inode", "ALTER TABLE folders DROP COLUMN ino",
                "ALTER TABLE folders DROP COLUMN born"):
        state(lib, sql)
    lib.check()
    files = count(lib, "files")
    lib.start()
    lib.expect(START)
    assert count(lib, "files") == files
    assert not [line for line in lib.daemon.lines if "state database" in line]
    play(lib, lambda: lib.rename("r/a", "r/z"), {"r/a": "r/z"}, renamed(START, ("r/a", "r/z")),
         n_moves=1)


def test_root_that_is_away(lib):
    """A root whose directory was moved into another one is offline: its rows stay."""
    before = folders(lib)
    lib.stop()
    lib.rename("r", "s/r")
    lib.start(settle=False)
    wait_for("it is found in the other one", lambda: lib.folder("s/r"))
    lib.settle()
    assert lib.folder("r")["folder_id"] == before["r"][0]
    shutil.move(lib.path("s/r"), lib.path("r"))
    lib.settle()
    lib.expect(START)


# ---- while it runs ----

def test_exchanged_many_times_at_once(lib):
    """More renames, each over another directory, than are looked at one by one."""
    kept = {name: lib.decorate(name) for name in START}
    rows = folders(lib)
    for _ in range(20):
        for _ in range(41):
            lib.exchange("r/a", "r/b")
        lib.settle()
    lib.exchange("r/a", "r/b")
    names = {name.replace("r/a/", "x/").replace("r/b/", "r/a/").replace("x/", "r/b/")
             for name in START}
    lib.expect(names)
    assert {"r/a": rows["r/b"], "r/b": rows["r/a"]}.items() <= folders(lib).items()
    assert lib.identity("r/b/in/deep/3.jpg") == kept["r/a/in/deep/3.jpg"]
    assert lib.identity("r/a/4.jpg") == kept["r/b/4.jpg"]
    assert lib.counter("photos_decoded") == len(START)


@pytest.mark.parametrize("how", ["replaced", "sidecar"])
def test_event_while_the_older_place_hangs(library, faulty, how):
    """It is still to be found out whether a directory's rows are those of another path, and a photo
    in it is replaced by one of its size and time, or gets a sidecar. A scan would see neither; the
    event is kept, and does not keep the daemon busy."""
    lib = library(roots=("near", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    pictures = [media.jpeg(*size).ljust(4000, b"-") for size in ((16, 12), (20, 30))]
    lib.put("far/old/p.jpg", pictures[0])
    for name in ("far/old/z.jpg", "near/q.jpg"):
        lib.photo(name)
    lib.start()
    before = lib.row("far/old/p.jpg")
    lib.stop()
    lib.rename("backing/old", "backing/new")
    sick.tell("hang getattr /old after=3")  # when it is looked for by that name
    lib.start(settle=False)
    sick.tell("wait 1")
    if how == "replaced":  # (what makes a directory would hang)
        was = os.stat(lib.path("far/new/p.jpg"))
        with open(lib.path("far/new/x.tmp"), "xb") as file:
            file.write(pictures[1])
        os.utime(lib.path("far/new/x.tmp"), ns=(was.st_atime_ns, was.st_mtime_ns))
        lib.rename("far/new/x.tmp", "far/new/p.jpg")
    else:
        with open(lib.path("far/new/p.jpg.json"), "x", encoding="ascii") as file:
            file.write(media.sidecar(taken=1234567890))
    lib.daemon.wait_line("does not answer", timeout=20)
    rounds, begun = lib.counter("loop_rounds"), time.monotonic()
    wait_for("two seconds are over", lambda: time.monotonic() > begun + 2)
    assert lib.counter("loop_rounds") - rounds < 20
    sick.tell("clear")
    lib.daemon.wait_line("answers again", timeout=20)
    lib.expect({"far/new/p.jpg", "far/new/z.jpg", "near/q.jpg"})
    after = lib.row("far/new/p.jpg")
    assert after["id"] == before["id"]
    if how == "replaced":
        assert json.loads(after["metadata"])["width"] == 20
    else:
        assert json.loads(after["metadata"])["date_created"] == "2009-02-13T23:31:30"


@pytest.mark.parametrize("what", ["photos", "directories", "renamed photos", "renamed directories"])
def test_something_comes_before_it_is_compared(library, what):
    """All is watched before it is compared with the rows. What comes to a directory in between must
    not make it one of its own."""
    lib = library(roots=("r",), settings={"watch.settle": "1ms"})
    data = media.jpeg(16, 12)
    count = scaled(1500, 400)
    renamed = [f"r/a{i:04}.jpg" for i in range(600)] if what == "renamed photos" else []
    names = {f"r/d{i:04}/1.jpg" for i in range(count)} | set(renamed)
    for name in names:
        lib.put(name, data)
    names |= {lib.photo("r/old/1.jpg") and "r/new/1.jpg"}
    lib.start()
    with lib.connect() as db:
        db.execute("UPDATE folders SET AI_Tagging = 1 WHERE folder_path = ?", (lib.path("r/old"),))
    before = lib.folder("r/old")
    lib.stop()
    lib.rename("r/old", "r/new")

    def come(i):
        if what == "photos":
            names.add(lib.put(f"r/new/x{i}.jpg", data) and f"r/new/x{i}.jpg")
        elif what == "directories":
            names.add(lib.put(f"r/new/x{i}/1.jpg", data) and f"r/new/x{i}/1.jpg")
        elif what == "renamed photos" and i < len(renamed):
            lib.rename(renamed[i], f"r/new/x{i}.jpg")
            names.symmetric_difference_update({renamed[i], f"r/new/x{i}.jpg"})
        elif what == "renamed directories" and i < count:
            lib.rename(f"r/d{i:04}", f"r/new/x{i}")
            names.symmetric_difference_update({f"r/d{i:04}/1.jpg", f"r/new/x{i}/1.jpg"})

    lib.start(settle=False)
    end = time.monotonic() + 60
    for i in itertools.count():
        if (lib.daemon.get("/watcher/status")[1]["detail"] or {}).get("last_reconcile"):
            break
        assert time.monotonic() < end, "it is not compared"
        if i < 1000:  # a flood is not kept back
            come(i)
    lib.expect(names)
    after = lib.folder("r/new")
    assert (after["folder_id"], after["AI_Tagging"]) == (before["folder_id"], 1)


def test_many_to_which_photos_come(library):
    """More than are looked at at a time: those that are put off are as early as the others."""
    lib = library(roots=("r",), settings={"watch.settle": "1ms"})
    count = scaled(300, 100)
    for i in range(count):
        lib.photo(f"r/old/d{i:03}/1.jpg")
    lib.start()
    before = {name: row for name, row in folders(lib).items() if "/d" in name}
    lib.stop()
    for i in range(count):
        os.makedirs(lib.path("r/new"), exist_ok=True)
        lib.rename(f"r/old/d{i:03}", f"r/new/d{i:03}")
    lib.start(settle=False)
    for i in range(count):
        lib.photo(f"r/new/d{i:03}/2.jpg")
    lib.expect({f"r/new/d{i:03}/{k}.jpg" for i in range(count) for k in (1, 2)})
    assert {name: row for name, row in folders(lib).items() if "/d" in name} == {
        name.replace("old", "new"): row for name, row in before.items()}
