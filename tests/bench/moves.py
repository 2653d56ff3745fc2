"""A large directory gets another name: how soon are its rows right, and who is kept out meanwhile?"""

import os
import sqlite3
import subprocess
import time

from programs import BenchError
from startup import warm
from table import Table, median, milliseconds, ratio, seconds, spread

PHOTOS = 100_000
WHOLE = 10_000  # of these no reader ever sees a part
LAYOUTS = {"one directory": 1, "1,000 directories": 1000}
NAMES = ("before", "after")
SOON = 0.002


class Reader:
    """Another program's view of where the photos are."""

    def __init__(self, library):
        self.root = library.root
        self.db = sqlite3.connect(library.database, timeout=60)

    def count(self, name):
        path = f"{self.root}/{name}/"
        return self.db.execute("SELECT count(*) FROM images WHERE path >= ? AND path < ?",
                               (path, path[:-1] + "0")).fetchone()[0]

    def folders(self, name):
        path = f"{self.root}/{name}"
        return self.db.execute("SELECT count(*) FROM folders WHERE folder_path = ? OR "
                               "(folder_path >= ? AND folder_path < ?)",
                               (path, path + "/", path + "0")).fetchone()[0]

    def look(self, name):
        """(photos, folders) below a name, at one moment."""
        self.db.execute("BEGIN")
        found = self.count(name), self.folders(name)
        self.db.execute("COMMIT")
        return found


def _library(bench, name, photos, directories):
    base = f"{bench.base}/moves-{name}"
    root = f"{base}/photos"
    os.makedirs(root)
    directories = min(directories, photos)
    subprocess.run([bench.helper("make-tree"), f"{root}/{NAMES[0]}", str(directories),
                    str(photos // directories)], check=True)
    os.sync()
    return bench.known_library(f"{base}/own", root)


def _rename(library, name, other):
    os.rename(f"{library.root}/{name}", f"{library.root}/{other}")


def _check(counters, moves):
    found = counters["photos_decoded"], counters["folders_moved"], counters["removed"]
    if found != (0, moves, 0):
        raise BenchError(f"decoded, folders moved, removed: {found}")


def _start(bench, library, moves):
    """Seconds from exec(2) until it is in sync, the disk as it is."""
    with bench.running(bench.daemon(library)) as daemon:
        daemon.launch()
        done = daemon.settle()
        _check(daemon.counters(), moves)
        return (done - daemon.process.started) / 1e9


def _live(bench, library, name, other):
    """Seconds until every row is right, the longest write lock, and how often a part was seen."""
    reader = Reader(library)
    whole, nothing = reader.look(name), (0, 0)
    partly = 0
    with bench.running(bench.daemon(library)) as daemon:
        daemon.launch()
        daemon.settle()
        started = time.monotonic()
        _rename(library, name, other)
        while True:
            seen = reader.look(other)
            if seen == whole:
                break
            partly += seen != nothing
            time.sleep(SOON)
        took = time.monotonic() - started
        daemon.settle()
        counters = daemon.counters()
        _check(counters, 1)
        if reader.look(name) != nothing:
            raise BenchError("rows are left behind")
    return took, counters["lock_us_max"] / 1000, partly, counters["loop_stall_max_us"] / 1000


def _measure(bench, library):
    plain, down, live = [], [], []
    name, other = NAMES
    for _ in range(bench.runs):
        plain.append(_start(bench, library, 0))
        _rename(library, name, other)
        down.append(_start(bench, library, 1))
        name, other = other, name
        live.append(_live(bench, library, name, other))
        name, other = other, name
        bench.say(f"plain {plain[-1]:.2f} s, renamed while down {down[-1]:.2f} s, live "
                  f"{live[-1][0]:.2f} s, lock {live[-1][1]:.0f} ms, parts seen {live[-1][2]}")
    return plain, down, live


def _rows(bench, table, what, library):
    plain, down, live = _measure(bench, library)
    took, lock, partly, stall = zip(*live)
    table.row(f"{library.n_photos:,} in {what}", seconds(median(plain)), seconds(median(down)),
              ratio(median(down), median(plain)), seconds(median(took)), spread(took),
              milliseconds(max(lock)), milliseconds(max(stall)))
    return median(took), max(lock), sum(partly)


def run(bench):
    table = Table("moves", "a directory that is renamed, all of its photos known",
                  ["photos", "reconcile", "renamed while down", "ratio", "renamed live",
                   "least … most", "longest write lock", "loop stall"])
    worst, locks, partly = 0.0, [], None
    layouts = {what: (bench.scaled(PHOTOS, 100), n) for what, n in LAYOUTS.items()}
    for what, (photos, directories) in ({"one directory, whole": (bench.scaled(WHOLE, 10), 1)}
                                        | layouts).items():
        library = _library(bench, what.replace(" ", "-").replace(",", ""), photos,
                           bench.scaled(directories))
        warm(library.root)
        took, lock, parts = _rows(bench, table, what, library)
        worst = max(worst, took)
        locks.append(lock)
        partly = parts if partly is None else partly
    table.goal("renamed live, until the rows are right, s", worst, 2)
    table.goal("longest write lock, ms", max(locks), 250, "{:.0f}")
    table.goal(f"times that a part of {bench.scaled(WHOLE, 10):,} was seen", partly, 0, "{:.0f}")
    table.note("Reconcile: from exec(2) until it is in sync, nothing changed; renamed while down: "
               "the same behind a rename. No photo was decoded, and each rename was one move. Warm "
               "cache.")
    table.note("Renamed live: from rename(2) until a reader that asks every 2 ms has found all "
               "rows of photos and folders at their new paths.")
    return table
