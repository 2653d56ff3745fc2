"""The kernel's limits of inotify, lowered for one daemon."""

import contextlib
import fcntl
import subprocess

import pytest

QUEUE = "/proc/sys/fs/inotify/max_queued_events"


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


@contextlib.contextmanager
def queue_limit(value):
    """The kernel reads it when an inotify descriptor is made (inotify(7)): only for that moment."""
    with open(QUEUE, encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # tests run side by side, and each puts back what it found
        before = file.read()
        try:
            _write(QUEUE, str(value))
        except OSError as error:
            pytest.skip(f"{QUEUE} cannot be set: {error}")
        try:
            yield
        finally:
            _write(QUEUE, before)


class FewWatches:
    """A user namespace for the daemon, in which the limit of watches can be set at any time."""

    def __init__(self, lib, limit):
        self.lib = lib
        lib.launcher = ["unshare", "--user", "--map-root-user", "sh", "-c",
                        f"echo {limit} >/proc/sys/user/max_inotify_watches && exec \"$@\"", "sh"]
        self.skip_unless_possible()

    def skip_unless_possible(self):
        result = subprocess.run(self.lib.launcher + ["true"], capture_output=True, text=True,
                                check=False)
        if result.returncode != 0:
            pytest.skip(f"no user namespace: {result.stderr.strip()}")

    def set(self, limit):
        pid = str(self.lib.daemon.process.pid)
        subprocess.run(["nsenter", "--target", pid, "--user", "--preserve-credentials", "sh", "-c",
                        f"echo {limit} >/proc/sys/user/max_inotify_watches"], check=True)
