"""A library on disk, PictoPy's database beside it, and a real daemon that keeps the two in step.

    lib = Library(roots=("photos",))
    lib.photo("photos/a.jpg")
    lib.start()                     # returns once the daemon has settled
    os.rename(lib.path("photos/a.jpg"), lib.path("photos/b.jpg"))
    lib.expect({"photos/b.jpg"})    # settle, `check` exits 0, then every row, field and thumbnail

Names are relative to the library's own temporary directory. Nothing here sleeps: what a daemon has
to do is awaited with its settle barrier, what it says with its standard error.
"""

import atexit
import collections
import contextlib
import ctypes
import fcntl
import functools
import http.client
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
import uuid

import media
import schema
import verify

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get("PICTOPY_SYNC_BIN")
                         or os.path.join(TOP, "build", "pictopy-sync"))
# How much slower than usual everything may be (sanitizers, valgrind): multiplies every time-out.
PATIENCE = float(os.environ.get("PICTOPY_TEST_PATIENCE", "1"))
# Shrinks the mass tests: 0.1 makes a tenth of the files.
SCALE = float(os.environ.get("PICTOPY_TEST_SCALE", "1"))

LISTENING = re.compile(r"listening on http://[^ ]*:(\d+)")
SANITIZER = re.compile(r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer"
                       r"|runtime error:|AddressSanitizer:DEADLYSIGNAL")


def scaled(count, least=1):
    return max(least, int(count * SCALE))


# ---- file operations that Python does not have ----

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exchange(a, b):
    """Swaps two names in one step (renameat2(2), RENAME_EXCHANGE)."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), a)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def wait_for(what, check, timeout=5.0):
    """Polls what no barrier covers (another process's view, a row that SQL wrote)."""
    deadline = time.monotonic() + timeout * PATIENCE
    pause = threading.Event()
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout * PATIENCE:.0f} s: {what}"
        pause.wait(0.02)


@functools.cache
def binary_for_others():
    """The program where every user may run it: a clone below /root is closed to all but root."""
    parts = pathlib.Path(os.path.realpath(BINARY)).parents
    if all(os.stat(part).st_mode & stat.S_IXOTH for part in parts):
        return BINARY
    directory = tempfile.mkdtemp(prefix="pictopy-test-binary-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.chmod(directory, 0o755)
    return shutil.copy(BINARY, directory)


# ---- the daemon's process ----

class Daemon:
    """One running `pictopy-sync run`; its standard error goes to a file and is read as it comes."""

    def __init__(self, command, log, env, user=None, cwd="/"):
        self.log = log
        self.port = None
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self._may_read = threading.Event()
        self._may_read.set()
        extra = {}
        if user is not None:
            entry = pwd.getpwnam(user)
            extra = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        env=env, cwd=cwd, **extra)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with open(self.log, "ab") as file:
            for raw in self.process.stderr:
                file.write(raw)
                file.flush()
                line = raw.decode("utf-8", "replace").rstrip("\n")
                with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
                self._may_read.wait()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @contextlib.contextmanager
    def unread(self):
        """Nobody reads what it says; there is room for a page of it."""
        usual = fcntl.fcntl(self.process.stderr, fcntl.F_GETPIPE_SZ)
        fcntl.fcntl(self.process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        self._may_read.clear()
        try:
            yield
        finally:
            self._may_read.set()
            fcntl.fcntl(self.process.stderr, fcntl.F_SETPIPE_SZ, usual)

    def wait_line(self, pattern, timeout=20.0, start=0):
        """The first match of pattern in a line of standard error, from line number start on."""
        pattern = re.compile(pattern)
        seen = start

        def found():
            nonlocal seen
            while seen < len(self.lines):
                match = pattern.search(self.lines[seen])
                seen += 1
                if match:
                    return match
            return self._ended or None

        with self._news:
            match = self._news.wait_for(found, timeout * PATIENCE)
        assert match, f"no line {pattern.pattern!r} within {timeout * PATIENCE:.0f} s"
        assert match is not True, f"the daemon ended without a line {pattern.pattern!r}"
        return match

    def wait_lines(self, pattern, count, timeout=60.0):
        """Until that many lines of standard error match, or it has ended."""
        pattern = re.compile(pattern)
        seen = found = 0

        def enough():
            nonlocal seen, found
            while seen < len(self.lines):
                found += bool(pattern.search(self.lines[seen]))
                seen += 1
            return found >= count or self._ended

        with self._news:
            there = self._news.wait_for(enough, timeout * PATIENCE)
        assert there and not self._ended, f"{found} of {count} lines {pattern.pattern!r}"

    def children(self):
        """The ids of its own processes: the media workers."""
        found = set()
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/children", encoding="ascii") as file:
                found.update(map(int, file.read().split()))
        return found

    def wait_listening(self, timeout=20.0):
        self.port = int(self.wait_line(LISTENING, timeout).group(1))
        return self.port

    def stop(self, signo=signal.SIGTERM, timeout=20.0):
        """Ends it and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signo)
        return self.wait(timeout)

    def wait(self, timeout=20.0):
        code = self.process.wait(timeout * PATIENCE)
        # The media workers hold the same pipe; they end with the daemon.
        self._reader.join(timeout * PATIENCE)
        return code

    def kill(self):
        return self.stop(signal.SIGKILL)

    def request(self, method, path, body=None, headers=None, timeout=30.0):
        """(status, headers, body as parsed JSON, or as text where it is none)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=timeout * PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read().decode("utf-8")
            with contextlib.suppress(ValueError):
                return response.status, response.headers, json.loads(text)
            return response.status, response.headers, text
        finally:
            connection.close()

    def get(self, path, timeout=30.0):
        status, _, body = self.request("GET", path, timeout=timeout)
        return status, body

    def settle(self, timeout=60.0):
        """Returns once everything that has happened so far is in the database."""
        deadline = time.monotonic() + timeout * PATIENCE
        status = 504
        while status == 504 and time.monotonic() < deadline:
            # It answers after 120 s at the latest.
            ms = min(int((deadline - time.monotonic()) * 1000) + 1, 100000)
            status, body = self.get(f"/watcher/settle?timeout_ms={ms}", 130)
        assert status == 200, f"settle answered {status}: {body}"

    def counter(self, name):
        status, body = self.get("/debug/counters")
        assert status == 200, f"counters answered {status}: {body}"
        value = _find(body, name)
        assert value is not None, f"no counter {name} in {body}"
        return value

    def problems(self):
        """{path: reason} of GET /problems."""
        status, body = self.get("/problems")
        assert status == 200, f"problems answered {status}: {body}"
        assert body["total"] == len(body["problems"]), body
        return {item["path"]: item["reason"] for item in body["problems"]}


def _find(value, name):
    if isinstance(value, dict):
        if name in value:
            return value[name]
        for inner in value.values():
            found = _find(inner, name)
            if found is not None:
                return found
    return None


# ---- what hangs on a row ----

IDENTITY = {
    "tags": "SELECT class_id FROM image_classes WHERE image_id = :id ORDER BY 1",
    "faces": "SELECT face_id, cluster_id FROM faces WHERE image_id = :id ORDER BY 1",
    "albums": "SELECT album_id FROM album_images WHERE image_id = :id ORDER BY 1",
}
IDENTITY_NEWER = {
    "embedded": "SELECT isEmbedded FROM images WHERE id = :id",
    "embeddings": "SELECT embedding FROM image_embeddings WHERE image_id = :id",
    "memories": "SELECT memory_id FROM memory_images WHERE image_id = :id ORDER BY 1",
    "covers": "SELECT memory_id FROM memories WHERE cover_image_id = :id ORDER BY 1",
    "album covers": "SELECT album_id FROM albums WHERE cover_image_path = "
                    "(SELECT path FROM images WHERE id = :id) AND album_id IN "
                    "(SELECT album_id FROM album_images WHERE image_id = :id)",
}


def identity_in(db, path, table="images"):
    """The id of the row at this path and all that hangs on it; None without a row."""
    row = db.execute(f"SELECT * FROM {table} WHERE path = ?", (path,)).fetchone()
    if row is None:
        return None
    kept = {"id": row["id"], "favourite": row["isFavourite"], "tagged": row["isTagged"]}
    if table == "images":
        queries = IDENTITY | (IDENTITY_NEWER if "isEmbedded" in row.keys() else {})
        for what, query in queries.items():
            kept[what] = [tuple(r) for r in db.execute(query, {"id": row["id"]})]
    return kept


def edited(identity):
    """What stays of an identity when the picture is another one; its first face has a name."""
    changed = {"tagged": 0, "tags": [], "faces": identity["faces"][:1], "embedded": [(0,)],
               "embeddings": []}
    return {key: changed.get(key, value) for key, value in identity.items()}


# ---- the library ----

class Library:
    """Registered folders, a database, thumbnails and a daemon, all below one temporary directory."""

    def __init__(self, roots=("photos",), settings=None, old_schema=False, unprivileged=False,
                 chroot=False, base=None):
        self.base = base or tempfile.mkdtemp(prefix="pictopy-test-")
        os.chmod(self.base, 0o755)
        self.user = "nobody" if unprivileged and os.geteuid() == 0 else None
        self.chroot = chroot
        self.launcher = []
        self.roots = list(roots)
        self.not_indexed = set()  # directories that must have no row, though they are below a root
        self.database = self.path("data/database/PictoPy.db")
        self.thumbnails = self.path("data/thumbnails")
        self.state = self.path("state")
        self.config = self.path("pictopy-sync.conf")
        self.daemon = None
        self.daemons = []
        self.mounts = []
        self.old_schema = old_schema
        self.settings = {
            "database.path": self.view(self.database),
            "thumbnails.directory": self.view(self.thumbnails),
            "state.directory": self.view(self.state),
            "http.listen": "localhost:0",
            "backend.url": "http://127.0.0.1:9",
            "sync.import_grace": "0s",
        }
        self.settings.update(settings or {})
        for directory in (self.thumbnails, self.state, self.path("home"), self.path("outside")):
            os.makedirs(directory, exist_ok=True)
        write(self.config, b"")
        for root in self.roots:
            os.makedirs(self.path(root), exist_ok=True)
        schema.create(self.database, old_schema)
        for root in self.roots:
            self.register(root)
        if self.user:
            self.give_away()

    # -- names --

    def path(self, name):
        """The path of a name of this library, as this process sees it."""
        return os.path.normpath(os.path.join(self.base, name))

    def view(self, path):
        """The same path as the daemon sees it."""
        if not self.chroot:
            return path
        return "/" + os.path.relpath(path, self.base) if path != self.base else "/"

    def host(self, path):
        """A path of the daemon's, as this process sees it."""
        return self.base + path if self.chroot else path

    def give_away(self):
        """Hands everything to the user that the daemon runs as."""
        entry = pwd.getpwnam(self.user)
        for directory, _, files, fd in os.fwalk(self.base):
            os.chown(fd, entry.pw_uid, entry.pw_gid)
            for name in files:
                os.chown(name, entry.pw_uid, entry.pw_gid, dir_fd=fd, follow_symlinks=False)

    # -- things on disk --

    def mkdir(self, name):
        os.makedirs(self.path(name), exist_ok=True)
        return self.path(name)

    def put(self, name, data):
        """Writes a file (and its directories); returns its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, data)
        return path

    def photo(self, name, **options):
        data = media.png(**options) if name.lower().endswith(".png") else media.jpeg(**options)
        return self.put(name, data)

    def photos(self, directory, count, prefix="p", **options):
        """Many tiny photos in one directory; their names."""
        path = self.mkdir(directory)
        names = [f"{prefix}{i:05}.jpg" for i in range(count)]
        for name in names:
            write(os.path.join(path, name), media.jpeg(**options))
        return [f"{directory}/{name}" for name in names]

    def rename(self, a, b):
        os.rename(self.path(a), self.path(b))

    def exchange(self, a, b):
        exchange(self.path(a), self.path(b))

    def unlink(self, name):
        os.unlink(self.path(name))

    def rmtree(self, name):
        shutil.rmtree(self.path(name))

    def mount(self, *arguments, at):
        """mount(8), undone at the end; for tests with a mount namespace of their own."""
        subprocess.run(["mount", *arguments, self.path(at)], check=True)
        self.mounts.append(at)

    def umount(self, at):
        subprocess.run(["umount", self.path(at)], check=True)
        self.mounts.remove(at)

    # -- the database --

    @contextlib.contextmanager
    def connect(self, timeout=20.0):
        """A connection as the backend has it; committed at the end, and always closed."""
        db = sqlite3.connect(self.database, timeout=timeout * PATIENCE)
        db.row_factory = sqlite3.Row
        try:
            db.execute("PRAGMA foreign_keys = ON")
            yield db
            db.commit()
        finally:
            db.close()

    def rows(self, table, order="path"):
        with self.connect() as db:
            return [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY {order}")]

    def row(self, name, table="images"):
        with self.connect() as db:
            row = db.execute(f"SELECT * FROM {table} WHERE path = ?",
                             (self.view(self.path(name)),)).fetchone()
        return dict(row) if row else None

    def folder(self, name):
        with self.connect() as db:
            row = db.execute("SELECT * FROM folders WHERE folder_path = ?",
                             (self.view(self.path(name)),)).fetchone()
        return dict(row) if row else None

    def register(self, name, status="completed", ai_tagging=0, parent=None):
        """Adds a folder's row, as PictoPy's backend does."""
        path = self.path(name)
        folder_id = str(uuid.uuid4())
        values = {"folder_id": folder_id, "parent_folder_id": parent,
                  "folder_path": self.view(path), "AI_Tagging": ai_tagging,
                  "last_modified_time": int(os.stat(path).st_mtime) if os.path.exists(path) else 0,
                  "taggingCompleted": None}
        if not self.old_schema:
            values["indexing_status"] = status
        with self.connect() as db:
            db.execute(f"INSERT INTO folders ({', '.join(values)}) VALUES "
                       f"({', '.join(':' + key for key in values)})", values)
        return folder_id

    def decorate(self, name):
        """Gives a photo all that a user and the AI can hang on it; returns its identity().

        Two tags, a face with a name, two albums of which one has it as its cover, an embedding, a
        memory of which it is the cover.
        """
        row = self.row(name)
        assert row, f"{name} has no row"
        key = row["id"]
        with self.connect() as db:
            db.execute("UPDATE images SET isFavourite = 1, isTagged = 1 WHERE id = ?", (key,))
            cluster, album, other = (str(uuid.uuid4()) for _ in range(3))
            for number, tag in ((1, "dog"), (2, "beach")):
                db.execute("INSERT OR IGNORE INTO mappings VALUES (?, ?)", (number, tag))
                db.execute("INSERT INTO image_classes (image_id, class_id) VALUES (?, ?)",
                           (key, number))
            db.execute("INSERT INTO face_clusters VALUES (?, 'Ada', NULL)", (cluster,))
            db.execute("INSERT INTO faces (image_id, cluster_id, embeddings, confidence, bbox) "
                       "VALUES (?, ?, '[0.5]', 0.9, '{}')", (key, cluster))
            for each in (album, other):
                db.execute("INSERT INTO albums (album_id, album_name) VALUES (?, ?)", (each, each))
                db.execute("INSERT INTO album_images VALUES (?, ?)", (each, key))
            if not self.old_schema:
                db.execute("UPDATE albums SET cover_image_path = ? WHERE album_id = ?",
                           (row["path"], album))
                db.execute("UPDATE images SET isEmbedded = 1 WHERE id = ?", (key,))
                db.execute("INSERT INTO image_embeddings VALUES (?, 'm', x'00')", (key,))
                memory = str(uuid.uuid4())
                db.execute("INSERT INTO memories (memory_id, cover_image_id) VALUES (?, ?)",
                           (memory, key))
                db.execute("INSERT INTO memory_images VALUES (?, ?, 0)", (memory, key))
        return self.identity(name)

    def add_unnamed_faces(self, name):
        """Beside the one with a name that decorate() made."""
        key = self.row(name)["id"]
        with self.connect() as db:
            db.execute("INSERT INTO face_clusters VALUES (?, NULL, NULL), (?, '', NULL)",
                       (key + "null", key + "empty"))
            for cluster in (key + "null", key + "empty", None):
                db.execute("INSERT INTO faces (image_id, cluster_id) VALUES (?, ?)", (key, cluster))
        return self.identity(name)

    def identity(self, name, table="images"):
        """The id of a photo's row and all that hangs on it."""
        with self.connect() as db:
            return identity_in(db, self.view(self.path(name)), table)

    def dump(self):
        """Every row of every table, to see that nothing changed."""
        with self.connect() as db:
            tables = [r[0] for r in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            return {t: sorted((tuple(r) for r in db.execute(f"SELECT * FROM {t}")), key=repr)
                    for t in tables}

    # -- the daemon --

    def environment(self):
        kept = {k: v for k, v in os.environ.items()
                if k in ("PATH", "TZ", "LANG", "LD_LIBRARY_PATH") or k.endswith("SAN_OPTIONS")}
        home = self.view(self.path("home"))
        return kept | {"HOME": home, "XDG_DATA_HOME": home + "/data",
                       "XDG_STATE_HOME": home + "/state", "XDG_CONFIG_HOME": home + "/config",
                       "TMPDIR": "/tmp"}

    def arguments(self, settings=None):
        pairs = self.settings | (settings or {})
        return ["--config", self.view(self.config)] + [
            word for key, value in pairs.items() for word in ("--set", f"{key}={value}")]

    def command(self, name, *words, settings=None):
        binary = BINARY if self.user is None else binary_for_others()
        return self.launcher + [binary, name, *self.arguments(settings), *words]

    def spawn(self, settings=None):
        """Starts a daemon and does not wait for anything."""
        daemon = Daemon(self.command("run", settings=settings), self.path("daemon.log"),
                        self.environment(), self.user)
        self.daemons.append(daemon)
        return daemon

    def start(self, settle=True, settings=None):
        assert self.daemon is None, "a daemon runs already"
        self.daemon = self.spawn(settings)
        self.daemon.wait_listening()
        if settle:
            self.daemon.settle()
        return self.daemon

    def stop(self):
        daemon, self.daemon = self.daemon, None
        code = daemon.stop()
        assert code == 0, f"SIGTERM: exit status {code}"

    def kill(self):
        daemon, self.daemon = self.daemon, None
        daemon.kill()

    def restart(self):
        self.stop()
        return self.start()

    def run(self, name, *words, settings=None, timeout=60.0):
        """Runs a command of the program to its end."""
        extra = {}
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            extra = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return subprocess.run(self.command(name, *words, settings=settings),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="surrogateescape", timeout=timeout * PATIENCE,
                              env=self.environment(), cwd="/", **extra)

    def settle(self):
        self.daemon.settle()

    def counter(self, name):
        return self.daemon.counter(name)

    def check(self, code=0):
        """`check`: the program's own comparison of database and disk."""
        result = self.run("check", "--json", timeout=300)
        assert result.returncode == code, (
            f"check: exit status {result.returncode}, not {code}\n"
            f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}")
        return result

    # -- what must be true --

    def expect(self, names, stale=(), problems=(), sample=None, offline=()):
        """Settles, runs `check`, then looks at every row, field and file itself.

        names: the photos and videos that must have a row, and no other may.
        stale: of these, the ones whose row may tell of an earlier content.
        problems: the files that must be listed as skipped, and no other may; None: any.
        sample: look into so many photos and thumbnails only (all are counted).
        offline: roots whose disk is away: their rows stay and are not compared.
        """
        self.settle()
        self.check()
        if problems is not None:
            found = set(self.daemon.problems())
            wanted = {verify.shown(self.view(self.path(name))) for name in problems}
            assert found == wanted, verify.differences("problems", wanted, found)
        verify.everything(self, names, set(stale), sample, offline)

    def expect_if_running(self, names):
        """expect(), in the middle of a scenario that is also played with the daemon stopped."""
        if self.daemon:
            self.expect(names)

    def expect_idempotent(self):
        """A stop and a start change nothing and decode nothing."""
        before = self.dump()
        self.restart()
        after = self.dump()
        for table, rows in before.items():
            assert after.get(table) == rows, verify.differences(
                f"{table} after a restart", set(rows), set(after.get(table, ())))
        decoded = self.counter("photos_decoded")
        assert decoded == 0, f"{decoded} photos decoded again after a restart"

    # -- the end --

    def log_text(self, limit=20000):
        with contextlib.suppress(OSError), open(self.path("daemon.log"), "rb") as file:
            text = file.read().decode("utf-8", "replace")
            return text if len(text) < limit else "…" + text[-limit:]
        return ""

    def close(self):
        """Ends what runs, says what the sanitizers found, removes everything."""
        leftover = None
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                try:
                    daemon.stop()
                except subprocess.TimeoutExpired:
                    leftover = "a daemon did not end on SIGTERM"
                    daemon.kill()
        found = SANITIZER.search(self.log_text(10**8))
        for at in reversed(self.mounts):
            subprocess.run(["umount", "-l", self.path(at)], check=False)
        remove_tree(self.base)
        assert leftover is None, leftover
        assert found is None, f"a sanitizer complained: {found.group(0)}"


def remove_tree(path):
    """rm -rf that gets through directories made unreadable and paths of any length."""
    for _ in range(2):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return
        for directory, names, _, fd in os.fwalk(path):
            for name in names:
                with contextlib.suppress(OSError):
                    os.chmod(name, 0o700, dir_fd=fd)


# ---- scenario tables ----

Outcome = collections.namedtuple(
    "Outcome", "names moved decodes problems stale fresh loose folders edited",
    defaults=({}, None, (), (), (), (), {}, ()))
Outcome.__doc__ = """What a scenario leaves behind.

names: the photos that must have rows. moved: {old name: new name} of the photos whose id and all
that hangs on it must have come along. decodes: how many photos had to be decoded, None: any number.
problems, stale: see Library.expect(). fresh: names that must have a new id. loose: names of photos
and directories whose id may be old or new. edited: names whose picture is another one: what the AI
made of the older one is gone, all else stays. folders: {old name: new name} of directories that must have kept their id.
Photos and directories of the start that are still at their place must have their old id.
"""


class Table:
    """Scenarios, each a test of its own: a function that changes files and returns the Outcome.

    When the test plays it "down", the daemon is stopped before and started after.
    """

    def __init__(self):
        self.items = {}

    def __call__(self, down=False, user=False):
        def add(function):
            self.items[function.__name__] = (function, user)
            if down:
                self.items[function.__name__ + "-down"] = (function, user)
            return function
        return add

    def play(self, name, lib, start):
        """Plays a scenario in a library whose photos are `start`."""
        function, _ = self.items[name]
        lib.start()
        before = {photo: lib.decorate(photo) for photo in start}
        folders = {f["folder_path"]: f["folder_id"] for f in lib.rows("folders", "folder_path")}
        if name.endswith("-down"):
            lib.stop()
            outcome = function(lib)
            lib.start()
            decoded = 0
        else:
            decoded = lib.counter("photos_decoded")
            outcome = function(lib)
        lib.expect(outcome.names, outcome.stale, outcome.problems)
        decoded = lib.counter("photos_decoded") - decoded
        # Of many photos a few may be seen while they are still being written, and are read twice.
        twice = 0 if outcome.decodes is None else outcome.decodes // 20
        assert outcome.decodes is None or 0 <= decoded - outcome.decodes <= twice, (
            f"{decoded} photos decoded, not {outcome.decodes}")
        _identities(lib, outcome, before)
        _folder_ids(lib, outcome, folders)
        lib.expect_idempotent()


def _identities(lib, outcome, before):
    kept = {name: name for name in before
            if name in outcome.names and name not in outcome.fresh and name not in outcome.loose
            and name not in outcome.moved and name not in outcome.moved.values()}
    for old, new in (kept | outcome.moved).items():
        after = lib.identity(new)
        wanted = edited(before[old]) if new in outcome.edited else before[old]
        assert after == wanted, f"{old} -> {new}: {wanted} became {after}"
    ids = {identity["id"] for identity in before.values()}
    for name in outcome.fresh:
        identity = lib.identity(name)
        assert identity["id"] not in ids, f"{name} took over an id"
        assert not identity["favourite"] and not identity["albums"], f"{name}: {identity}"


def _folder_ids(lib, outcome, before):
    moved = {lib.view(lib.path(old)): lib.view(lib.path(new))
             for old, new in outcome.folders.items()}
    after = {f["folder_path"]: f["folder_id"] for f in lib.rows("folders", "folder_path")}
    taken = set(moved.values()) | {lib.view(lib.path(name)) for name in outcome.loose}
    for path, folder_id in before.items():
        new = moved.get(path, path)
        if path in moved or path in after and path not in taken:
            assert after.get(new) == folder_id, f"{path} -> {new}: the folder's id changed"
