"""Watching at its limits: a full queue, too few watches, too much at once, two paths to one place."""

import os

import pytest

import harness
import media
from harness import scaled, wait_for
from limits import FewWatches, queue_limit


def report(capsys, text):
    with capsys.disabled():
        print(f"\n    {text}")


# ---- a full queue ----

@pytest.mark.parametrize("stopped", [True, False], ids=["all at once", "while it reads"])
def test_overflow(library, capsys, stopped):
    """200,000 events into a short queue: the rows are right afterwards, and it is said once."""
    lib = library(roots=("r", "s"))
    names = lib.photos("r/kept", 40) + lib.photos("s/other", 10)
    with queue_limit(256):
        lib.start(settle=False)
    lib.settle()
    before = {name: lib.row(name)["id"] for name in names}
    top = lib.path("r")
    if stopped:
        lib.daemon.process.send_signal(harness.signal.SIGSTOP)
    try:
        lib.rename("r/kept", "r/moved")
        lib.mkdir("r/new/deep")
        # An event each; equal ones in a row would be merged into one.
        for i in range(scaled(200000, 5000)):
            os.close(os.open(f"{top}/t{i % 3}.txt", os.O_WRONLY | os.O_CREAT, 0o600))
            if i % 20000 == 100:
                lib.rename(f"r/moved/p{i // 20000:05}.jpg", f"s/other/m{i // 20000}.jpg")
                lib.photo(f"r/new/deep/n{i}.jpg")
                lib.unlink(f"r/moved/p{30 + i // 20000:05}.jpg")
    finally:
        lib.daemon.process.send_signal(harness.signal.SIGCONT)
    bursts = len([i for i in range(scaled(200000, 5000)) if i % 20000 == 100])
    moved = {f"r/kept/p{i:05}.jpg": f"s/other/m{i}.jpg" for i in range(bursts)}
    gone = {f"r/kept/p{30 + i:05}.jpg" for i in range(bursts)}
    for name in names:
        if name.startswith("r/") and name not in gone:
            moved.setdefault(name, "r/moved" + name[len("r/kept"):])
    kept = {moved.get(name, name): before[name] for name in names if name not in gone}
    new = [f"r/new/deep/n{20000 * i + 100}.jpg" for i in range(bursts)]
    lib.expect(list(kept) + new)
    assert {name: lib.row(name)["id"] for name in kept} == kept, "an id changed"
    overflows = lib.counter("overflows")
    warnings = [line for line in lib.daemon.lines if "max_queued_events" in line]
    report(capsys, f"overflows: {overflows}, warnings: {len(warnings)}")
    assert overflows >= 1 or not stopped
    assert len(warnings) == (1 if overflows else 0)
    # One that a scan finds while it is being written is read twice.
    again = lib.counter("photos_decoded") - len(names) - len(new)
    assert 0 <= again <= (0 if stopped else len(new))


# ---- too few watches ----

def tree_of(lib, directories):
    names = []
    for i in range(directories):
        name = f"r/y{i % 10}/d{i}/a.jpg"
        lib.put(name, media.jpeg())
        names.append(name)
    return names


def test_half_of_the_watches(library, capsys):
    """All rows are right within a poll interval; with a higher limit all is watched again."""
    count = scaled(400, 60)
    lib = library(roots=("r",), settings={"watch.poll_interval": "500ms"})
    names = tree_of(lib, count)
    needed = count + 11
    few = FewWatches(lib, needed // 2)
    lib.start()
    lib.expect(names)
    assert lib.counter("watches") <= needed // 2
    message = [line for line in lib.daemon.lines if "limit of watches" in line]
    assert len(message) == 1, message
    assert "sysctl fs.inotify.max_user_watches=" in message[0]
    assert f" of {needed // 2} " in message[0], message

    # Everywhere, so in many that are not watched.
    for i in range(count):
        lib.put(f"r/y{i % 10}/d{i}/b.jpg", media.jpeg())
        lib.unlink(f"r/y{i % 10}/d{i}/a.jpg")
    lib.put("r/y3/brand/new/c.jpg", media.jpeg())
    names = [f"r/y{i % 10}/d{i}/b.jpg" for i in range(count)] + ["r/y3/brand/new/c.jpg"]
    wanted = {lib.path(name) for name in names}
    wait_for("the rows follow", lambda: {r["path"] for r in lib.rows("images")} == wanted,
             timeout=20)
    lib.expect(names)

    few.set(needed * 4)
    lib.daemon.wait_line("all directories are watched again", timeout=20)
    assert lib.counter("watches") == needed + 2
    assert lib.counter("polled") == 0
    for i in range(count):
        lib.rename(f"r/y{i % 10}/d{i}/b.jpg", f"r/y{i % 10}/d{i}/c.jpg")
    lib.expect([n.replace("/b.jpg", "/c.jpg") for n in names])
    assert len([line for line in lib.daemon.lines if "limit of watches" in line]) == 1
    report(capsys, f"{needed} directories, {needed // 2} watches: polled "
                   f"{lib.counter('polls')} times")


def test_share_of_the_limit(library):
    """Some watches are left to other programs."""
    lib = library(roots=("r",), settings={"watch.poll_interval": "300ms",
                                          "watch.limit_share": "25"})
    names = tree_of(lib, 60)
    FewWatches(lib, 100)
    lib.start()
    lib.expect(names)
    assert lib.counter("watches") == 25
    lib.put("r/y9/d59/late.jpg", media.jpeg())
    wait_for("a poll finds it", lambda: lib.row("r/y9/d59/late.jpg"))
    lib.expect(names + ["r/y9/d59/late.jpg"])
    assert lib.counter("watches") == 25


def test_moved_directory_without_a_watch(library):
    """Without a watch a rename is no event; files are known by their inodes."""
    lib = library(roots=("r",), settings={"watch.poll_interval": "300ms"})
    names = tree_of(lib, 40)
    FewWatches(lib, 20)
    lib.start()
    lib.expect(names)
    before = {name: lib.decorate(name) for name in names}
    lib.rename("r/y7", "r/y7-renamed")
    moved = {n: n.replace("r/y7/", "r/y7-renamed/") for n in names}
    wait_for("a poll finds it", lambda: all(lib.row(n) for n in moved.values()), timeout=20)
    lib.expect(moved.values())
    assert {n: lib.identity(moved[n]) for n in names} == before


def test_unreadable_directory_is_polled_and_recovers(library):
    lib = library(roots=("r",), unprivileged=True, settings={"watch.poll_interval": "300ms"})
    if lib.user is None:
        pytest.skip("needs root, to give the daemon another user")
    lib.photo("r/a.jpg")
    lib.photo("r/in/b.jpg")
    lib.give_away()
    lib.start()
    before = lib.row("r/in/b.jpg")["id"]
    os.chmod(lib.path("r/in"), 0)
    lib.daemon.request("POST", "/watcher/rescan")
    wait_for("it is a problem", lambda: lib.path("r/in") in lib.daemon.problems())
    assert lib.row("r/in/b.jpg")["id"] == before
    os.chmod(lib.path("r/in"), 0o755)
    wait_for("it is none any more", lambda: not lib.daemon.problems())
    lib.expect({"r/a.jpg", "r/in/b.jpg"})
    assert lib.row("r/in/b.jpg")["id"] == before


# ---- too much at once ----

def test_more_changes_than_are_kept(library, capsys):
    """60,000 new photos: what is pending stays bounded, none is lost."""
    lib = library(roots=("r",), settings={"thumbnails.size": "16"})
    lib.start()
    count = scaled(60000, 3000)
    data = media.jpeg()
    for i in range(count):
        if i % 1000 == 0:
            directory = lib.mkdir(f"r/d{i // 1000}")
        harness.write(f"{directory}/{i}.jpg", data)
    lib.daemon.settle(timeout=900)
    with lib.connect() as db:
        assert db.execute("SELECT count(*), count(DISTINCT path) FROM images").fetchone()[:] == (
            count, count)
    stall = lib.counter("loop_stall_max_us")
    report(capsys, f"{count} photos: folded {lib.counter('folds')} times, longest stall "
                   f"{stall / 1000:.1f} ms")
    assert lib.counter("photos_decoded") == count


# ---- two paths to one place ----

def test_bind_mount_below_a_root(own_mounts, library):
    """Both paths have rows, as PictoPy would make them; the kernel speaks of one of them only."""
    lib = library(roots=("r",), settings={"watch.poll_interval": "300ms"})
    lib.photo("r/one/a.jpg")
    lib.photo("r/one/in/b.jpg")
    lib.mkdir("r/two")
    lib.mount("--bind", lib.path("r/one"), at="r/two")
    lib.start()
    names = {"r/one/a.jpg", "r/one/in/b.jpg", "r/two/a.jpg", "r/two/in/b.jpg"}
    lib.expect(names)
    ids = {name: lib.row(name)["id"] for name in names}
    lib.photo("r/one/c.jpg")
    lib.unlink("r/two/in/b.jpg")
    names = {"r/one/a.jpg", "r/two/a.jpg", "r/one/c.jpg", "r/two/c.jpg"}
    wanted = {lib.path(name) for name in names}
    wait_for("both follow", lambda: {r["path"] for r in lib.rows("images")} == wanted)
    lib.expect(names)
    assert lib.row("r/one/a.jpg")["id"] == ids["r/one/a.jpg"]
    assert lib.row("r/two/a.jpg")["id"] == ids["r/two/a.jpg"]
    lib.umount("r/two")
    lib.settle()
    assert lib.row("r/two/a.jpg")["id"] == ids["r/two/a.jpg"], "an unmount removed rows"


def test_directory_bound_into_itself(own_mounts, library):
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.mkdir("r/in/self")
    lib.mount("--bind", lib.path("r"), at="r/in/self")
    lib.not_indexed.add("r/in/self")
    lib.start()
    lib.settle()
    assert [r["path"] for r in lib.rows("images")] == [lib.path("r/a.jpg")]
    lib.photo("r/b.jpg")
    lib.settle()
    assert len(lib.rows("images")) == 2


def test_root_by_a_symbolic_link_into_another_root(library):
    lib = library(roots=("r",), settings={"watch.poll_interval": "300ms"})
    lib.photo("r/in/a.jpg")
    os.symlink(lib.path("r/in"), lib.path("link"))
    lib.register("link")
    lib.roots.append("link")
    lib.start()
    names = {"r/in/a.jpg", "link/a.jpg"}
    lib.expect(names)
    lib.photo("r/in/b.jpg")
    names |= {"r/in/b.jpg", "link/b.jpg"}
    wait_for("both follow", lambda: lib.row("link/b.jpg") and lib.row("r/in/b.jpg"))
    lib.expect(names)


def test_root_by_a_symbolic_link_to_a_drive(own_mounts, library):
    """Its text says nothing of the mount that it leads to."""
    lib = library(roots=())
    lib.mkdir("media/usb")
    lib.mount("-t", "tmpfs", "x", at="media/usb")
    lib.photo("media/usb/Pictures/a.jpg")
    os.symlink(lib.path("media/usb/Pictures"), lib.path("Pictures"))
    lib.register("Pictures")
    lib.roots.append("Pictures")
    lib.start()
    lib.expect({"Pictures/a.jpg"})
    before = lib.decorate("Pictures/a.jpg")
    alive = lib.mkdir("alive")
    lib.mount("--bind", lib.path("media/usb"), at="alive")
    lib.umount("media/usb")
    lib.settle()
    assert lib.identity("Pictures/a.jpg") == before
    lib.mount("--bind", alive, at="media/usb")
    lib.photo("media/usb/Pictures/b.jpg")
    lib.expect({"Pictures/a.jpg", "Pictures/b.jpg"})
    assert lib.identity("Pictures/a.jpg") == before


# ---- at rest ----

def test_idle_daemon_sleeps(own_mounts, library):
    """Nothing wakes it up: soon after the last change no thread is scheduled any more."""
    lib = library(roots=("r",))
    lib.photos("r/many", 50)
    lib.start()
    lib.settle()
    pid = lib.daemon.process.pid

    def switches():
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
                text = file.read()
            total += sum(int(line.split()[1]) for line in text.splitlines()
                         if "ctxt_switches" in line)
        return total

    rests = []

    def is_at_rest():
        rests.append(switches())
        return len(rests) > 200 and rests[-1] == rests[-200]

    wait_for("no wake-up in four seconds", is_at_rest, timeout=30)


def test_database_changed_by_others_is_noticed_at_once(library):
    """Without asking every second: its file is watched."""
    lib = library(roots=("r",))
    lib.start()
    lib.mkdir("late")
    lib.photo("late/a.jpg")
    lib.register("late")
    lib.roots.append("late")
    wait_for("it is watched", lambda: lib.row("late/a.jpg"), timeout=2)
    lib.expect({"late/a.jpg"})
