"""Reading photos and videos from a file system that hangs or fails: nothing else may notice."""

import os
import time

import pytest

import media
from harness import PATIENCE, wait_for


@pytest.fixture
def remote(library, faulty):
    """Makes a library with a root on a local disk and one on a file system that breaks."""
    def make(*options, settings=None):
        lib = library(roots=("local", "remote"), settings=settings)
        return lib, faulty(lib, "backing", "remote", *options).tell

    return make


def add_local(lib, name, timeout=5.0):
    """A photo on the local disk gets its row, whatever the others do."""
    begun = time.monotonic()
    lib.photo(f"local/{name}")
    wait_for(f"a row of local/{name}", lambda: lib.row(f"local/{name}"), timeout)
    return time.monotonic() - begun


def still_answers(lib):
    begun = time.monotonic()
    lib.daemon.get("/health")
    assert time.monotonic() - begun < 1.0 * PATIENCE


def test_photos_that_hang_stop_no_others(remote):
    lib, mount = remote("--direct-io")
    remote_names = {f"remote/{i}.jpg" for i in range(20)}
    for name in remote_names:
        lib.photo(name)
    mount("hang read")
    lib.start(settle=False)
    mount("wait 1")
    names = {f"local/{i}.jpg" for i in range(30)}
    for name in sorted(names):
        lib.photo(name)
    for name in names:
        wait_for(f"a row of {name}", lambda name=name: lib.row(name), 5)
    assert lib.counter("media_timeouts") == 0
    still_answers(lib)
    mount("clear")
    lib.expect(names | remote_names)


@pytest.mark.parametrize("hang", ["hang read *.mp4", "hang flush *.mp4"])
def test_videos_that_hang_stop_no_others(remote, hang):
    lib, mount = remote("--direct-io",
                        settings={"media.workers": 2, "media.timeout": "1s"})
    videos = {f"remote/{i}.mp4" for i in range(8)}
    for name in videos:
        lib.put(name, media.video())
    mount(hang)
    lib.start(settle=False)
    mount("wait 1")
    # One worker after the other hangs in the kernel and is replaced; a worker is always left.
    local = {f"local/{i}.jpg" for i in range(10)}
    for i, name in enumerate(sorted(local)):
        add_local(lib, os.path.basename(name))
        still_answers(lib)
    wait_for("a worker that does not die", lambda: lib.counter("media_stuck") > 0, 10)
    until = time.monotonic() + 4.0  # time enough for another to hang
    while time.monotonic() < until:
        name = f"local/later{len(local)}.jpg"
        add_local(lib, os.path.basename(name))
        local.add(name)
    assert lib.counter("media_stuck") == 1, "its volume got another worker"
    mount("clear")
    lib.daemon.settle()
    lib.restart()  # tries again what came too late
    lib.expect(local | videos, problems=None)


def test_videos_that_hang_leave_a_worker(remote):
    """Long before any time-out."""
    lib, mount = remote("--direct-io", settings={"media.workers": 2})
    videos = {f"remote/{i}.mp4" for i in range(4)}
    for name in videos:
        lib.put(name, media.video())
    mount("hang read *.mp4")
    lib.start(settle=False)
    mount("wait 1")
    local = {f"local/{i}.jpg" for i in range(5)}
    for name in sorted(local):
        add_local(lib, os.path.basename(name))
    mount("clear")
    lib.expect(local | videos)


def test_hang_before_the_first_worker(remote):
    """The very first worker is started while a file of a dead mount is open."""
    lib, mount = remote("--direct-io")
    lib.put("backing/a.jpg", media.jpeg())
    mount("hang read,flush")
    lib.start(settle=False)
    mount("wait 1")
    assert add_local(lib, "b.jpg") < 5 * PATIENCE
    mount("clear")
    lib.expect({"remote/a.jpg", "local/b.jpg"})


def test_read_error_is_tried_again(remote):
    lib, mount = remote("--direct-io")
    lib.start()
    mount("fail EIO read")
    lib.photo("remote/a.jpg")
    lib.settle()
    path = lib.path("remote/a.jpg")
    assert lib.daemon.problems() == {path: "Input/output error"}
    mount("clear")
    lib.restart()
    lib.expect({"remote/a.jpg"}, problems=None)


def test_photo_and_sidecar_come_from_the_copy(remote):
    lib, mount = remote()
    lib.start()
    mount("delay 50 read")
    lib.put("remote/a.jpg.json", media.sidecar(taken=1600000000).encode())
    lib.photo("remote/a.jpg")
    lib.expect({"remote/a.jpg"})
    assert "2020-09-13" in lib.row("remote/a.jpg")["captured_at"]


def test_photo_that_grows_while_it_is_copied(remote):
    lib, mount = remote("--direct-io")
    lib.start()
    mount("hang read /a.jpg times=1")
    data = media.jpeg(width=1000, height=800)
    lib.put("remote/a.jpg", data[:1000])
    mount("wait 1")
    with open(lib.path("backing/a.jpg"), "ab") as file:
        file.write(data[1000:])
    mount("clear")
    lib.expect({"remote/a.jpg"})


def test_too_large_a_photo_is_not_copied(remote):
    lib, mount = remote(settings={"media.max_file_size": "100K"})
    lib.start()
    lib.put("remote/a.jpg", media.jpeg() + bytes(200000))
    lib.expect(set(), problems={"remote/a.jpg"})
    assert "too many" in lib.daemon.problems()[lib.path("remote/a.jpg")]
    assert mount("count read") == "0"
