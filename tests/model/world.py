"""The real thing: directories, a database, a daemon, and the operations and faults done to them.

Database, thumbnails and state lie in memory (tmpfs): thousands of sequences would spend their time
in fsync(2). The photos lie on ext4, in images of its own that are mounted from files: it gives the
inode number of a removed file to the next one, which tmpfs does not, and it can be unmounted and
mounted again. Where nothing can be mounted, plain directories take their place.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import compare
import faults
import harness
import names
import operations
import pictures

SETTINGS = {"watch.settle": "20ms", "watch.settle_create": "60ms", "watch.settle_limit": "1s",
            "watch.poll_interval": "100ms", "media.workers": "1"}
VOLUMES = {"disk": "48M", names.VOLUME: "24M"}
PLACES = {"r1": "disk/r1", "r2": "disk/r2", names.OUT: "disk/out", names.VOLUME: names.VOLUME}


def memory():
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class World:
    def __init__(self, wanted=()):
        self.base = tempfile.mkdtemp(prefix="pictopy-model-", dir=memory())
        self.mounted = {}  # name -> image
        for name, size in VOLUMES.items():
            self._make_volume(name, size)
        self._make_targets()
        os.makedirs(f"{self.base}/disk/out")
        self.library = harness.Library(roots=[PLACES[root] for root in names.ROOTS],
                                       settings=SETTINGS, base=self.base)
        self.faults = faults.Faults(self, wanted)
        self.operations = operations.Operations(self.disk, f"{self.base}/targets")
        self.library.start()

    def disk(self, path):
        top, slash, rest = path.partition("/")
        return f"{self.base}/{PLACES[top]}{slash}{rest}"

    # -- volumes --

    def _make_volume(self, name, size):
        os.mkdir(f"{self.base}/{name}")
        image = f"{self.base}/{name}.img"
        commands = (["truncate", "-s", size, image],
                    ["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "root_owner=0:0", image],
                    ["mount", "-o", "loop", image, f"{self.base}/{name}"])
        for command in commands:
            try:
                if subprocess.run(command, capture_output=True, check=False).returncode:
                    return
            except FileNotFoundError:
                return
        self.mounted[name] = image
        os.rmdir(f"{self.base}/{name}/lost+found")

    def umount(self, name):
        """False when it cannot be: the daemon may be reading it at this moment."""
        at = f"{self.base}/{name}"
        try:
            harness.wait_for(f"{name} is not busy", lambda: subprocess.run(
                ["umount", at], capture_output=True, check=False).returncode == 0, 2)
        except AssertionError:
            return False
        return True

    def mount(self, name):
        subprocess.run(["mount", "-o", "loop", self.mounted[name], f"{self.base}/{name}"],
                       check=True)

    def _make_targets(self):
        os.makedirs(f"{self.base}/targets/directory")
        for number in range(pictures.COUNT):
            harness.write(f"{self.base}/targets/{number}.jpg", pictures.data(number))
        shutil.copy(f"{self.base}/targets/0.jpg", f"{self.base}/targets/directory/inside.jpg")

    # -- playing --

    def play(self, model, op):
        """One operation or fault, in the model and for real; False when it was passed over."""
        if op["op"] == "settle":
            self.checkpoint(model)
            return True
        if faults.is_fault(op):
            return self.faults.do(model, op)
        if not model.apply(op):
            return False
        self.operations.do(op)
        return True

    def checkpoint(self, model):
        self.faults.end_burst(model)
        self.library.settle()
        compare.compare(self, model, self.faults.patience(model))

    def clear(self, model):
        """Everything away again: rows and thumbnails must go as well."""
        self.faults.end_all(model)
        for top in names.TOPS:
            for name in os.listdir(self.disk(top)):
                path = f"{self.disk(top)}/{name}"
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
        self.library.settle()

    def close(self):
        with contextlib.suppress(Exception):
            self.faults.let_go()
        for name in self.mounted:
            self.library.mounts.append(name)
        try:
            self.library.close()
        finally:
            shutil.rmtree(self.base, ignore_errors=True)

    def log(self, start=0):
        with contextlib.suppress(OSError), open(self.library.path("daemon.log"), "rb") as file:
            file.seek(start)
            return file.read().decode("utf-8", "replace")
        return ""
