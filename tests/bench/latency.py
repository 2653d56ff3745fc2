"""How long after a photo was closed does it have its row?"""

import subprocess

from programs import BenchError, Inotifywait, Watchdog
from table import Table, median, milliseconds, percentile

RATE = 100
SECONDS = 60
SETTLE_MS = 200  # watch.settle, its default
SIZE = ("320", "240")


class InotifywaitLines(Inotifywait):
    """Paths come on standard output; that it is ready, on standard error: both in one pipe."""

    pipe = "stdout"

    def command(self, root):
        return ["sh", "-c", 'exec inotifywait -m -r -e close_write --format "%w%f" "$0" 2>&1', root]


class WatchdogLines(Watchdog):
    def command(self, root):
        return [*super().command(root), "--print"]


def _times(lines):
    """{path: ns} of lines "PATH NS"."""
    return {path: int(at) for path, _, at in (line.rpartition(" ") for line in lines)}


def _write(bench, directory, count):
    """{path: when it was closed}"""
    done = subprocess.run([bench.helper("write-photos"), directory, str(count), str(RATE), "0",
                           *SIZE], capture_output=True, text=True, check=True)
    return _times(done.stdout.splitlines())


def _delays(closed, seen):
    """(milliseconds of each, how many were not seen)"""
    found = [(seen[path] - at) / 1e6 for path, at in closed.items() if path in seen]
    if not found:
        raise BenchError("nothing was seen")
    return found, len(closed) - len(found)


class Observed:
    """What the observer of the rows said of itself."""

    def __init__(self, text, busy):
        words = text.split()
        self.queries, self.median_ns, self.max_ns, self.busy = map(int, words[1::2])
        self.daemon_busy = busy


def _ours(bench, name, count):
    library = bench.new_library(name)
    with bench.running(bench.daemon(library)) as daemon:
        daemon.start()
        daemon.settle()
        observer = subprocess.Popen([bench.helper("observe-rows"), library.database, str(count)],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            observer.stdout.readline()
            closed = _write(bench, library.root, count)
            out, err = observer.communicate(timeout=120)
        finally:
            observer.kill()
            observer.wait()
        counters = daemon.counters()
    delays, lost = _delays(closed, _times(out.splitlines()))
    return delays, lost, Observed(err, counters["busy"]), counters


def _peer(bench, program, name, count):
    root = bench.new_library(name).root
    with bench.running(program):
        program.start(root)
        closed = _write(bench, root, count)
        last = max(closed, key=closed.get)
        program.process.wait_line(f"^{last}$", timeout=60)
        seen = {text: at for text, at in program.process.lines}
    return _delays(closed, seen)


def _row(table, name, delays, lost):
    middle = [median(d) for d in delays]
    high = [percentile(d, 0.99) for d in delays]
    worst = max(max(d) for d in delays)
    table.row(name, milliseconds(median(middle)), milliseconds(median(high)), milliseconds(worst),
              lost)
    return median(middle), median(high)


def run(bench):
    count = bench.scaled(RATE * SECONDS, RATE)
    ours, peers, lost, observed, stall = [], {}, {}, None, 0
    for turn in range(bench.runs):
        delays, missing, observed, counters = _ours(bench, f"latency-{turn}", count)
        ours.append([d - SETTLE_MS for d in delays])
        lost["ours"] = lost.get("ours", 0) + missing
        stall = max(stall, counters["loop_stall_max_us"])
        bench.say(f"pictopy-sync: {median(ours[-1]):.1f} ms after the settle time")
        for peer in (InotifywaitLines(), WatchdogLines()):
            delays, missing = _peer(bench, peer, f"latency-{turn}-{peer.name}", count)
            peers.setdefault(peer.name, []).append(delays)
            lost[peer.name] = lost.get(peer.name, 0) + missing
            bench.say(f"{peer.name}: {median(delays):.1f} ms")
    return _table(count, ours, peers, lost, observed, stall)


def _table(count, ours, peers, lost, observed, stall):
    table = Table("latency", f"from close(2) of a small photo, {count:,} at {RATE} a second",
                  ["what", "median", "99th percentile", "worst", "never"])
    middle, high = _row(table, f"pictopy-sync: to the committed row, less {SETTLE_MS} ms of settle",
                        ours, lost["ours"])
    for name, delays in peers.items():
        _row(table, f"{name}: to its line of output", delays, lost[name])
    table.goal("pictopy-sync, median, ms", middle, 10, "{:.1f}")
    table.goal("pictopy-sync, 99th percentile, ms", high, 50, "{:.1f}")
    table.note(f"Photos of {' x '.join(SIZE)}, decoded, with a thumbnail on disk before the row. "
               "The peers decode and write nothing: theirs is the event alone.")
    table.note(f"The longest stall of the daemon's loop was {stall / 1000:.1f} ms.")
    table.note("The row counts as there when a reader of its own connection has got it; the reader "
               f"asked {observed.queries:,} times, each {observed.median_ns / 1e6:.3f} ms (the "
               f"longest {observed.max_ns / 1e6:.1f} ms, which is part of the figure; it waited for "
               f"the daemon's lock {observed.busy} times), and the daemon met a locked database "
               f"{observed.daemon_busy} times.")
    return table
