"""What of a flood of new files is seen, and how soon is all of it in the database?"""

import os
import subprocess
import time

from programs import BenchError, Inotifywait, Process, Watchdog
from table import Table, median, seconds, spread

PHOTOS = 100_000
ROLLS = 1000
SIZE = ("16", "12")
SENTINEL = "the-end"


def _write(bench, directory, count, rolls):
    """The paths that were written, and the seconds it took."""
    started = time.monotonic()
    done = subprocess.run([bench.helper("write-photos"), directory, str(count), "0", str(rolls),
                           *SIZE], capture_output=True, text=True, check=True)
    took = time.monotonic() - started
    return {line.rpartition(" ")[0] for line in done.stdout.splitlines()}, took


class InotifywaitFile(Inotifywait):
    """Writes the paths to a file: a reader that is slow must not be what loses them."""

    def __init__(self, output):
        self.output = output

    def command(self, root):
        return ["sh", "-c", 'exec inotifywait -m -r -e close_write --format "%w%f" "$0" >"$1"',
                root, self.output]


class WatchdogFile(Watchdog):
    pipe = "stderr"

    def __init__(self, output):
        self.output = output

    def command(self, root):
        words = " ".join(super().command(root))
        return ["sh", "-c", f'exec {words} --print >"$0"', self.output]

    def start(self, root):
        self.process = Process(self.command(root), self.pipe)
        while not _lines(self.output):
            if self.process.process.poll() is not None:
                raise BenchError("python3-watchdog does not start")
            time.sleep(0.05)


def _lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().splitlines()


def _wait_sentinel(root, output):
    """Events come in order: when a later one has come, no other is on its way. It can be lost
    itself while the queue is full, so more of them are made."""
    deadline = time.monotonic() + 600
    number = 0
    while time.monotonic() < deadline:
        number += 1
        with open(f"{root}/{SENTINEL}-{number}", "w", encoding="ascii"):
            pass
        time.sleep(0.5)
        if any(SENTINEL in line for line in _lines(output)[-20:]):
            return
    raise BenchError("no event came any more")


def _peer(bench, kind, name, count, rolls):
    root = bench.new_library(name).root
    output = f"{bench.base}/{name}/output"
    with bench.running(kind(output)) as program:
        program.start(root)
        written, _ = _write(bench, root, count, rolls)
        _wait_sentinel(root, output)
        return len(written - set(_lines(output)))


def _ours(bench, name, count, rolls):
    library = bench.new_library(name)
    with bench.running(bench.daemon(library)) as daemon:
        daemon.start()
        daemon.settle()
        started = time.monotonic()
        written, writing = _write(bench, library.root, count, rolls)
        daemon.settle()
        took = time.monotonic() - started
        counters = daemon.counters()
    lost = len(written ^ library.paths())
    bench.say(f"pictopy-sync: {count:,} photos written in {writing:.1f} s, in sync after "
              f"{took:.1f} s, {lost} lost; stall {counters['loop_stall_max_us'] / 1000:.1f} ms, "
              f"overflows {counters['overflows']}")
    return {"took": took, "writing": writing, "lost": lost,
            "stall": counters["loop_stall_max_us"] / 1000, "overflows": counters["overflows"]}


KINDS = {"into one directory": 0, "into 1,000 new directories": ROLLS}


def run(bench):
    count = bench.scaled(PHOTOS, ROLLS)
    ours, lost = {}, {}
    for turn in range(bench.runs):
        for number, (kind, rolls) in enumerate(KINDS.items()):
            name = f"burst-{turn}-{number}"
            ours.setdefault(kind, []).append(_ours(bench, name, count, rolls))
            for peer in (InotifywaitFile, WatchdogFile):
                missing = _peer(bench, peer, f"{name}-{peer.name}", count, rolls)
                lost.setdefault((kind, peer.name), []).append(missing)
                bench.say(f"{peer.name}: {missing:,} of {count:,} not reported")
    return _table(count, ours, lost)


def _table(count, ours, lost):
    table = Table("burst", f"{count:,} tiny photos written as fast as it goes",
                  ["program", "where", "lost, median", "most", "in sync after", "loop stall"])
    for kind, results in ours.items():
        table.row("pictopy-sync", kind, int(median([r["lost"] for r in results])),
                  max(r["lost"] for r in results), seconds(median([r["took"] for r in results])),
                  f"{max(r['stall'] for r in results):.1f} ms")
    for (kind, peer), values in lost.items():
        table.row(peer, kind, f"{int(median(values)):,}", f"{max(values):,}", "-", "-")
    everything = [r for results in ours.values() for r in results]
    table.goal("pictopy-sync, lost", max(r["lost"] for r in everything), 0, "{:.0f}")
    table.goal("pictopy-sync, longest stall of the loop, ms",
               max(r["stall"] for r in everything), 50, "{:.1f}")
    table.note("pictopy-sync: lost are photos without a row, in sync is when every photo is "
               "decoded, has its thumbnail and its row; counted from the first photo. Writing "
               f"them took {spread([r['writing'] for r in everything])}; the kernel's queue "
               f"overflowed in {sum(r['overflows'] > 0 for r in everything)} of "
               f"{len(everything)} runs.")
    table.note("The peers only name the files that were closed; lost are those never named.")
    return table
