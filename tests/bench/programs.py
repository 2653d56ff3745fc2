"""The programs that are compared: each one is started on a directory, says when it watches all of
it, and is ended. The time runs from just before exec(2)."""

import contextlib
import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 1800.0  # seconds until something counts as hung
WATCHDOG_USEC = 30_000_000  # WatchdogSec= of the units
PIPE_BYTES = 1 << 20  # what an unprivileged program may have, pipe(7)


class BenchError(Exception):
    """A benchmark cannot go on; the others can."""


class Process:
    """A child whose output is read line by line, with the time at which each line came."""

    def __init__(self, command, pipe="stdout", other=subprocess.DEVNULL, **options):
        streams = {"stdout": other, "stderr": other, pipe: subprocess.PIPE}
        self.name = os.path.basename(command[0])
        self.started = time.monotonic_ns()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **streams, **options)
        self.pid = self.process.pid
        self.lines = []  # (text, ns)
        self._stream = getattr(self.process, pipe)
        # Room for a burst of lines: this program's threads take turns, and must not hold it up.
        fcntl.fcntl(self._stream, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for raw in self._stream:
            at = time.monotonic_ns()
            with self._news:
                self.lines.append((raw.decode("utf-8", "replace").rstrip("\n"), at))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_line(self, pattern, start=0, timeout=PATIENCE):
        """(match, ns) of the first line that matches, from line number start on."""
        pattern = re.compile(pattern)
        seen = start

        def found():
            nonlocal seen
            while seen < len(self.lines):
                text, at = self.lines[seen]
                seen += 1
                match = pattern.search(text)
                if match:
                    return match, at
            return self._ended or None

        with self._news:
            result = self._news.wait_for(found, timeout)
        if result is None or result is True:
            tail = "\n".join(text for text, _ in self.lines[-5:])
            raise BenchError(f"{self.name}: no line {pattern.pattern!r}; it said:\n{tail}")
        return result

    def wait(self):
        """Until it ends by itself; its exit status."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self, signo=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(signo)
        code = self.wait()
        self._stream.close()
        return code


class Peer:
    """A program that watches a directory."""

    name = ""
    process = None

    def command(self, root):
        raise NotImplementedError

    ready = "ready"
    pipe = "stdout"

    def start(self, root):
        """Returns the seconds until every directory is watched."""
        self.process = Process(self.command(root), self.pipe)
        _, at = self.process.wait_line(self.ready)
        return (at - self.process.started) / 1e9

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process:
            self.process.stop()
        self.process = None


class Floor(Peer):
    name = "floor (list and watch only)"

    def __init__(self, build):
        self.program = f"{build}/tests/bench/bench-floor"

    def command(self, root):
        return [self.program, root]


class Inotifywait(Peer):
    name = "inotifywait"
    ready = "Watches established"
    pipe = "stderr"

    def command(self, root):
        return ["inotifywait", "-m", "-r", root]


class Watchdog(Peer):
    name = "python3-watchdog"

    def command(self, root):
        return ["/usr/bin/python3", f"{HERE}/watchdog_peer.py", root]


class Watchman(Peer):
    """Its service crawls when it is told to watch; a query waits for the end of the crawl."""

    name = "watchman"

    def __init__(self):
        self.directory = None

    def _ask(self, *words):
        answer = subprocess.run(["watchman", "--no-spawn", "--no-local", "-j", "-U",
                                 f"{self.directory.name}/socket"], input=json.dumps(words),
                                capture_output=True, text=True, timeout=PATIENCE, check=False)
        try:
            answer = json.loads(answer.stdout)
        except ValueError:
            return {"error": answer.stderr}
        return answer

    def _demand(self, *words):
        answer = self._ask(*words)
        if "error" in answer:
            raise BenchError(f"watchman: {answer['error']}")

    def start(self, root):
        self.directory = tempfile.TemporaryDirectory(prefix="pictopy-watchman-")
        at = self.directory.name
        self.process = Process(["watchman", "--foreground", "-U", f"{at}/socket", "--logfile",
                                f"{at}/log", "--statefile", f"{at}/state", "--pidfile",
                                f"{at}/pid", "--no-save-state"])
        while "error" in self._ask("version"):  # until it listens
            if self.process.process.poll() is not None:
                raise BenchError("watchman does not start")
            time.sleep(0.01)
        self._demand("watch", root)
        self._demand("query", root, {"expression": "false", "fields": ["name"],
                                     "sync_timeout": int(PATIENCE * 1000)})
        return (time.monotonic_ns() - self.process.started) / 1e9

    def stop(self):
        super().stop()
        if self.directory:
            self.directory.cleanup()
        self.directory = None


class Notified:
    """The service manager's end of NOTIFY_SOCKET: when READY=1 came."""

    def __init__(self, path):
        self.ready = None
        self._event = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                message = self._socket.recv(65536)
            except OSError:
                return
            if self.ready is None and b"READY=1" in message.split(b"\n"):
                self.ready = time.monotonic_ns()
                self._event.set()

    def wait(self):
        if not self._event.wait(PATIENCE):
            raise BenchError("pictopy-sync never said READY=1")
        return self.ready

    def close(self):
        # Only this wakes a thread that is in recv(2).
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Daemon(Peer):
    """pictopy-sync on a library, started as systemd starts it."""

    name = "pictopy-sync"

    def __init__(self, build, library, settings=None):
        self.program = f"{build}/pictopy-sync"
        self.library = library
        self.settings = settings or {}
        self.notified = None
        self.directory = None
        self.port = None

    def command(self, root):
        assert root == self.library.root
        settings = {"database.path": self.library.database,
                    "thumbnails.directory": self.library.thumbnails,
                    "state.directory": self.library.state,
                    "http.listen": "localhost:0",
                    "backend.url": "http://127.0.0.1:9"} | self.settings
        return [self.program, "run", "--config", "/dev/null"] + [
            word for key, value in settings.items() for word in ("--set", f"{key}={value}")]

    def launch(self):
        """Starts it and waits for nothing."""
        self.directory = tempfile.TemporaryDirectory(prefix="pictopy-notify-")
        path = f"{self.directory.name}/socket"
        self.notified = Notified(path)
        self.process = Process(self.command(self.library.root), "stderr",
                               env=os.environ | {"NOTIFY_SOCKET": path,
                                                 "WATCHDOG_USEC": str(WATCHDOG_USEC)})

    def start(self, root=None):
        assert root in (None, self.library.root)
        self.launch()
        return (self.notified.wait() - self.process.started) / 1e9

    def _request(self, method, path):
        if self.port is None:
            match, _ = self.process.wait_line(r"listening on http://[^ ]*:(\d+)")
            self.port = int(match.group(1))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=200)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def settle(self):
        """Until all that has happened is in the database; when the answer came, in ns."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status, body = self._request("GET", "/watcher/settle?timeout_ms=100000")
            if status == 200:
                return time.monotonic_ns()
            if status != 504:
                raise BenchError(f"settle answered {status}: {body}")
        raise BenchError("it never settles")

    def counters(self):
        status, body = self._request("GET", "/debug/counters")
        if status != 200:
            raise BenchError(f"counters answered {status}: {body}")
        return json.loads(body)

    def rescan(self):
        """Has everything compared once more; how it was asked for."""
        status, _ = self._request("POST", "/watcher/rescan")
        if status in (200, 202):
            return "POST /watcher/rescan"
        lines = len(self.process.lines)
        self.process.process.send_signal(signal.SIGHUP)
        self.process.wait_line("configuration reloaded", lines)
        return "SIGHUP"

    def stop(self):
        if self.process:
            self.process.stop(signal.SIGTERM)
        if self.notified:
            self.notified.close()
        if self.directory:
            self.directory.cleanup()
        self.process = self.notified = self.directory = self.port = None
