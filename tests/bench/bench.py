"""tools/bench: measures the daemon and its peers side by side. Started by tools/bench."""

import argparse
import contextlib
import datetime
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import burst
import idle
import latency
import memory
import moves
import reconcile
import startup
import table
from library import Library
from programs import BenchError, Daemon, Floor, Inotifywait, Watchdog, Watchman

BENCHMARKS = {module.__name__: module
              for module in (startup, memory, reconcile, moves, latency, burst, idle)}
DIRECTORIES = 100_000
FILES_EACH = 10
WATCHES = "/proc/sys/fs/inotify/max_user_watches"


class Bench:
    """What the benchmarks share: trees and libraries, made once, and the programs that run now."""

    def __init__(self, build, base, runs, scale):
        self.build = build
        self.base = base
        self.runs = runs
        self.scale = scale
        self._made = {}
        self._running = []

    def scaled(self, count, least=1):
        return max(least, int(count * self.scale))

    def helper(self, name):
        return f"{self.build}/tests/bench/bench-{name}"

    def say(self, text):
        print(f"    {text}", file=sys.stderr, flush=True)

    # -- programs: whatever happens, they are ended --

    @contextlib.contextmanager
    def running(self, program):
        self._running.append(program)
        try:
            yield program
        finally:
            program.stop()
            self._running.remove(program)

    def peers(self):
        """New programs that watch a directory, without the floor."""
        found = [Inotifywait(), Watchdog()]
        if shutil.which("watchman"):
            found.append(Watchman())
        return found

    def floor(self):
        return Floor(self.build)

    def daemon(self, library, **settings):
        return Daemon(self.build, library, settings)

    # -- trees and libraries --

    def _once(self, name, make):
        if name not in self._made:
            self._made[name] = make(f"{self.base}/{name}")
        return self._made[name]

    def _make_tree(self, path, directories, files):
        started = time.monotonic()
        subprocess.run([self.helper("make-tree"), path, str(directories), str(files)], check=True)
        os.sync()  # what is written back later would be measured
        self.say(f"made {directories:,} directories with {directories * files:,} files in "
                 f"{time.monotonic() - started:.0f} s")
        return path

    def photo_tree(self):
        return self._once("photos", lambda path: self._make_tree(
            path, self.scaled(DIRECTORIES), FILES_EACH))

    def empty_tree(self):
        """The same directories without files."""
        return self._once("directories", lambda path: self._make_tree(
            path, self.scaled(DIRECTORIES), 0))

    def photo_library(self):
        return self._once("library", lambda base: self.known_library(base, self.photo_tree()))

    def empty_library(self):
        return self._once("empty-library",
                          lambda base: self.known_library(base, self.empty_tree()))

    def new_library(self, name):
        """A library without anything in it, in a directory of its own."""
        root = f"{self.base}/{name}/photos"
        os.makedirs(root)
        return Library(f"{self.base}/{name}/own", root)

    def known_library(self, base, root):
        started = time.monotonic()
        library = Library(base, root)
        self.say(f"made the rows of {library.n_folders:,} folders and {library.n_photos:,} photos "
                 f"in {time.monotonic() - started:.0f} s")
        with self.running(self.daemon(library)) as daemon:
            daemon.launch()
            done = daemon.settle()
            counters = daemon.counters()
            self.say("the daemon's first run, which learns the files' inodes, took "
                     f"{(done - daemon.process.started) / 1e9:.1f} s")
        os.sync()
        if counters["photos_decoded"] or counters["media_failures"] or counters["removed"]:
            raise BenchError(f"rows and files do not agree: {counters}")
        return library


# ---- the kernel's limit ----

def write_limit(value):
    if os.access(WATCHES, os.W_OK):
        with open(WATCHES, "w", encoding="ascii") as file:
            file.write(f"{value}\n")
    else:
        subprocess.run(["sudo", "sysctl", "-q", f"fs.inotify.max_user_watches={value}"], check=True)


@contextlib.contextmanager
def watch_limit(needed):
    """Raises fs.inotify.max_user_watches while the benchmarks run."""
    with open(WATCHES, encoding="ascii") as file:
        before = int(file.read())
    if before >= needed:
        yield
        return
    print(f"    fs.inotify.max_user_watches is {needed} instead of {before} until the end",
          file=sys.stderr, flush=True)
    write_limit(needed)
    try:
        yield
    finally:
        write_limit(before)


# ---- where it was measured ----

def output_of(*command):
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return "unknown"


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def surroundings(bench):
    here = os.path.dirname(os.path.abspath(__file__))
    commit = output_of("git", "-C", here, "describe", "--always", "--dirty")
    memory_size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (f"{datetime.date.today()}, commit {commit}, {os.cpu_count()} × {processor()}, "
            f"{memory_size:.0f} GiB, Linux {platform.release()}, "
            f"{output_of('findmnt', '-n', '-o', 'FSTYPE', '-T', bench.base)}, "
            f"load {os.getloadavg()[0]:.1f} at the start; {bench.runs} run(s), "
            f"scale {bench.scale:g}")


# ---- the command ----

def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Measures pictopy-sync beside its peers, in the same run; "
        "prints tables of medians. Goals are told as reached or missed and never fail the command.")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"benchmarks (default: all): {', '.join(BENCHMARKS)}")
    parser.add_argument("--runs", type=int, default=5, metavar="N",
                        help="measure everything N times, in turn (default: 5)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X",
                        help="make everything smaller: 0.01 for a quick try")
    parser.add_argument("--directory", default=tempfile.gettempdir(), metavar="DIR",
                        help="where the trees are made and removed (default: the temporary one)")
    parser.add_argument("--markdown", metavar="FILE",
                        help="write the tables into FILE, each in its place")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"unknown benchmark '{name}': {', '.join(BENCHMARKS)}")
    if arguments.runs < 1 or not 0 < arguments.scale <= 10:
        parser.error("--runs is at least 1, --scale above 0 and at most 10")
    return arguments


def remove(base):
    if os.path.exists(base):
        print("    removing what was made", file=sys.stderr, flush=True)
        subprocess.run(["rm", "-rf", "--", base], check=False)


def run_one(name, bench, where, markdown):
    print(f"==> {name}", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        result = BENCHMARKS[name].run(bench)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"\n{name}: not measured: {error}\n", flush=True)
        return
    print(f"\n{result.text()}\n", flush=True)
    bench.say(f"{name} took {time.monotonic() - started:.0f} s")
    if markdown:
        table.put_into(markdown, name, f"Measured {where}.", result.markdown())


def main():
    arguments = parse_arguments()
    # Ended from outside, it tidies up as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        base = tempfile.mkdtemp(prefix="pictopy-bench-", dir=arguments.directory)
        stack.callback(remove, base)
        bench = Bench(arguments.build, base, arguments.runs, arguments.scale)
        where = surroundings(bench)
        print(f"Measured {where}.", flush=True)
        stack.enter_context(watch_limit(5 * bench.scaled(DIRECTORIES) + 100_000))
        for name in arguments.names or BENCHMARKS:
            run_one(name, bench, where, arguments.markdown)


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
