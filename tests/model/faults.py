"""What befalls the daemon in the middle of a burst, and how it is undone.

kill, restart   SIGKILL or SIGTERM; started again later, after more operations
freeze          SIGSTOP; nothing is lost, everything is seen late and at once
overflow        SIGSTOP and more events than the kernel's queue holds. The limit is global and read
                when a daemon starts; it is left alone, since lowering it would reach every program
                on the machine: two files that change their modes in turns fill any queue quickly
lock            BEGIN EXCLUSIVE by somebody else
unmount         the file system of r3 goes away, and comes back
watches         the limit of watches is lowered, in a user namespace that the daemon runs in
"""

import os
import signal
import sqlite3
import subprocess
import threading

import harness
import names

OPS = {"kill", "restart", "start", "freeze", "thaw", "flood", "lock", "umount", "mount", "limit",
       "unlimit"}
QUEUE = "/proc/sys/fs/inotify/max_queued_events"
LIMIT = "/proc/sys/user/max_inotify_watches"


def is_fault(op):
    return op["op"] in OPS


class Faults:
    def __init__(self, world, wanted):
        self.world = world
        self.library = world.library
        self.frozen = False
        self.lock = None
        self.limited = False
        if "watches" in wanted:
            self.library.launcher = ["unshare", "--user", "--map-root-user"]
        self.can_limit = "watches" in wanted

    def do(self, model, op):
        arguments = {key: value for key, value in op.items() if key != "op"}
        return getattr(self, "do_" + op["op"])(model, **arguments)

    def running(self):
        return self.library.daemon is not None

    # -- the daemon's process --

    def do_kill(self, model):
        if not self.running():
            return False
        self.frozen = False
        self.library.kill()
        return model.do_kill()

    def do_restart(self, model):
        if not self.running():
            return False
        self.do_thaw(model)
        self.library.stop()
        return model.do_restart()

    def do_start(self, _model):
        if self.running():
            return False
        self.library.start(settle=False)
        return True

    def _signal(self, signo):
        self.library.daemon.process.send_signal(signo)

    def do_freeze(self, _model):
        if not self.running() or self.frozen:
            return False
        self._signal(signal.SIGSTOP)
        self.frozen = True
        return True

    def do_thaw(self, _model):
        if not self.frozen:
            return False
        self._signal(signal.SIGCONT)
        self.frozen = False
        return True

    def do_flood(self, model):
        if not self.running():
            return False
        self.do_freeze(model)
        with open(QUEUE, encoding="ascii") as file:
            count = int(file.read()) + 100
        where = os.open(self.world.disk("r1"), os.O_RDONLY | os.O_DIRECTORY)
        # Equal events in a row are merged, so there are two files.
        pair = [".flood-1", ".flood-2"]
        for name in pair:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=where))
        for i in range(count):
            os.chmod(pair[i & 1], 0o600, dir_fd=where)
        for name in pair:
            os.unlink(name, dir_fd=where)
        os.close(where)
        return model.do_flood()

    # -- the database --

    def do_lock(self, _model, ms):
        if self.lock:
            return False
        taken = threading.Event()
        self.lock = threading.Thread(target=self._hold, args=(ms, taken))
        self.lock.start()
        taken.wait()
        return True

    def _hold(self, ms, taken):
        connection = sqlite3.connect(self.library.database, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            taken.set()
            threading.Event().wait(ms / 1000)
            connection.execute("ROLLBACK")
        finally:
            taken.set()
            connection.close()

    def _unlock(self):
        if self.lock:
            self.lock.join()
            self.lock = None

    # -- the volume --

    def do_umount(self, model):
        """The generator puts a checkpoint before it, so that all rows of the volume are known."""
        if not model.mounted or names.VOLUME not in self.world.mounted:
            return False
        self.do_thaw(model)
        return self.world.umount(names.VOLUME) and model.do_umount()

    def do_mount(self, model):
        if model.mounted:
            return False
        self.world.mount(names.VOLUME)
        return model.do_mount()

    # -- watches --

    def _set_limit(self, count):
        subprocess.run(["nsenter", "--user", "--target", str(self.library.daemon.process.pid),
                        "sh", "-c", f"echo {count} > {LIMIT}"], check=True)

    def do_limit(self, model, count):
        if not self.running() or not self.can_limit:
            return False
        self._set_limit(count)
        self.limited = True
        return model.do_restart()  # what is not watched is found without cookies

    def do_unlimit(self, _model):
        if not self.limited or not self.running():
            return False
        self._set_limit(1_000_000)
        self.limited = False
        return True

    # -- the end --

    def patience(self, model):
        """Seconds that a checkpoint may wait: what the barrier does not cover is polled for."""
        return 10 * harness.PATIENCE if self.limited or model.volume_was_away else 0

    def end_burst(self, model):
        self._unlock()
        self.do_thaw(model)
        self.do_start(model)

    def end_all(self, model):
        self.end_burst(model)
        self.do_mount(model)
        self.do_unlimit(model)

    def let_go(self):
        """So that the daemon can be ended."""
        self._unlock()
        if self.frozen:
            self._signal(signal.SIGCONT)

