"""Every way in which a photo can move: its id, and all that hangs on it, comes along."""

import os
import random
import shutil
import subprocess

import pytest

import media
from harness import scaled, wait_for


def run(lib, *words):
    subprocess.run(words, check=True, cwd=lib.base)


@pytest.fixture
def lib(own_mounts, library):
    """Two roots on one file system and one on another; a decorated photo, and others around it."""
    lib = library(roots=("r", "s", "far"))
    lib.mount("-t", "tmpfs", "x", at="far")
    lib.photo("r/a.jpg")
    lib.photo("r/dir/in/b.jpg")
    lib.photo("r/dir/c.jpg")
    lib.photo("s/other.jpg")
    lib.photo("far/there.jpg")
    lib.start()
    lib.start_names = {"r/a.jpg", "r/dir/in/b.jpg", "r/dir/c.jpg", "s/other.jpg", "far/there.jpg"}
    lib.expect(lib.start_names)
    return lib


def keeps(lib, moved, change, down=False, gone=()):
    """After change(), each old name's identity is at its new name."""
    before = {old: lib.decorate(old) for old in moved}
    rest = {name: lib.row(name)["id"] for name in lib.start_names if name not in moved}
    if down:
        lib.stop()
    change()
    if down:
        lib.start()
    names = (lib.start_names - set(moved) - set(gone)) | set(moved.values())
    lib.expect(names)
    for old, new in moved.items():
        assert lib.identity(new) == before[old], f"{old} -> {new}"
    for name, key in rest.items():
        if name in names:
            assert lib.row(name)["id"] == key, name


ONE = {
    "mv within a directory": ("mv", "r/a.jpg", "r/z.jpg"),
    "mv to another directory": ("mv", "r/a.jpg", "r/dir/in/z.jpg"),
    "mv to another root": ("mv", "r/a.jpg", "s/z.jpg"),
    "mv to another file system": ("mv", "r/a.jpg", "far/z.jpg"),
    "rsync to another file system": ("rsync", "-t", "--remove-source-files", "r/a.jpg", "far/z.jpg"),
    "case only": ("mv", "r/a.jpg", "r/A.JPG"),
}


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
@pytest.mark.parametrize("how", ONE)
def test_one_photo(lib, how, down):
    *command, old, new = ONE[how]
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} here")
    keeps(lib, {old: new}, lambda: run(lib, *command, old, new), down)


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
@pytest.mark.parametrize("where", ["s", "far"])
def test_copy_then_delete(lib, where, down):
    """As file managers do it, and cp+rm: the time of the copy is another one."""
    def change():
        shutil.copyfile(lib.path("r/a.jpg"), lib.path(f"{where}/z.jpg"))
        if not down:
            lib.settle()
            assert lib.row(f"{where}/z.jpg")["id"] != lib.row("r/a.jpg")["id"]
        lib.unlink("r/a.jpg")

    keeps(lib, {"r/a.jpg": f"{where}/z.jpg"}, change, down)


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
@pytest.mark.parametrize("where", ["s", "far"])
def test_directory(lib, where, down):
    moved = {"r/dir/in/b.jpg": f"{where}/dir/in/b.jpg", "r/dir/c.jpg": f"{where}/dir/c.jpg"}
    keeps(lib, moved, lambda: run(lib, "mv", "r/dir", where), down)


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
def test_out_and_back_in(lib, down):
    def change():
        lib.rename("r/a.jpg", "outside/a.jpg")
        if not down:
            lib.settle()
            assert not lib.row("r/a.jpg")
        lib.rename("outside/a.jpg", "s/back.jpg")

    keeps(lib, {"r/a.jpg": "s/back.jpg"}, change, down)


def test_through_a_trash(lib):
    """Deleted to a trash that is not watched, restored a while later."""
    def change():
        os.makedirs(lib.path("r/.Trash-0/files"))
        lib.rename("r/a.jpg", "r/.Trash-0/files/a.jpg")
        lib.settle()
        assert not lib.row("r/a.jpg")
        lib.restart()
        lib.rename("r/.Trash-0/files/a.jpg", "r/a.jpg")

    keeps(lib, {"r/a.jpg": "r/a.jpg"}, change)


def test_renamed_twice_while_down(lib):
    def change():
        lib.rename("r/dir", "r/x")
        lib.rename("r/x/in", "r/y")
        lib.rename("r/x", "s/x")

    keeps(lib, {"r/dir/in/b.jpg": "r/y/b.jpg", "r/dir/c.jpg": "s/x/c.jpg"}, change, down=True)


def test_restored_from_a_tar(lib):
    def change():
        run(lib, "tar", "-cf", "outside/t.tar", "r/dir")
        lib.rmtree("r/dir")
        lib.settle()
        assert not lib.row("r/dir/c.jpg")
        run(lib, "tar", "-xf", "outside/t.tar")

    keeps(lib, {"r/dir/in/b.jpg": "r/dir/in/b.jpg", "r/dir/c.jpg": "r/dir/c.jpg"}, change)


def test_hard_link_and_original_removed(lib):
    def change():
        os.link(lib.path("r/a.jpg"), lib.path("s/linked.jpg"))
        lib.settle()
        lib.unlink("r/a.jpg")

    keeps(lib, {"r/a.jpg": "s/linked.jpg"}, change)


def test_a_copy_is_a_copy(lib):
    """While the original stays, and a copy that the user has made something of stays what it is."""
    before = lib.decorate("r/a.jpg")
    shutil.copy2(lib.path("r/a.jpg"), lib.path("s/copy.jpg"))
    lib.expect(lib.start_names | {"s/copy.jpg"})
    assert lib.identity("r/a.jpg") == before
    copy = lib.decorate("s/copy.jpg")
    assert copy["id"] != before["id"]
    lib.unlink("r/a.jpg")
    lib.expect(lib.start_names - {"r/a.jpg"} | {"s/copy.jpg"})
    assert lib.identity("s/copy.jpg") == copy


@pytest.mark.parametrize("seed", range(4))
def test_twins_never_steal(library, seed):
    """Random sets of equal files: each id is used once, and stays with a file of its content."""
    dice = random.Random(seed)
    lib = library(roots=("r", "s"))
    contents = [media.jpeg() for i in range(4)]
    content_of = {}
    for i in range(scaled(24, 12)):
        name = f"{dice.choice('rs')}/d{i % 3}/{i}.jpg"
        kind = dice.randrange(4)
        lib.put(name, contents[kind])
        content_of[name] = kind
    lib.start()
    lib.expect(content_of)
    owner = {}  # id -> content
    for name, kind in content_of.items():
        owner[lib.row(name)["id"]] = kind
    for step in range(12):
        name = dice.choice(sorted(content_of))
        new = f"{dice.choice('rs')}/e{step % 4}/{step}.jpg"
        kind = content_of[name]
        action = dice.randrange(4)
        lib.mkdir(os.path.dirname(new))
        if action == 0:
            shutil.copyfile(lib.path(name), lib.path(new))
            content_of[new] = kind
        elif action == 1:
            lib.rename(name, new)
            content_of[new] = content_of.pop(name)
        elif action == 2:
            shutil.copyfile(lib.path(name), lib.path(new))
            lib.unlink(name)
            content_of[new] = content_of.pop(name)
        elif len(content_of) > 4:
            lib.unlink(name)
            del content_of[name]
        if dice.random() < 0.4:
            lib.settle()
        if dice.random() < 0.15:
            lib.restart()
    lib.expect(content_of)
    seen = [lib.row(name)["id"] for name in content_of]
    assert len(seen) == len(set(seen))
    for name, kind in content_of.items():
        key = lib.row(name)["id"]
        assert owner.get(key, kind) == kind, f"{name} took the id of another photo"


def test_empty_files_are_nobody(library):
    """Videos that cannot be told apart: nothing is handed over between them."""
    lib = library(roots=("r", "s"))
    lib.photo("r/a.jpg")
    for name in ("r/0.jpg", "s/0.jpg"):
        lib.put(name, b"")
    lib.start()
    lib.expect({"r/a.jpg"}, problems=None)
    lib.unlink("r/0.jpg")
    lib.expect({"r/a.jpg"}, problems=None)


def test_state_removed_meanwhile(lib):
    """Without our own notes nothing is lost but what only they could tell."""
    before = {name: lib.decorate(name) for name in lib.start_names}
    lib.stop()
    for name in os.listdir(lib.state):
        os.unlink(os.path.join(lib.state, name))
    lib.start()
    lib.expect(lib.start_names)
    assert {name: lib.identity(name) for name in lib.start_names} == before
    lib.rename("r/a.jpg", "s/z.jpg")
    lib.expect(lib.start_names - {"r/a.jpg"} | {"s/z.jpg"})
    assert lib.identity("s/z.jpg") == before["r/a.jpg"]
    assert wait_for("its notes are there again", lambda: os.listdir(lib.state))
