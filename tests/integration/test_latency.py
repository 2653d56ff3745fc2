"""What makes a photo's way to its row short, and that it is still the right row."""

import os
import signal
import time

from harness import wait_for

ONE_WORKER = {"media.workers": "1"}


def warm_worker(lib):
    """The decoder that waits for the first photo."""
    return wait_for("a worker, before there is a photo", lib.daemon.children).pop()


class Stopped:
    """The only decoder stands still, with a photo in its hands, until the block ends."""

    def __init__(self, lib):
        self.lib = lib
        lib.photo("r/first.jpg")
        lib.settle()
        self.worker = lib.daemon.children().pop()

    def __enter__(self):
        os.kill(self.worker, signal.SIGSTOP)
        self.lib.photo("r/a.jpg")
        return self

    def __exit__(self, *_):
        os.kill(self.worker, signal.SIGCONT)

    def wait_decoding(self):
        wait_for("it is being decoded", lambda: self.lib.counter("photos_decoded") == 2)


def test_first_decoder_is_there_before_the_first_photo(library):
    lib = library(roots=("r",))
    lib.start()
    worker = warm_worker(lib)
    assert lib.counter("photos_decoded") == 0
    lib.photo("r/a.jpg")
    lib.settle()
    assert worker in lib.daemon.children()
    lib.expect({"r/a.jpg"})


def test_no_root_no_decoder(library):
    lib = library(roots=())
    lib.start()
    assert not lib.daemon.children()


def test_new_photos_are_looked_up_while_they_settle(library):
    lib = library(roots=("r",), settings={"watch.settle": "400ms"})
    lib.start()
    names = set(lib.photos("r", 10))
    lib.settle()
    assert lib.counter("lookups_ahead") == 10
    assert lib.counter("lookups_saved") > 0
    lib.expect(names)


def test_known_photos_are_looked_up_when_they_are_due(library):
    lib = library(roots=("r",), settings={"watch.settle": "400ms"})
    lib.photo("r/a.jpg")
    lib.start()
    before = lib.identity("r/a.jpg")
    lib.rename("r/a.jpg", "r/b.jpg")
    lib.settle()
    lib.photo("r/b.jpg", width=80)
    lib.settle()
    assert lib.counter("lookups_ahead") == 0
    assert lib.identity("r/b.jpg")["id"] == before["id"]
    lib.expect({"r/b.jpg"})


def test_row_that_comes_after_the_look_is_found(library):
    """A photo is renamed while it is decoded: its row, under the older name, is committed after the
    new name was looked up ahead and before that is due."""
    lib = library(roots=("r",), settings={"watch.settle": "1s", **ONE_WORKER})
    lib.start()
    with Stopped(lib) as stopped:
        stopped.wait_decoding()
        assert lib.counter("lookups_ahead") == 2
        lib.rename("r/a.jpg", "r/b.jpg")
        wait_for("the look at its new name", lambda: lib.counter("lookups_ahead") == 3)
    lib.settle()
    assert (lib.counter("added"), lib.counter("moved"), lib.counter("removed")) == (2, 1, 0)
    lib.expect({"r/first.jpg", "r/b.jpg"})


def test_one_photo_is_one_commit(library):
    """The time of its directory goes with the photo's row."""
    lib = library(roots=("r",))
    lib.start()
    commits = []
    for i in range(10):
        before = lib.counter("transactions")
        lib.photo(f"r/{i}.jpg")
        now = time.time()
        os.utime(lib.path("r"), (now, now + 100 + i))
        lib.settle()
        commits.append(lib.counter("transactions") - before)
        assert lib.folder("r")["last_modified_time"] == int(now + 100 + i)
        if commits[-1] == 1:  # a decoder may take too long on a busy machine
            return
    assert 1 in commits


def test_directory_time_does_not_wait_for_ever(library):
    lib = library(roots=("r",), settings=ONE_WORKER)
    lib.start()
    with Stopped(lib) as stopped:
        then = int(time.time()) + 100
        os.utime(lib.path("r"), (then, then))
        stopped.wait_decoding()
        wait_for("the time of its directory",
                 lambda: lib.folder("r")["last_modified_time"] == then)
        assert not lib.row("r/a.jpg")
    lib.settle()
    lib.expect({"r/first.jpg", "r/a.jpg"})
