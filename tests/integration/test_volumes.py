"""File systems that hang, fail, go away and come back: nothing is lost, and nobody else waits."""

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import time

import pytest

import harness
from harness import scaled, wait_for


def report(capsys, text):
    with capsys.disabled():
        print(f"\n    {text}")


# ---- a volume that does not answer ----

HANGS = {
    "readdir": "hang readdir",
    "lstat": "hang getattr",
    "open": "hang open",
    "opendir": "hang opendir",
    "all": "hang all",
}


@pytest.mark.parametrize("what", HANGS)
def test_hung_volume_stalls_only_itself(library, faulty, capsys, what):
    """One of three roots hangs: the others are in step at once, probes answer, a stop is short."""
    lib = library(roots=("a", "b", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    for i in range(20):
        lib.photo(f"far/d{i % 4}/{i}.jpg")
        lib.photo(f"a/{i}.jpg")
    lib.start()
    before = {row["path"]: row["id"] for row in lib.rows("images")}
    assert len(before) == 40

    sick.tell(HANGS[what])
    lib.put("backing/d0/new.jpg", harness.media.jpeg())
    lib.daemon.request("POST", "/watcher/rescan")
    sick.tell("wait 1")
    lib.daemon.wait_line("does not answer", timeout=20)
    worst = 0.0
    for i in range(10):
        began = time.monotonic()
        lib.photo(f"a/n{i}.jpg")
        lib.photo(f"b/in{i}/n.jpg")
        lib.unlink(f"a/{i}.jpg")
        lib.settle()
        worst = max(worst, time.monotonic() - began)
        assert lib.row(f"a/n{i}.jpg") and lib.row(f"b/in{i}/n.jpg")
        assert not lib.row(f"a/{i}.jpg"), "a removal waited for the hung volume"
        status, _ = lib.daemon.get("/health", timeout=2)
        assert status == 200
    stall = lib.counter("loop_stall_max_us")
    report(capsys, f"{what} hangs: the others in step after {worst * 1000:.0f} ms at the most, "
                   f"longest stall of the loop {stall / 1000:.1f} ms")
    assert worst < 2.5 * harness.PATIENCE, "a removal was held until that takes too long"
    with lib.connect() as db:
        kept = db.execute("SELECT count(*) FROM images WHERE path LIKE ?",
                          (lib.path("far") + "/%",)).fetchone()[0]
    assert kept == 20, "rows of the hung volume went"

    sick.tell("clear")
    lib.daemon.wait_line("answers again", timeout=20)
    lib.daemon.request("POST", "/watcher/rescan")
    names = ([f"far/d{i % 4}/{i}.jpg" for i in range(20)] + ["far/d0/new.jpg"]
             + [f"a/{i}.jpg" for i in range(10, 20)] + [f"a/n{i}.jpg" for i in range(10)]
             + [f"b/in{i}/n.jpg" for i in range(10)])
    lib.expect(names)
    after = {row["path"]: row["id"] for row in lib.rows("images")}
    assert all(after[p] == i for p, i in before.items() if p in after)


@pytest.mark.parametrize("what", ["readdir", "lstat", "open"])
def test_start_while_a_volume_hangs(library, faulty, what):
    """Ready without it, and all of it in step when it answers."""
    lib = library(roots=("a", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    names = [f"far/d/{i}.jpg" for i in range(5)] + ["a/x.jpg"]
    for name in names:
        lib.photo(name)
    sick.tell(HANGS[what])
    lib.start(settle=False)
    lib.daemon.wait_line("^notice: ready", timeout=20)
    wait_for("the other root is in step", lambda: lib.row("a/x.jpg"))
    lib.daemon.wait_line("does not answer", timeout=20)
    sick.tell("clear")
    lib.daemon.wait_line("answers again", timeout=20)
    lib.expect(names)


@pytest.mark.parametrize("what", HANGS)
def test_start_while_a_mount_below_a_root_hangs(library, faulty, what):
    """Ready without it, and what is beside it in step; all of it when it answers."""
    lib = library(roots=("a",), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "a/far")
    names = [f"a/far/d/{i}.jpg" for i in range(5)] + ["a/x.jpg", "a/near/y.jpg", "a/z/z.jpg"]
    for name in names:
        lib.photo(name)
    sick.tell(HANGS[what])
    lib.start(settle=False)
    lib.daemon.wait_line("^notice: ready", timeout=20)
    lib.daemon.wait_line("does not answer", timeout=20)
    wait_for("the rest is in step", lambda: all(lib.row(name) for name in names[5:]))
    lib.photo("a/near/new.jpg")
    lib.settle()
    assert lib.row("a/near/new.jpg")
    sick.tell("clear")
    lib.daemon.wait_line("answers again", timeout=20)
    lib.expect(names + ["a/near/new.jpg"])


def test_stop_while_a_volume_hangs(library, faulty):
    """The process cannot end before the kernel lets its thread go, but it lets go of all it has: a
    new one starts at once."""
    lib = library(roots=("a", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    lib.photo("a/x.jpg")
    lib.photo("far/y.jpg")
    lib.start()
    sick.tell("hang all")
    lib.daemon.request("POST", "/watcher/rescan")
    sick.tell("wait 1")
    old, lib.daemon = lib.daemon, None
    began = time.monotonic()
    old.process.send_signal(harness.signal.SIGTERM)
    old.wait_line("^notice: stopped", timeout=10)
    assert time.monotonic() - began < 5 * harness.PATIENCE
    lib.start(settle=False)
    lib.photo("a/z.jpg")
    wait_for("the new one works", lambda: lib.row("a/z.jpg"))
    sick.tell("clear")
    assert old.wait() == 0
    lib.expect({"a/x.jpg", "a/z.jpg", "far/y.jpg"})


@pytest.mark.parametrize("end", ["answer", "stop"])
def test_many_roots_on_a_hung_volume(library, faulty, end):
    """All of their scans hang. What was put off elsewhere goes on, and so do removals."""
    lib = library(roots=("a",), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    names = {f"far/r{i}/x.jpg" for i in range(6)}
    for name in names:
        lib.photo(name)
        lib.roots.append(os.path.dirname(name))
        lib.register(lib.roots[-1])
    lib.photo("a/x.jpg")
    lib.photo("a/d/x.jpg")
    lib.start()
    sick.tell("hang all")
    lib.daemon.request("POST", "/watcher/rescan")
    lib.daemon.wait_line("does not answer", timeout=20)
    os.kill(lib.daemon.process.pid, harness.signal.SIGSTOP)
    for i in range(1200):  # more than are scanned at a time: the rest is put off
        os.mkdir(lib.path(f"a/{i}"))
    lib.photo("a/1199/y.jpg")
    os.kill(lib.daemon.process.pid, harness.signal.SIGCONT)
    lib.rmtree("a/d")
    lib.unlink("a/x.jpg")
    if end == "stop":  # in the midst of it
        old, lib.daemon = lib.daemon, None
        old.process.send_signal(harness.signal.SIGTERM)
        old.wait_line("^notice: stopped", timeout=20)
        sick.tell("clear")
        assert old.wait() == 0
        return
    lib.daemon.settle(20)
    assert not lib.row("a/x.jpg") and not lib.row("a/d/x.jpg")
    sick.tell("clear")
    lib.daemon.wait_line("answers again", timeout=20)
    lib.expect(names | {"a/1199/y.jpg"})


def test_hung_mount_is_replaced(library, faulty):
    """The old server never answers; the one that is mounted in its place is not kept waiting."""
    lib = library(roots=("a", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    lib.photo("far/x.jpg")
    lib.start()
    sick.tell("hang all")
    lib.daemon.request("POST", "/watcher/rescan")
    lib.daemon.wait_line("does not answer", timeout=20)
    subprocess.run(["umount", "-l", lib.path("far")], check=True)
    faulty(lib, "backing", "far")
    lib.put("backing/new.jpg", harness.media.jpeg())
    wait_for("the new one is looked at", lambda: lib.row("far/new.jpg"), 10)
    sick.tell("clear")
    lib.expect({"far/x.jpg", "far/new.jpg"})


def test_volume_that_hung_without_a_scan_is_polled_again(library, faulty):
    """Closing a file hung, which is no scan's business."""
    lib = library(roots=("far",),
                  settings={"watch.hung_after": "300ms", "watch.poll_interval": "3s"})
    sick = faulty(lib, "backing", "far")
    lib.photo("far/x.jpg")
    lib.start()
    sick.tell("hang flush")
    lib.put("backing/new.jpg", harness.media.jpeg())
    lib.daemon.wait_line("does not answer", timeout=20)
    polls = lib.counter("polls")
    wait_for("a poll is due meanwhile", lambda: lib.counter("polls") > polls, 10)
    sick.tell("clear")
    lib.daemon.wait_line("answers again", timeout=20)
    lib.put("backing/later.jpg", harness.media.jpeg())
    wait_for("what came by another machine", lambda: lib.row("far/later.jpg"), 10)


# ---- a volume that fails ----

@pytest.mark.parametrize("operations", ["readdir", "getattr", "opendir", "open", "read", "all"])
def test_io_errors_delete_nothing(library, faulty, operations):
    lib = library(roots=("far",), settings={"watch.poll_interval": "200ms"})
    sick = faulty(lib, "backing", "far")
    names = [f"far/d{i % 5}/{i}.jpg" for i in range(200)]
    for name in names:
        lib.photo(name)
    lib.start()
    before = {name: lib.row(name)["id"] for name in names}
    decoded = lib.counter("photos_decoded")
    sick.tell(f"fail EIO {operations} after=7")
    for _ in range(3):
        lib.daemon.request("POST", "/watcher/rescan")
        lib.settle()
        assert {name: lib.row(name)["id"] for name in names} == before, "rows went"
    sick.tell("clear")
    lib.daemon.request("POST", "/watcher/rescan")
    lib.expect(names)
    assert {name: lib.row(name)["id"] for name in names} == before
    assert lib.counter("photos_decoded") == decoded


# ---- volumes that go away and come back, at any moment of an import ----

class Drive:
    """A file system of its own (tmpfs kept alive elsewhere) that comes and goes at a place."""

    def __init__(self, lib, at):
        self.lib = lib
        self.at = at
        self.alive = lib.mkdir("alive")
        lib.mount("-t", "tmpfs", "x", at="alive")
        lib.mkdir(at)
        self.plug()

    def plug(self):
        self.lib.mount("--bind", self.alive, at=self.at)

    def pull(self):
        # As a drive that is pulled: whoever has files open does not hinder it.
        subprocess.run(["umount", "-l", self.lib.path(self.at)], check=True)
        self.lib.mounts.remove(self.at)


def _empty(drive):
    drive.pull()


def _other(drive):
    drive.pull()
    drive.lib.mount("-t", "tmpfs", "other", at=drive.at)
    drive.lib.photo(drive.at + "/stranger.jpg")


def _end_other(drive):
    with contextlib.suppress(ValueError):
        subprocess.run(["umount", "-l", drive.lib.path(drive.at)], check=True)
        drive.lib.mounts.remove(drive.at)


def _covered(drive):
    drive.lib.mount("-t", "tmpfs", "cover", at=drive.at)


def told_offline(lib):
    return [line for line in lib.daemon.lines if "is offline" in line and lib.path("mnt") in line]


def test_offline_whole_story(own_mounts, library):
    """Pulled while it is watched, away over a kill and restarts, another one in its place, changed
    elsewhere, plugged in while nobody looks: what is on it is what it was, and what was changed is
    found as such."""
    lib = library(roots=("mnt", "r"))
    drive = Drive(lib, "mnt")
    names = {f"mnt/trip/{i}.jpg" for i in range(5)} | {"mnt/a.jpg", "mnt/b.jpg", "r/home.jpg"}
    for name in names:
        lib.photo(name)
    lib.start()
    lib.expect(names)
    kept = {name: lib.decorate(name) for name in names}
    trip = lib.folder("mnt/trip")["folder_id"]
    made = set(os.listdir(lib.thumbnails))

    def stays():
        lib.daemon.request("POST", "/watcher/rescan")
        lib.settle()
        assert {name: lib.identity(name) for name in names} == kept
        assert set(os.listdir(lib.thumbnails)) >= made
        assert len(told_offline(lib)) == 1, told_offline(lib)
        assert "offline" in lib.run("check").stdout

    drive.pull()
    stays()
    lib.kill()
    lib.start()
    stays()
    with lib.connect() as db:  # the user goes on using the app meanwhile
        db.execute("UPDATE images SET isFavourite = 0 WHERE path = ?", (lib.path("mnt/a.jpg"),))
    kept["mnt/a.jpg"] = lib.identity("mnt/a.jpg")
    lib.restart()
    stays()
    lib.stop()
    _other_without_photos(drive)
    lib.start()
    stays()
    lib.stop()
    _end_other(drive)
    os.rename(os.path.join(drive.alive, "trip"), os.path.join(drive.alive, "Rome"))
    os.unlink(os.path.join(drive.alive, "b.jpg"))
    lib.put("alive/new.jpg", harness.media.jpeg())
    drive.plug()
    lib.start()
    moved = {name: name.replace("/trip/", "/Rome/") for name in names if name != "mnt/b.jpg"}
    lib.expect({*moved.values(), "mnt/new.jpg"})
    assert {old: lib.identity(new) for old, new in moved.items()} == {
        old: kept[old] for old in moved}
    assert lib.folder("mnt/Rome")["folder_id"] == trip
    assert lib.counter("photos_decoded") == 1 and not told_offline(lib)
    lib.expect_idempotent()
    lib.stop()
    for at in list(reversed(lib.mounts)):
        lib.umount(at)


def _other_without_photos(drive):
    drive.lib.mount("-t", "tmpfs", "other", at=drive.at)
    drive.lib.put(drive.at + "/readme.txt", b"another drive")


@pytest.mark.parametrize("where", ["root", "inside"])
@pytest.mark.parametrize("how", ["empty mount point", "another file system", "mounted over"])
def test_volume_away_at_random_moments_of_an_import(own_mounts, library, capsys,
                                                    how, where):
    """Not one row deleted, ids kept, nothing decoded twice, all in step at the end."""
    seed = int(os.environ.get("PICTOPY_TEST_SEED") or random.randrange(10**6))
    dice = random.Random(seed)
    lib = library(roots=("mnt",) if where == "root" else ("r",))
    at = "mnt" if where == "root" else "r/in/drive"
    drive = Drive(lib, at)
    count = scaled(400, 60)
    names = [name for i in range(8)
             for name in lib.photos(f"{at}/d{i}", count // 8, width=400, height=300)]
    if where == "inside":
        names.append("r/home.jpg")
        lib.photo("r/home.jpg")
    lib.start(settle=False)
    ids = {}
    for _ in range(scaled(20, 4)):
        part = dice.randint(1, max(1, count // 20))
        wanted = min(len(ids) + part, len(names))
        wait_for("some photos more", lambda: len(lib.rows("images")) >= wanted, timeout=60)
        if how == "mounted over":
            _covered(drive)
        elif how == "another file system":
            _other(drive)
        else:
            _empty(drive)
        lib.settle()
        rows = {row["path"]: row["id"] for row in lib.rows("images")
                if not row["path"].endswith("stranger.jpg")}
        lost = [p for p, i in ids.items() if rows.get(p) != i]
        assert not lost, f"seed {seed}: {len(lost)} rows went: {lost[:3]}"
        ids = rows
        if how != "empty mount point":
            _end_other(drive)
        if how != "mounted over":
            drive.plug()
        lib.settle()
    report(capsys, f"seed {seed}, {how}, {where}: {len(ids)} rows at the end")
    lib.expect(names)
    rows = {row["path"]: row["id"] for row in lib.rows("images")}
    assert all(rows[p] == i for p, i in ids.items())
    extra = lib.counter("photos_decoded") - len(names)
    # A photo that was in a worker's hands when its drive went is read again.
    strangers = scaled(20, 4) if how == "another file system" else 0
    assert len(names) <= lib.counter("thumbnails_written") <= len(names) + strangers
    assert lib.counter("thumbnails_written") - lib.counter("thumbnails_removed") == len(names)
    report(capsys, f"read again: {extra}")


@pytest.mark.parametrize("at", ["mnt", "r/in/drive"])
def test_unmounted_and_mounted_again_at_once(own_mounts, library, at):
    """It comes back with the same numbers: mount, device. What was opened in between is not it."""
    lib = library(roots=(at.split("/")[0],))
    image = lib.path("image")
    try:
        subprocess.run(["truncate", "-s", "4M", image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
        lib.mkdir(at)
        lib.mount("-o", "loop", image, at=at)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no ext4 of its own: {error}")
    lib.start()
    for i in range(12):
        # Not busy for long: the daemon may be listing it.
        wait_for("it is not busy", lambda: not subprocess.run(
            ["umount", lib.path(at)], stderr=subprocess.DEVNULL, check=False).returncode)
        subprocess.run(["mount", "-o", "loop", image, lib.path(at)], check=True)
        lib.settle()
        lib.photo(f"{at}/{i}.jpg")
        lib.settle()
        assert lib.row(f"{at}/{i}.jpg"), f"not watched after {i + 1} times"
        lib.unlink(f"{at}/{i}.jpg")  # without rows an empty mount point looks right
        lib.settle()
    lib.expect([])


@pytest.mark.parametrize("operations", ["readdir", "getattr", "open", "read", "all"])
def test_io_errors_at_random_moments_of_an_import(library, faulty, capsys, operations):
    """Not one row deleted, ids kept, no thumbnail made twice, all in step when the errors end."""
    seed = int(os.environ.get("PICTOPY_TEST_SEED") or random.randrange(10**6))
    dice = random.Random(seed)
    lib = library(roots=("far",), settings={"watch.poll_interval": "200ms"})
    sick = faulty(lib, "backing", "far")
    count = scaled(200, 40)
    names = [name for i in range(5)
             for name in lib.photos(f"far/d{i}", count // 5, width=400, height=300)]
    lib.start(settle=False)
    ids = {}
    for _ in range(scaled(20, 4)):
        wanted = min(len(ids) + dice.randint(1, max(1, count // 15)), len(names))
        wait_for("some photos more", lambda: len(lib.rows("images")) >= wanted, timeout=60)
        sick.tell(f"fail EIO {operations} after={dice.randint(0, 9)}")
        lib.daemon.request("POST", "/watcher/rescan")
        lib.settle()
        rows = {row["path"]: row["id"] for row in lib.rows("images")}
        lost = [p for p, i in ids.items() if rows.get(p) != i]
        assert not lost, f"seed {seed}: {len(lost)} rows went: {lost[:3]}"
        ids = rows
        sick.tell("clear")
        lib.daemon.request("POST", "/watcher/rescan")
        lib.settle()
    report(capsys, f"seed {seed}, {operations}: {len(ids)} rows at the end")
    lib.expect(names)
    rows = {row["path"]: row["id"] for row in lib.rows("images")}
    assert all(rows[p] == i for p, i in ids.items())
    assert lib.counter("thumbnails_written") == len(names)


def test_original_of_a_copy_on_a_volume_that_hangs_goes(library, faulty):
    """Its id moves to the copy; nobody waits to see whether that is there still."""
    lib = library(roots=("near", "far"), settings={"watch.hung_after": "60s"})
    sick = faulty(lib, "backing", "far")
    lib.photo("near/a.jpg")
    lib.start()
    before = lib.decorate("near/a.jpg")
    shutil.copy2(lib.path("near/a.jpg"), lib.path("far/a.jpg"))
    lib.settle()
    sick.tell("hang getattr /a.jpg")
    lib.unlink("near/a.jpg")
    wait_for("its row has gone", lambda: not lib.row("near/a.jpg"))
    lib.photo("near/b.jpg")
    wait_for("all goes on", lambda: lib.row("near/b.jpg"))
    sick.tell("clear")
    lib.expect({"near/b.jpg", "far/a.jpg"})
    assert lib.identity("far/a.jpg") == before


def test_file_with_the_numbers_of_one_on_a_volume_that_hangs(library, faulty):
    """Device numbers are given anew at each start of the machine. The row that an inode leads to may
    be of another volume, which must not hold up this one."""
    lib = library(roots=("near", "two", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    lib.photo("backing/p.jpg")
    lib.start()
    before = lib.decorate("far/p.jpg")
    device = os.stat(lib.path("far")).st_dev
    lib.stop()
    sick.close()
    faulty(lib, "backing", "two")
    sick = faulty(lib, "backing", "far")
    if os.stat(lib.path("two")).st_dev != device:
        pytest.skip("the device's number has not been used again")
    sick.tell("hang getattr /p.jpg")
    lib.start(settle=False)
    wait_for("its row", lambda: lib.row("two/p.jpg"))
    lib.photo("near/b.jpg")
    wait_for("all goes on", lambda: lib.row("near/b.jpg"))
    sick.tell("clear")
    lib.expect({"near/b.jpg", "two/p.jpg", "far/p.jpg"})
    assert lib.identity("far/p.jpg") == before


def test_root_goes_while_another_hangs(library, faulty):
    """What was to be looked at in it, when a scan had come there, holds up nobody."""
    lib = library(roots=("near", "far", "other"), settings={"watch.hung_after": "300ms",
                                                            "watch.settle": "1ms"})
    sick = faulty(lib, "backing", "far")
    for i in range(scaled(2000, 300)):
        lib.mkdir(f"near/d{i:04}")
    lib.photo("far/a.jpg")
    lib.start()
    lib.stop()
    sick.tell("hang readdir")
    lib.start(settle=False)
    for i in range(200):
        lib.photo(f"near/d{i:04}/a.jpg")
    lib.rename("near", "elsewhere")
    lib.photo("other/b.jpg")
    lib.settle()
    assert lib.row("other/b.jpg")
    sick.tell("clear")
    lib.rename("elsewhere", "near")
    wait_for("all are seen again", lambda: len(lib.rows("images")) == 200 + 2)
    lib.expect({f"near/d{i:04}/a.jpg" for i in range(200)} | {"far/a.jpg", "other/b.jpg"})


def test_original_goes_whose_copy_is_on_a_mount_never_seen(library, faulty):
    """It hangs since the start: nothing is known of it but that something is mounted there."""
    lib = library(roots=("near",), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "near/nas")
    lib.photo("near/a.jpg")
    lib.start()
    before = lib.decorate("near/a.jpg")
    shutil.copy2(lib.path("near/a.jpg"), lib.path("near/nas/a.jpg"))
    lib.settle()
    lib.stop()
    sick.tell("hang all")
    lib.start(settle=False)
    lib.daemon.wait_line("does not answer")
    lib.unlink("near/a.jpg")
    wait_for("its row has gone", lambda: not lib.row("near/a.jpg"), 10)
    sick.tell("clear")
    lib.expect({"near/nas/a.jpg"})
    assert lib.identity("near/nas/a.jpg") == before


def test_late_directory_on_a_volume_that_hangs(library, faulty):
    """What is in it cannot be compared before its rows have followed, and then it hangs."""
    lib = library(roots=("near", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    for name in ("far/a/1.jpg", "near/a.jpg", "near/b.jpg"):
        lib.photo(name)
    lib.start()
    with contextlib.closing(sqlite3.connect(lib.database, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        lib.rename("far/a", "far/b")
        assert lib.daemon.get("/watcher/settle?timeout_ms=500")[0] == 504
        lib.mkdir("far/b/sub")
        wait_for("it is late", lambda: lib.counter("dirty") > 0)
        sick.tell("hang readdir")
        lib.mkdir("far/c")
        lib.daemon.wait_line("does not answer")
        db.execute("ROLLBACK")
    lib.unlink("near/a.jpg")
    lib.settle()
    assert not lib.row("near/a.jpg")
    sick.tell("clear")
    lib.expect({"far/b/1.jpg", "near/b.jpg"})


def test_photo_comes_to_a_folder_being_imported_while_a_volume_hangs(library, faulty):
    """It is left to the import, and nobody waits for it."""
    lib = library(roots=("near", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    lib.photo("near/a.jpg")
    lib.mkdir("near/sub/deep")
    lib.start()
    lib.stop()
    with lib.connect() as db:
        db.execute("UPDATE folders SET indexing_status = 'in_progress' WHERE folder_path = ?",
                   (lib.path("near/sub"),))
    sick.tell("hang all")
    lib.start(settle=False)
    lib.daemon.wait_line("does not answer")
    lib.photo("near/sub/deep/b.jpg")
    lib.settle()
    assert not lib.row("near/sub/deep/b.jpg")
    sick.tell("clear")
    with lib.connect() as db:
        db.execute("UPDATE folders SET indexing_status = 'completed'")
    wait_for("it is seen", lambda: lib.row("near/sub/deep/b.jpg"))
    lib.expect({"near/a.jpg", "near/sub/deep/b.jpg"})
