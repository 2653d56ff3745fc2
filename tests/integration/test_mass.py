"""Many files: none missing, none twice, no work done that need not be.

Sizes shrink with PICTOPY_TEST_SCALE. Times are printed (pytest -s), never judged.
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time

import pytest

import harness
import media
from harness import scaled, write


def report(capsys, text):
    with capsys.disabled():
        print(f"\n    {text}")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree to copy: 3,000 directories with 10 tiny photos each, three levels deep."""
    top = str(tmp_path_factory.mktemp("tree") / "tree")
    names = set()
    for i in range(scaled(3000, 30)):
        directory = f"y{i % 10}/m{i // 10 % 12}/d{i}"
        os.makedirs(f"{top}/{directory}")
        for k in range(10):
            write(f"{top}/{directory}/{k}.jpg", media.jpeg())
            names.add(f"{directory}/{k}.jpg")
    yield top, names
    shutil.rmtree(top)


@pytest.mark.threads
def test_copy_of_a_tree_with_a_rename_at_its_end(library, tree, capsys):
    """`cp -a`, and one of the copied directories renamed the moment that the copy ends."""
    top, inside = tree
    lib = library(roots=("r",))
    lib.start()
    began = time.monotonic()
    subprocess.run(f'cp -a "{top}" tree && mv tree/y3 renamed', shell=True, check=True,
                   cwd=lib.path("r"))
    copied = time.monotonic()
    lib.daemon.settle(timeout=900)
    report(capsys, f"{len(inside)} photos: cp {copied - began:.1f} s, in step "
                   f"{time.monotonic() - copied:.1f} s after its end")
    names = {"r/renamed" + n[2:] if n.startswith("y3/") else "r/tree/" + n for n in inside}
    lib.expect(names, sample=300)
    # A few may be read while cp has yet to set their times.
    twice = lib.counter("photos_decoded") - len(names)
    assert 0 <= twice <= len(names) // 100, f"{twice} photos were decoded twice"


READER = """
import sqlite3, sys
path, count, before, after = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
db = sqlite3.connect(path, timeout=60)
looks = 0
while True:
    seen = tuple(db.execute("SELECT (SELECT count(*) FROM images WHERE path >= ?1 || '/' AND path < "
                            "?1 || '0'), (SELECT count(*) FROM images WHERE path >= ?2 || '/' AND "
                            "path < ?2 || '0'), (SELECT count(*) FROM folders WHERE folder_path = "
                            "?1), (SELECT count(*) FROM folders WHERE folder_path = ?2)",
                            (before, after)).fetchone())
    looks += 1
    if seen == (count, 0, 1, 0):
        if looks == 1:
            print("ready", flush=True)
    elif seen == (0, count, 0, 1):
        break
    else:
        sys.exit(f"look number {looks} saw {seen}")
"""


@contextlib.contextmanager
def reader(lib, count, before, after):
    """Another process that looks at the rows of a directory until they are at its new path, and
    fails when it ever sees anything between."""
    process = subprocess.Popen([sys.executable, "-c", READER, lib.database, str(count),
                                lib.path(before), lib.path(after)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.threads
def test_start_with_many_photos_then_rename_directory(library, capsys):
    """A directory of 10,000 photos is renamed: ids kept, nothing decoded, no reader sees a part of
    it; and once more while it is stopped, in one move."""
    count = scaled(10000, 100)
    lib = library(roots=("r",))
    names = lib.photos("r/big", count)
    lib.photo("r/big.jpg")
    lib.photo("r/bigger/x.jpg")
    began = time.monotonic()
    lib.start(settle=False).settle(timeout=900)
    report(capsys, f"{count} photos imported in {time.monotonic() - began:.1f} s")
    others = ["r/big.jpg", "r/bigger/x.jpg"]
    lib.expect(names + others, sample=200)
    kept = lib.decorate(names[7])
    ids = {os.path.basename(row["path"]): row["id"] for row in lib.rows("images")}
    decoded = lib.counter("photos_decoded")

    with reader(lib, count, "r/big", "r/renamed") as process:
        began = time.monotonic()
        lib.rename("r/big", "r/renamed")
        _, error = process.communicate(timeout=120 * harness.PATIENCE)
        right = time.monotonic() - began
        assert process.returncode == 0, error
    report(capsys, f"rename of {count} photos: rows right after {right:.3f} s, longest "
                   f"transaction {lib.counter('lock_us_max') / 1000:.0f} ms")
    names = ["r/renamed" + n[len("r/big"):] for n in names]
    lib.expect(names + others, sample=200)
    assert lib.counter("photos_decoded") == decoded, "a rename decoded photos"
    assert {os.path.basename(r["path"]): r["id"] for r in lib.rows("images")} == ids
    assert lib.identity(names[7]) == kept

    lib.stop()
    lib.rename("r/renamed", "r/bigger/again")
    lib.start()
    names = ["r/bigger/again" + n[len("r/renamed"):] for n in names]
    lib.expect(names + others, sample=200)
    assert lib.counter("photos_decoded") == 0, "a rename while stopped decoded photos"
    assert (lib.counter("folders_moved"), lib.counter("moved")) == (1, 0)
    assert {os.path.basename(r["path"]): r["id"] for r in lib.rows("images")} == ids
    assert lib.identity(names[7]) == kept


def test_many_directories_renamed_at_once(library, capsys):
    """Each keeps its row, and its photo's; they go together, in few transactions."""
    lib = library(roots=("r",))
    count = scaled(3000, 60)
    for i in range(count):
        os.makedirs(lib.path(f"r/in/d{i}"))
        write(lib.path(f"r/in/d{i}/p.jpg"), media.jpeg())
    lib.start()
    lib.daemon.settle(timeout=900)
    os.makedirs(lib.path("r/out"))
    lib.daemon.settle()
    photos = {row["path"]: row["id"] for row in lib.rows("images")}
    folders = {row["folder_path"]: row["folder_id"] for row in lib.rows("folders", "folder_path")}
    decoded, committed = lib.counter("photos_decoded"), lib.counter("transactions")
    began = time.monotonic()
    for i in range(count):
        os.rename(lib.path(f"r/in/d{i}"), lib.path(f"r/out/d{i}"))
    lib.daemon.settle(timeout=900)
    took = time.monotonic() - began
    committed = lib.counter("transactions") - committed
    report(capsys, f"{count} directories renamed: in step after {took:.1f} s, "
                   f"{committed} transactions")
    assert lib.counter("photos_decoded") == decoded
    assert len(photos) == count
    assert {row["path"]: row["id"] for row in lib.rows("images")} == {
        path.replace("/r/in/", "/r/out/"): key for path, key in photos.items()}
    assert {r["folder_path"]: r["folder_id"] for r in lib.rows("folders", "folder_path")} == {
        path.replace("/r/in/", "/r/out/"): key for path, key in folders.items()}
    assert committed < count // 2


def test_one_photo_more_in_a_folder_of_1000(library):
    """One decode, one row, one thumbnail."""
    lib = library(roots=("r",))
    names = lib.photos("r/many", scaled(1000, 50))
    lib.start()
    lib.expect(names, sample=50)
    decoded = lib.counter("photos_decoded")
    made = lib.counter("thumbnails_written")
    removed = lib.counter("thumbnails_removed")
    before = set(os.listdir(lib.thumbnails))
    rows = {row["path"]: row for row in lib.rows("images")}
    lib.photo("r/many/new.jpg")
    lib.expect(names + ["r/many/new.jpg"], sample=50)
    assert lib.counter("photos_decoded") == decoded + 1
    assert lib.counter("thumbnails_written") == made + 1
    assert lib.counter("thumbnails_removed") == removed
    assert len(set(os.listdir(lib.thumbnails)) - before) == 1
    after = {row["path"]: row for row in lib.rows("images")}
    assert {p: r for p, r in after.items() if p in rows} == rows, "other rows were touched"


def test_burst_larger_than_the_kernels_queue(library, capsys):
    """More events than fs.inotify.max_queued_events while the daemon cannot read: it overflows."""
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        limit = int(file.read())
    if limit > 65536:
        pytest.skip(f"the queue holds {limit} events")
    lib = library(roots=("r",))
    names = lib.photos("r/kept", 50)
    lib.start()
    kept = lib.decorate(names[0])
    lib.daemon.process.send_signal(harness.signal.SIGSTOP)
    try:
        # Each write of a distinct file is two events; identical ones in a row are merged.
        path = lib.mkdir("r/burst")
        lib.rename("r/kept", "r/kept2")
        for i in range(limit):
            with open(f"{lib.path('r')}/t{i % 2}.txt", "wb"):
                pass
        names += lib.photos("r/burst", 40)
        assert path
        lib.rename("r/kept2", "r/kept3")
    finally:
        lib.daemon.process.send_signal(harness.signal.SIGCONT)
    names = ["r/kept3" + n[len("r/kept"):] if n.startswith("r/kept/") else n for n in names]
    lib.expect(names)
    assert lib.identity(names[0]) == kept
    assert lib.counter("photos_decoded") == len(names)
    report(capsys, f"overflows: {lib.counter('overflows')}")
    assert lib.counter("overflows") >= 1


def test_killed_50_times_during_an_import(library, capsys):
    """kill -9 at random moments: no photo missing or doubled, no thumbnail without a row."""
    seed = int(os.environ.get("PICTOPY_TEST_SEED") or random.randrange(10**6))
    kills, count = scaled(50, 10), scaled(2000, 400)
    dice = random.Random(seed)
    lib = library(roots=("r",))
    names = [name for i in range(10)
             for name in lib.photos(f"r/d{i}", count // 10, width=800, height=600)]
    during = []
    for _ in range(kills):
        lib.daemon = lib.spawn()
        if dice.random() < 0.3:  # while it starts, before anything is imported
            moment = dice.random() * 0.1 * harness.PATIENCE
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = lib.daemon.process.wait(moment)
                raise AssertionError(f"it ended by itself, status {code}")
        elif not during or during[-1] < count:  # in the middle of a batch
            left = count - (during[-1] if during else 0)
            photos = dice.randint(1, max(1, min(left, 2 * count // kills)))
            lib.daemon.wait_lines(r" added /.*\.jpg", photos)
        lib.kill()
        during.append(rows(lib))
    seen = during[-1]
    during = sum(1 for n in during if 0 < n < count)
    report(capsys, f"seed {seed}: {kills} kills, {during} of them in the middle of the "
                   f"import, {seen} of {count} rows after the last")
    assert during > 0
    lib.start()
    lib.expect(names, sample=400)
    lib.expect_idempotent()


def rows(lib):
    with lib.connect() as db:
        return db.execute("SELECT count(*) FROM images").fetchone()[0]
