"""How long does it take to find that nothing has changed?"""

import subprocess
import time

from programs import BenchError
from startup import warm
from table import Table, median, ratio, seconds, spread


def _find(root):
    started = time.monotonic_ns()
    subprocess.run(["find", root, "-printf", "%s %T@\\n"], stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic_ns() - started) / 1e9


def _check(counters, before, library):
    compared = counters["files_unchanged"] - before.get("files_unchanged", 0)
    # A directory may be looked at twice: its time changed, or a root begins with a verdict on it.
    if not library.n_photos <= compared <= library.n_photos * 1.01:
        raise BenchError(f"{compared} of {library.n_photos} files were compared")


def _second_start(bench, library):
    """The seconds from exec(2) until it is in sync."""
    with bench.running(bench.daemon(library)) as daemon:
        daemon.launch()
        done = daemon.settle()
        _check(daemon.counters(), {}, library)
        return (done - daemon.process.started) / 1e9


def _rescan(daemon, library):
    before = daemon.counters()
    started = time.monotonic_ns()
    how = daemon.rescan()
    done = daemon.settle()
    _check(daemon.counters(), before, library)
    return how, (done - started) / 1e9


def _measure(bench, library):
    times = {"find": [], "rescan": [], "start": []}
    how = None
    for _ in range(bench.runs):
        times["find"].append(_find(library.root))
        times["start"].append(_second_start(bench, library))
        times["find"].append(_find(library.root))
        with bench.running(bench.daemon(library)) as daemon:
            daemon.launch()
            daemon.settle()
            how, took = _rescan(daemon, library)
            times["rescan"].append(took)
        bench.say(", ".join(f"{name}: {values[-1]:.2f} s" for name, values in times.items()))
    return times, how


def run(bench):
    library = bench.photo_library()
    warm(library.root)
    times, how = _measure(bench, library)
    find, rescan = median(times["find"]), median(times["rescan"])
    table = Table("reconcile", f"comparing {library.n_photos:,} unchanged photos in "
                  f"{library.n_folders:,} directories with their rows",
                  ["what", "median", "least … most", "of find"])
    names = {"find": "find -printf '%s %T@\\n' >/dev/null",
             "rescan": f"pictopy-sync, a rescan while it runs ({how})",
             "start": "pictopy-sync, from exec to in sync"}
    for what, values in times.items():
        table.row(names[what], seconds(median(values)), spread(values),
                  ratio(median(values), find))
    table.goal("rescan / find", rescan / find, 2)
    table.note("In sync: GET /watcher/settle has answered 200. Every photo was compared, none "
               "decoded. Warm cache.")
    return table
