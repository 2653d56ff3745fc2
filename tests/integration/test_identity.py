"""What becomes of ids when the daemon's own notes are gone, and over restarts. The ways to move a
photo are in test_ways_to_move.py, equal files in test_twins.py."""

import contextlib
import os
import shutil
import signal

import pytest

import media
from harness import edited, wait_for

START = {"r/a.jpg", "r/dir/b.jpg", "s/other.jpg"}


@pytest.fixture
def lib(library):
    lib = library(roots=("r", "s"))
    for name in START:
        lib.photo(name)
    lib.start()
    return lib


@contextlib.contextmanager
def unseen(lib):
    """All of it has happened when the daemon looks."""
    lib.daemon.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        lib.daemon.process.send_signal(signal.SIGCONT)
    lib.settle()


@contextlib.contextmanager
def unread(lib):
    """What is to be decoded waits."""
    workers = lib.daemon.children()
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)


@contextlib.contextmanager
def reading(lib):
    """Begins what a worker is to read, and ends when it has been given to one."""
    before = lib.counter("photos_decoded")
    yield
    wait_for("it is being read", lambda: lib.counter("photos_decoded") > before)


def two_pictures():
    """Of one length, and each of its own size."""
    return [media.jpeg(*size).ljust(4000, b"-") for size in ((16, 12), (20, 30))]


def edit_in_secret(path, data):
    """Neither length nor time of modification tell of it."""
    was = os.stat(path)
    with open(path, "r+b") as file:
        file.write(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def test_state_removed_meanwhile(lib):
    """Without our own notes nothing is lost but what only they could tell."""
    before = {name: lib.decorate(name) for name in START}
    lib.stop()
    for name in os.listdir(lib.state):
        os.unlink(os.path.join(lib.state, name))
    lib.start()
    lib.expect(START)
    assert {name: lib.identity(name) for name in START} == before
    lib.rename("r/a.jpg", "s/z.jpg")
    lib.expect(START - {"r/a.jpg"} | {"s/z.jpg"})
    assert lib.identity("s/z.jpg") == before["r/a.jpg"]
    assert wait_for("its notes are there again", lambda: os.listdir(lib.state))


def test_restarted_between(lib):
    """The daemon that sees it go is not the one that sees it come back."""
    before = lib.decorate("r/a.jpg")
    lib.rename("r/a.jpg", "outside/a.jpg")
    lib.expect(START - {"r/a.jpg"})
    lib.restart()
    lib.rename("outside/a.jpg", "s/back.jpg")
    lib.expect(START - {"r/a.jpg"} | {"s/back.jpg"})
    assert lib.identity("s/back.jpg") == before


def test_new_file_with_the_inode_of_a_photo_that_went(lib):
    """A file that is made and written to is nobody's, though all that stat(2) says of it is what
    was said of a photo that has just gone."""
    first, second = two_pictures()
    path = lib.put("r/gone.jpg", first)
    lib.settle()
    before, gone = lib.row("r/gone.jpg")["id"], os.stat(path)
    os.unlink(path)
    with open(lib.path("r/new.jpg"), "xb") as file:
        file.write(second)
    os.utime(file.name, ns=(gone.st_atime_ns, gone.st_mtime_ns))
    new = os.stat(file.name)
    if new.st_ino != gone.st_ino:
        pytest.skip("this file system does not use an inode number again at once")
    assert (new.st_size, new.st_mtime_ns) == (gone.st_size, gone.st_mtime_ns)
    lib.expect(START | {"r/new.jpg"})
    assert lib.row("r/new.jpg")["id"] != before


def test_link_in_the_place_of_an_edited_photo(lib):
    """That one was written to, the link was not."""
    before = lib.decorate("s/other.jpg")
    with unseen(lib):
        with open(lib.path("r/a.jpg"), "ab") as file:
            file.write(b"-")
        os.unlink(lib.path("r/a.jpg"))
        os.link(lib.path("s/other.jpg"), lib.path("r/a.jpg"))
        os.unlink(lib.path("s/other.jpg"))
    lib.expect(START - {"s/other.jpg"})
    assert lib.identity("r/a.jpg") == before


def test_link_written_to_before_the_photo_went(lib):
    """A file that is created and written to is new, unless a row's file was there still to be linked
    to."""
    first, second = two_pictures()
    path = lib.put("r/photo.jpg", first)
    lib.settle()
    before = lib.row("r/photo.jpg")["id"]
    with unseen(lib):
        os.link(path, lib.path("s/link.jpg"))
        edit_in_secret(lib.path("s/link.jpg"), second)
        os.unlink(path)
    lib.expect(START | {"s/link.jpg"})
    assert lib.row("s/link.jpg")["id"] == before


@pytest.mark.parametrize("names", [("a.jpg", "z.jpg"), ("z.jpg", "a.jpg")])
def test_one_of_two_links_found_in_a_new_directory(lib, names):
    """Both left their names, and nothing but a scan tells of the one that is found: it is the one of
    that name, not the other."""
    stays, goes = names
    os.link(lib.path("s/other.jpg"), lib.path(f"s/{stays}"))
    os.link(lib.path("s/other.jpg"), lib.path(f"r/{goes}.jpg"))
    os.unlink(lib.path("s/other.jpg"))
    lib.settle()
    before = lib.decorate(f"s/{stays}")
    with unseen(lib):
        lib.mkdir("r/new")
        lib.rename(f"r/{goes}.jpg", "r/new/note.txt")
        lib.rename(f"s/{stays}", f"r/new/{stays}")
    lib.expect(START - {"s/other.jpg"} | {f"r/new/{stays}"})
    assert lib.identity(f"r/new/{stays}") == before


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_exchanged_with_a_directory_and_back(lib, first, second, waits):
    """The file's events are those of one half of an exchange of two files, and then of the other;
    those of the directory come before or behind them, by the order of renameat2(2)'s arguments."""
    lib.mkdir("r/sub.jpg")
    lib.settle()
    before = lib.decorate("r/a.jpg")
    folder = lib.folder("r/sub.jpg")["folder_id"]
    names = ("r/a.jpg", "r/sub.jpg")
    with open(lib.path("r/a.jpg"), "ab") as file:
        file.write(b"-")
    lib.exchange(*names[::1 if first else -1])
    if waits:
        lib.daemon.wait_line(r"moved \S+/r/a.jpg -> \S+/r/sub.jpg")
    lib.exchange(*names[::1 if second else -1])
    lib.expect(START)
    assert lib.identity("r/a.jpg") == before
    assert lib.folder("r/sub.jpg")["folder_id"] == folder


@pytest.mark.parametrize("back", [False, True])
def test_exchanged_and_home_again_with_its_directory(lib, back):
    """Rows of files that may have been exchanged are in the way of a directory's, and in it."""
    lib.photo("r/w/p/b.jpg")
    lib.photo("r/home/b.jpg")
    lib.settle()
    ids = {name: lib.decorate(name)["id"] for name in ("r/home/b.jpg", "r/w/p/b.jpg")}
    with unseen(lib):
        with open(lib.path("r/home/b.jpg"), "ab") as file:
            file.write(b"-")
        lib.rename("r/home/b.jpg", "r/w/e.jpg")
        if back:  # over it, which looks the same
            lib.rename("r/w/p/b.jpg", "r/w/e.jpg")
            lib.rename("r/w/e.jpg", "r/w/p/b.jpg")
        else:
            lib.exchange("r/w/p/b.jpg", "r/w/e.jpg")
        lib.rename("r/w/p", "r/home")
    if back:
        lib.expect(START | {"r/home/b.jpg"})
        assert lib.row("r/home/b.jpg")["id"] == ids["r/w/p/b.jpg"]
    else:
        lib.expect(START | {"r/home/b.jpg", "r/w/e.jpg"})
        assert lib.row("r/home/b.jpg")["id"] == ids["r/home/b.jpg"]
        assert lib.row("r/w/e.jpg")["id"] == ids["r/w/p/b.jpg"]


@pytest.mark.parametrize("exchanged", [False, True])
def test_in_doubt_while_a_directory_takes_its_name(lib, exchanged):
    """Its row is in the way of a directory's, so the disk must be asked before that moves."""
    lib.mkdir("r/trip")
    lib.photo("s/box/spare.jpg")
    lib.settle()
    before = {name: lib.decorate(name) for name in ("r/a.jpg", "s/box/spare.jpg")}
    ends = {"r/a.jpg": "r/end.jpg"}
    with open(lib.path("r/a.jpg"), "ab") as file:
        file.write(b"-")
    with unseen(lib):
        lib.rename("r/a.jpg", "r/trip/c.jpg")
        if exchanged:
            lib.exchange("r/trip/c.jpg", "s/box/spare.jpg")
            ends = {"r/a.jpg": "s/box/spare.jpg", "s/box/spare.jpg": "r/end.jpg"}
        else:
            lib.unlink("s/box/spare.jpg")
            lib.rename("r/trip/c.jpg", "s/box/c.jpg")
            lib.rename("s/box/c.jpg", "r/trip/c.jpg")
        lib.rename("r/trip/c.jpg", "r/end.jpg")
        lib.photo("r/a.jpg")
        lib.exchange("r/trip", "r/a.jpg")
        lib.rename("s/box", "s/crate")
        with open(lib.path("r/end.jpg"), "ab") as file:
            file.write(b"-")
    ends = {old: new.replace("box", "crate") for old, new in ends.items()}
    lib.expect(START - {"r/a.jpg"} | set(ends.values()))
    for old, new in ends.items():
        assert lib.row(new)["id"] == before[old]["id"], (old, new)


@pytest.mark.parametrize("end", ["r/a.jpg", "r/end.jpg"])
def test_out_and_over_another_and_on(lib, end):
    """What comes from outside over a photo looks like one that is saved by rename; but its inode is
    that of a photo which has just left."""
    before = lib.decorate("r/a.jpg")
    with unseen(lib):
        lib.rename("r/a.jpg", "outside/away.jpg")
        lib.rename("outside/away.jpg", "s/other.jpg")
        lib.rename("s/other.jpg", end)
    lib.expect(START - {"r/a.jpg", "s/other.jpg"} | {end})
    assert lib.identity(end) == before


@pytest.mark.parametrize("source", ["outside/new.jpg", "r/made/new.jpg"])
def test_saved_by_rename_and_renamed(lib, source):
    """Where its inode is nobody's, the row of the name goes with it."""
    before = lib.decorate("r/a.jpg")["id"]
    with unseen(lib):
        lib.photo(source)
        lib.rename(source, "r/a.jpg")
        lib.rename("r/a.jpg", "s/end.jpg")
    lib.expect(START - {"r/a.jpg"} | {"s/end.jpg"})
    assert lib.row("s/end.jpg")["id"] == before


def test_exchanged_and_its_directory_too_while_down(lib):
    """Its row goes along with the directory, to where another one's comes from."""
    lib.photo("r/dir/sub/photo.jpg")
    lib.photo("s/two/x.jpg")
    lib.settle()
    before = {name: lib.decorate(name) for name in ("r/dir/sub/photo.jpg", "s/other.jpg")}
    lib.stop()
    lib.exchange("r/dir/sub/photo.jpg", "s/other.jpg")
    lib.exchange("r/dir", "s/two")
    lib.start()
    lib.expect({"r/a.jpg", "s/two/b.jpg", "r/dir/x.jpg", "s/two/sub/photo.jpg", "s/other.jpg"})
    assert lib.identity("s/other.jpg") == before["r/dir/sub/photo.jpg"]
    assert lib.identity("s/two/sub/photo.jpg") == before["s/other.jpg"]


def test_killed_between_the_two_commits(lib):
    """PictoPy's database says already that it was moved, the daemon's own notes do not yet."""
    before = lib.decorate("r/a.jpg")
    lib.stop()
    kept = lib.state + ".kept"
    shutil.copytree(lib.state, kept)
    lib.start()
    lib.rename("r/a.jpg", "r/dir/a.jpg")
    lib.expect(START - {"r/a.jpg"} | {"r/dir/a.jpg"})
    lib.stop()
    shutil.rmtree(lib.state)
    os.rename(kept, lib.state)
    lib.rename("r/dir/a.jpg", "s/end.jpg")
    lib.start()
    lib.expect(START - {"r/a.jpg"} | {"s/end.jpg"})
    assert lib.identity("s/end.jpg") == before


def test_many_out_and_over_others_and_home(lib):
    """More than are remembered one by one."""
    names = [f"r/many{i:02}.jpg" for i in range(45)]
    for name in names:
        lib.photo(name)
        lib.photo(name.replace("r/", "s/"))
    lib.settle()
    before = {name: lib.row(name)["id"] for name in names}
    with unseen(lib):
        for name in names:
            lib.rename(name, name.replace("r/", "outside/"))
        for name in names:
            lib.rename(name.replace("r/", "outside/"), name.replace("r/", "s/"))
        for name in names:
            lib.rename(name.replace("r/", "s/"), name)
    lib.expect(START | set(names))
    assert {name: lib.row(name)["id"] for name in names} == before


def test_guess_that_left_the_library(lib):
    """Nobody can look at it, so nobody waits for that."""
    lib.photo("outside/new.jpg")
    moved = lib.decorate("r/dir/b.jpg")
    with unseen(lib):
        lib.rename("outside/new.jpg", "r/a.jpg")
        lib.rename("r/a.jpg", "outside/away.jpg")
        lib.rename("r/dir/b.jpg", "r/a.jpg")
    lib.expect(START - {"r/dir/b.jpg"})
    assert lib.identity("r/a.jpg") == moved


def test_come_to_a_name_whose_file_is_being_read(lib):
    """What is read of the one that was there, which has another name now, is not its."""
    before = lib.decorate("r/a.jpg")
    lib.photo("r/dir/c.jpg")
    lib.settle()
    with unread(lib):
        with reading(lib):
            lib.photo("s/new.jpg")
        os.link(lib.path("s/new.jpg"), lib.path("s/link.jpg"))
        lib.rename("r/a.jpg", "s/new.jpg")
        lib.daemon.wait_line(r"moved \S+/r/a.jpg -> \S+/s/new.jpg")
    lib.expect(START - {"r/a.jpg"} | {"r/dir/c.jpg", "s/new.jpg", "s/link.jpg"})
    assert lib.identity("s/new.jpg") == before
    assert not [line for line in lib.daemon.lines if line.endswith("added " + lib.path("s/new.jpg"))]


def test_renamed_while_an_edit_is_being_read(lib):
    """That it was edited goes with it: nothing at its new name tells."""
    first, second = two_pictures()
    path = lib.put("r/photo.jpg", first)
    lib.settle()
    before = lib.decorate("r/photo.jpg")
    with unread(lib):
        with reading(lib):
            edit_in_secret(path, second)
        lib.rename("r/photo.jpg", "s/photo.jpg")
        lib.daemon.wait_line(r"moved \S+/r/photo.jpg -> \S+/s/photo.jpg")
    lib.expect(START | {"s/photo.jpg"})
    assert lib.identity("s/photo.jpg") == edited(before)


def test_takes_the_name_of_the_link_it_was_edited_by(lib):
    """It was edited by a link, whose name it takes before that has been read."""
    first, second = two_pictures()
    lib.put("r/photo.jpg", first)
    lib.settle()
    before = lib.decorate("r/photo.jpg")
    with unread(lib):
        os.link(lib.path("r/photo.jpg"), lib.path("s/link.jpg"))
        with reading(lib):
            edit_in_secret(lib.path("s/link.jpg"), second)
        os.unlink(lib.path("s/link.jpg"))
        lib.rename("r/photo.jpg", "s/link.jpg")
    lib.expect(START | {"s/link.jpg"})
    assert lib.identity("s/link.jpg") == edited(before)
