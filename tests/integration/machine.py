"""A small machine that boots: systemd as process 1 in a container made from the host's own /usr.

No image is downloaded or unpacked: the root is an empty tree with a fresh /etc and /var, the host's
/usr is mounted read-only, and what `meson install` installs lies over it. It boots in about a second.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

BOOT_SECONDS = 60
PR_SET_PDEATHSIG = 1


def why_not():
    """The reason why no machine can be booted here, None when one can."""
    if os.geteuid() != 0:
        return "systemd-nspawn needs root"
    for tool in ("systemd-nspawn", "nsenter", "meson"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    if not os.path.exists("/usr/lib/systemd/systemd"):
        return "systemd is not installed"
    if not os.path.islink("/bin"):
        return "/usr is not merged here"
    return None


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Machine:
    """Boots on entry, is gone on exit. `root` is its file system, seen from outside."""

    def __init__(self, build, binds=()):
        self.build = build
        self.binds = list(binds)  # "outside:inside"
        self.base = tempfile.mkdtemp(prefix="pictopy-sync-machine-", dir="/var/tmp")
        self.root = os.path.join(self.base, "root")
        self.log = os.path.join(self.base, "console.log")
        self.nspawn = None
        self.leader = None

    def __enter__(self):
        try:
            self._make_root()
            self._boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.leader:
            # Process 1 of the container: the kernel ends all others with it.
            try:
                os.kill(self.leader, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.nspawn:
            try:
                self.nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        shutil.rmtree(self.base, ignore_errors=True)

    def path(self, inside):
        return self.root + inside

    def write(self, inside, text):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w", encoding="utf-8") as file:
            file.write(text)

    def _make_root(self):
        for name in ("etc", "var", "run", "tmp", "root", "home", "proc", "sys", "dev", "usr", "srv"):
            os.makedirs(self.path("/" + name))
        os.chmod(self.path("/tmp"), 0o1777)
        for name in ("bin", "sbin", "lib", "lib64", "lib32"):
            if os.path.islink("/" + name):
                os.symlink("usr/" + name, self.path("/" + name))
        # What programs of the host's /usr look for in /etc.
        shutil.copytree("/etc/alternatives", self.path("/etc/alternatives"), symlinks=True)
        shutil.copy("/etc/ld.so.cache", self.path("/etc"))
        shutil.copy("/usr/lib/os-release", self.path("/etc"))
        self.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
                                  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
        self.write("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
        self.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.write("/etc/hosts", "127.0.0.1 localhost\n")
        self.write("/etc/machine-id", "")
        self.write("/etc/systemd/journald.conf", "[Journal]\nStorage=volatile\nRateLimitBurst=0\n")
        # Nothing of the host's services is wanted.
        os.makedirs(self.path("/etc/systemd/system"))
        for unit in ("systemd-logind.service", "dbus.service", "dbus.socket", "getty.target"):
            os.symlink("/dev/null", self.path("/etc/systemd/system/" + unit))
        self.installed = os.path.join(self.base, "installed")
        subprocess.run(["meson", "install", "-C", self.build, "--no-rebuild", "--quiet"], check=True,
                       env=dict(os.environ, DESTDIR=self.installed), stdout=subprocess.DEVNULL)
        if os.path.isdir(self.installed + "/etc"):
            shutil.copytree(self.installed + "/etc", self.path("/etc"), dirs_exist_ok=True)

    def _boot(self):
        command = [
            "systemd-nspawn", "--quiet", "--directory=" + self.root, "--boot", "--register=no",
            "--keep-unit", "--private-network", "--console=pipe", "--bind-ro=/usr",
            # mlock(2) as on any machine; libraries of libavformat complain without it.
            "--system-call-filter=@memlock",
            f"--bind-ro={self.installed}/usr/local:/usr/local",
            *("--bind=" + bind for bind in self.binds),
            "systemd.unit=multi-user.target",
        ]
        with open(self.log, "wb") as log:
            self.nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        deadline = time.monotonic() + BOOT_SECONDS
        state = ""
        while state not in ("running", "degraded"):
            if time.monotonic() > deadline or self.nspawn.poll() is not None:
                raise MachineError(f"did not boot ({state or 'no systemd'}): {self.console()}")
            time.sleep(0.05)
            self.leader = self.leader or self._find_leader()
            if self.leader:
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def _find_leader(self):
        children = f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children"
        with open(children, encoding="ascii") as file:
            for child in file.read().split():
                with open(f"/proc/{child}/comm", encoding="utf-8") as comm:
                    if comm.read().strip() == "systemd":
                        return int(child)
        return None

    def console(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def run(self, *command, check=True, timeout=60, **options):
        """Runs a command as root inside; a CompletedProcess with its output as text."""
        enter = ["nsenter", "--target", str(self.leader), "--all", "--wd=/", "env", "-i",
                 "PATH=/usr/local/bin:/usr/bin:/usr/sbin", "SYSTEMD_COLORS=0", "LC_ALL=C.UTF-8"]
        result = subprocess.run(enter + list(command), capture_output=True, text=True,
                                timeout=timeout, stdin=subprocess.DEVNULL, check=False, **options)
        if check and result.returncode != 0:
            raise MachineError(f"{' '.join(command)}: status {result.returncode}\n"
                               f"{result.stdout}{result.stderr}")
        return result

    def show(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def get(self, path, timeout=30):
        """GET from the daemon inside: (status, JSON)."""
        script = ("import sys, urllib.request, urllib.error\n"
                  "try:\n"
                  "    answer = urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2]))\n"
                  "except urllib.error.HTTPError as error:\n"
                  "    answer = error\n"
                  "print(answer.status, answer.read().decode())\n")
        url = "http://localhost:52124" + path
        output = self.run("/usr/bin/python3", "-c", script, url, str(timeout)).stdout
        status, _, body = output.partition(" ")
        return int(status), json.loads(body)

    def journal(self, *matches):
        """The journal's entries of our unit as dictionaries."""
        output = self.run("journalctl", "--no-pager", "-q", "-o", "json", "-u", "pictopy-sync",
                          *matches).stdout
        return [json.loads(line) for line in output.splitlines()]


class MachineError(Exception):
    pass
