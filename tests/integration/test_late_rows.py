"""Directories that are removed and made anew while rows are still on their way to them: another
program has locked the database."""

import contextlib
import sqlite3

import pytest

from harness import wait_for


@contextlib.contextmanager
def locked(lib, how="IMMEDIATE"):
    """Another program writes: rows can be read (IMMEDIATE) or not (EXCLUSIVE)."""
    with contextlib.closing(sqlite3.connect(lib.database, isolation_level=None)) as db:
        db.execute(f"BEGIN {how}")
        yield
        db.execute("ROLLBACK")


def listed(lib, count=1):
    """Waits until the daemon has listed so many directories more, and compared them if it can."""
    start = lib.counter("directories_listed")

    def wait():
        wait_for("they are listed", lambda: lib.counter("directories_listed") >= start + count)
        assert lib.daemon.get("/watcher/settle?timeout_ms=300")[0] == 504
    return wait


def replace(lib, name):
    """Removes a directory and makes another one of its name, whose inode is another one."""
    lib.rmtree(name)
    for i in range(5):
        lib.mkdir(f"unwatched/{i}")
    lib.mkdir(name)


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_made_anew_before_the_rows_have_followed(library, how):
    """Its rows are still at the older path when the new directory is compared with them."""
    lib = library(roots=("r",))
    for name in ("r/Trip/a.jpg", "r/Trip/deep/p/b.jpg", "r/Trip/deep/p/q/c.jpg"):
        lib.photo(name)
    lib.start()
    kept = lib.row("r/Trip/a.jpg")["id"]
    with locked(lib, how):
        lib.rename("r/Trip", "r/Trip1")
        assert lib.daemon.get("/watcher/settle?timeout_ms=300")[0] == 504
    lib.expect({"r/Trip1/a.jpg", "r/Trip1/deep/p/b.jpg", "r/Trip1/deep/p/q/c.jpg"})
    with locked(lib, how):
        lib.rename("r/Trip1", "r/Trip2")
        seen = listed(lib)
        replace(lib, "r/Trip2/deep/p")
        lib.photo("r/Trip2/deep/p/d.jpg")
        seen()
    lib.expect({"r/Trip2/a.jpg", "r/Trip2/deep/p/d.jpg"})
    assert lib.row("r/Trip2/a.jpg")["id"] == kept


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_place_of_rows_on_their_way_made_anew(library, how):
    """What a directory moved to is gone, and what it was in has gone on, when its rows arrive."""
    lib = library(roots=("r",))
    for name in ("r/Trip/a.jpg", "r/Trip/deep/p/b.jpg", "r/x/c.jpg", "r/x/y/d.jpg"):
        lib.photo(name)
    lib.start()
    with locked(lib, how):
        lib.rename("r/Trip", "r/Trip1")
        assert lib.daemon.get("/watcher/settle?timeout_ms=300")[0] == 504
    lib.settle()
    kept = lib.row("r/Trip1/a.jpg")["id"]
    with locked(lib, how):
        lib.rename("r/x", "r/Trip1/deep/p/x")
        assert lib.daemon.get("/watcher/settle?timeout_ms=300")[0] == 504
        seen = listed(lib)
        replace(lib, "r/Trip1/deep/p")
        seen()
        lib.rename("r/Trip1", "r/Trip2")
        assert lib.daemon.get("/watcher/settle?timeout_ms=300")[0] == 504
    lib.expect({"r/Trip2/a.jpg"})
    assert lib.row("r/Trip2/a.jpg")["id"] == kept


def test_photo_on_its_way_into_a_directory_that_is_made_anew(library):
    """Its row arrives behind the comparison of the directory that has the name now."""
    lib = library(roots=("r",))
    lib.photo("r/Trip/p/b.jpg")
    lib.start()
    with locked(lib):
        lib.photo("r/Trip/p/new.jpg")
        wait_for("it is read", lambda: lib.counter("photos_decoded") == 2)
        assert lib.daemon.get("/watcher/settle?timeout_ms=300")[0] == 504
        seen = listed(lib)
        replace(lib, "r/Trip/p")
        seen()
    lib.expect(set())
