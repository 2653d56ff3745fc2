"""What a service manager hears, without one (a socket of our own), and what a terminal shows."""

import contextlib
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import harness
from harness import wait_for, write


# ---- sd_notify ----

class Manager:
    """Listens on NOTIFY_SOCKET; every message is a dictionary of its lines."""

    def __init__(self, lib, watchdog_us=None):
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(lib.path("notify"))
        environment = lib.environment() | {"NOTIFY_SOCKET": lib.path("notify")}
        if watchdog_us:
            environment["WATCHDOG_USEC"] = str(watchdog_us)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        lib.daemon = harness.Daemon(lib.command("run"), lib.path("daemon.log"), environment)
        lib.daemons.append(lib.daemon)

    def _read(self):
        with contextlib.suppress(OSError):
            while data := self.socket.recv(65536):
                message = dict(line.split("=", 1) for line in data.decode().splitlines())
                self.messages.append(message)

    def has(self, key, value=None, start=0):
        return any(key in m and value in (None, m[key]) for m in self.messages[start:])

    def wait(self, key, value=None, start=0):
        wait_for(f"{key}={value}", lambda: self.has(key, value, start), 20)

    def index(self, key, value=None):
        return next(i for i, m in enumerate(self.messages)
                    if key in m and value in (None, m[key]))


def test_notify(library):
    """STATUS= before READY=1, which comes when all is watched; then reloads, and the end."""
    lib = library(roots=("r",))
    for number in range(300):
        lib.mkdir(f"r/{number}")
    manager = Manager(lib)
    lib.daemon.wait_listening()
    manager.wait("READY", "1")
    assert lib.daemon.wait_line(r"ready: watching (\d+) folders").group(1) == "301"
    assert manager.index("STATUS") < manager.index("READY")
    lib.settle()
    manager.wait("STATUS", "Watching 301 folders; in sync")
    assert not manager.has("RELOADING") and not manager.has("WATCHDOG")

    for text in (b"[watch]\nsettle = 100ms\n", b"[watch]\nsettle = soon\n"):  # also a broken one
        seen = len(manager.messages)
        write(lib.config, text)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        lib.daemon.process.send_signal(signal.SIGHUP)
        manager.wait("READY", "1", seen)
        reloading = next(m for m in manager.messages[seen:] if "RELOADING" in m)
        assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) >= before
    lib.stop()
    manager.wait("STOPPING", "1")
    assert sum("READY" in m for m in manager.messages) == 3


def test_notify_without_a_database(library):
    """Nothing to watch yet is no reason to keep the manager waiting."""
    lib = library(roots=())
    os.unlink(lib.database)
    manager = Manager(lib)
    manager.wait("READY", "1")
    manager.wait("STATUS", "Waiting for the database")


def test_notify_shows_the_import(library):
    lib = library(roots=("r",), settings={"media.workers": "1"})
    lib.photos("r", 300, width=2400, height=1800)
    began = time.monotonic()
    manager = Manager(lib)
    manager.wait("READY", "1")
    wait_for("Importing", lambda: any(
        re.fullmatch(r"Importing: \d+ of 300 photos, \d+/s, [0-9.]+ s left", m.get("STATUS", ""))
        for m in manager.messages), 20)
    manager.wait("STATUS", "Watching 1 folders; in sync")
    # Each is another line, at most one every 200 ms (they may have waited here to be read).
    lines = [m["STATUS"] for m in manager.messages if "STATUS" in m]
    assert all(a != b for a, b in zip(lines, lines[1:]))
    assert len(lines) <= (time.monotonic() - began) / 0.2 + 2


def test_notify_shows_what_is_not_well(library):
    lib = library(roots=("r", "gone"))
    os.rmdir(lib.path("gone"))
    manager = Manager(lib)
    manager.wait("STATUS", "Watching 1 folders; 1 root(s) offline; in sync")
    lib.mkdir("gone")
    manager.wait("STATUS", "Watching 2 folders; in sync")


def test_watchdog_is_fed_by_the_loop(library):
    lib = library(roots=("r",))
    manager = Manager(lib, watchdog_us=200000)
    wait_for("three signs of life",
             lambda: sum("WATCHDOG" in m for m in manager.messages) >= 3, 10)
    os.kill(lib.daemon.process.pid, signal.SIGSTOP)
    seen = len(manager.messages)
    with pytest.raises(AssertionError):
        wait_for("a sign of life of a stopped process",
                 lambda: manager.has("WATCHDOG", start=seen + 1), 0.6 / harness.PATIENCE)
    os.kill(lib.daemon.process.pid, signal.SIGCONT)
    manager.wait("WATCHDOG", start=seen + 1)


# ---- a terminal ----

class Terminal:
    """A program on a terminal of its own; `text` is all that it has shown."""

    def __init__(self, command, environment):
        self.text = ""
        self.may_read = threading.Event()
        self.may_read.set()
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave,
                                        env=environment, start_new_session=True)
        os.close(slave)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with contextlib.suppress(OSError):  # the last of them closed it
            while data := os.read(self.master, 65536):
                self.text += data.decode()
                self.may_read.wait()

    def wait(self, pattern, timeout=30):
        return wait_for(f"{pattern} in {self.text!r}", lambda: re.search(pattern, self.text),
                        timeout)

    def end(self):
        """Its exit status."""
        code = self.process.wait(20 * harness.PATIENCE)
        self.thread.join(20 * harness.PATIENCE)
        os.close(self.master)
        return code

    def lines(self):
        """The lines that are left to read: what is erased is gone."""
        return [line.rsplit("\r\033[K", 1)[-1] for line in self.text.split("\r\n")]


@pytest.fixture
def terminal():
    made = []

    def make(lib, name, **environment):
        made.append(Terminal(lib.command(name),
                             lib.environment() | {"TERM": "xterm"} | environment))
        return made[-1]

    yield make
    for item in made:
        if item.process.poll() is None:
            item.process.kill()
            item.end()


BAR = re.compile(r"\r\033\[K\[#*\.*\] (\d+) of (\d+) photos(?:, \d+/s, [0-9.]+ (?:s|min) left)?")


def test_run_on_a_terminal(library, terminal):
    """A bar for the first import, which leaves no trace; then a line for each change."""
    lib = library(roots=("r",), settings={"media.workers": "1", "http.listen": "localhost:0"})
    lib.photos("r", 400, width=400, height=300)
    screen = terminal(lib, "run")
    screen.wait(r"notice  in sync")
    bars = BAR.findall(screen.text)
    assert bars and all(int(done) <= int(total) <= 400 for done, total in bars)
    assert [int(done) for done, _ in bars] == sorted(int(done) for done, _ in bars)
    lines = screen.lines()
    assert not [line for line in lines if " of " in line or "added" in line], lines
    assert re.search(r"400 photos and videos read in [0-9.]+ s", screen.text)
    lib.photo("r/new.jpg")
    screen.wait(r"\033\[2m\d\d:\d\d:\d\d\033\[0m info    added " + re.escape(lib.path("r/new.jpg")))
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 0
    assert screen.lines()[-2].endswith("notice  stopped\033[0m")


def test_details_on_a_terminal(library, terminal):
    """Who wants to see everything sees every line of the import too."""
    lib = library(roots=("r",), settings={"log.level": "debug", "http.listen": "localhost:0"})
    lib.photo("r/a.jpg")
    screen = terminal(lib, "run")
    screen.wait(r"info    added .*notice  in sync".replace(".*", r"(?s:.*)"))


@pytest.mark.parametrize("environment, color, clock", [
    ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False), ({}, True, True)])
def test_kinds_of_terminals(library, terminal, environment, color, clock):
    lib = library(roots=("r",), settings={"http.listen": "localhost:0"})
    screen = terminal(lib, "run", **environment)
    screen.wait(r"in sync")
    assert ("\033[1m" in screen.text) == color
    assert bool(re.search(r"\d\d:\d\d:\d\d", screen.text)) == clock
    assert ("\033" in screen.text) == clock  # lines are erased, too


def test_check_on_a_terminal(library, terminal):
    lib = library(roots=("r",))
    lib.photos("r", 3)
    lib.mkdir("r/in")
    os.utime(lib.path("r"), (1, 1))  # not the second in which it was registered
    screen = terminal(lib, "check")
    assert screen.end() == 1
    assert "\r\033[Kcompared 2 folders, 3 photos and videos" in screen.text
    lines = screen.lines()
    assert lines[-2:] == ["not in sync: 2 folders, 3 files, 5 differences", ""]
    assert not [line for line in lines if "compared" in line]


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_terminal_stands_still(library, terminal, kind):
    """Its window is frozen, say."""
    lib = library(roots=("r",), settings={"log.level": "debug"})
    lib.photo("r/a.jpg")
    screen = terminal(lib, "run", TERM=kind)
    screen.wait("in sync")
    screen.may_read.clear()
    names = set(lib.photos("r/" + "d" * 200, 300))
    wait_for("all go on", lambda: len(lib.rows("images")) == 301, 20)
    screen.process.send_signal(signal.SIGTERM)
    assert screen.process.wait(5 * harness.PATIENCE) == 0
    screen.may_read.set()
    assert screen.end() == 0
    lib.start()
    lib.expect(names | {"r/a.jpg"})


def test_nobody_reads_what_it_says(library):
    """A pager that stands still, say. Lines are lost then, and nothing else."""
    lib = library(roots=("r",))
    long, longer = ("/".join(["r"] + ["l" * 250] * 11 + [c * 120 + ".jpg"]) for c in "l\u00e9")
    lib.photo("r/a.jpg")
    lib.start()
    with lib.daemon.unread():
        names = set(lib.photos("r/" + "d" * 200, 200))
        lib.photo(long)
        lib.settle()
        lib.rename(long, longer)
        lib.settle()
        assert lib.counter("loop_stall_max_us") < 1e6
    lib.unlink("r/a.jpg")
    lib.expect(names | {longer})
    lib.daemon.wait_line("^warning: .* log lines dropped, they are not read", timeout=1)

    def whole_line():
        lib.rename(longer, long)
        lib.settle()
        lib.rename(long, longer)
        lib.settle()
        return any(re.match(r"info: moved .*/l+\.jpg$", line) for line in lib.daemon.lines)

    wait_for("a line that is longer than a page", whole_line)
