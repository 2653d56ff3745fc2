"""The service as systemd sees it: start, status, watchdog, reload, stop, journal; and the units."""

import contextlib
import json
import os
import subprocess
import time

import pytest

import harness
import machine

BUILD = os.environ.get("PICTOPY_SYNC_BUILD") or os.path.dirname(harness.BINARY)
UNIT = "pictopy-sync.service"
DATA = "/var/lib/pictopy-sync"
DATABASE = DATA + "/PictoPy/database/PictoPy.db"
PHOTOS = "/srv/photos"

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.skipif(machine.why_not() is not None, reason=str(machine.why_not())),
]


class Service(machine.Machine):
    """A booted machine with photos in /srv/photos and a database that knows them."""

    def add_photos(self, count, inside=PHOTOS):
        subprocess.run([BUILD + "/sample-photos", self.path(inside), str(count)], check=True)

    def init(self):
        """As the unit would: the same user and data directory."""
        self.write("/etc/systemd/system/init.service",
                   "[Service]\nType=oneshot\nUser=pictopy-sync\nStateDirectory=pictopy-sync\n"
                   f"Environment=XDG_DATA_HOME={DATA}\n"
                   f"ExecStart=/usr/local/bin/pictopy-sync init {PHOTOS}\n")
        self.run("systemctl", "start", "init.service")

    def drop_in(self, text):
        self.write(f"/etc/systemd/system/{UNIT}.d/test.conf", text)
        self.run("systemctl", "daemon-reload")

    def start(self):
        self.run("systemctl", "start", UNIT)

    def settle(self):
        deadline = time.monotonic() + 120 * harness.PATIENCE
        while self.get("/watcher/settle?timeout_ms=20000")[0] != 200:
            assert time.monotonic() < deadline, "did not settle"

    def sql(self, query):
        output = self.run("/usr/bin/python3", "-c",
                          "import json, sqlite3, sys\n"
                          "database = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True,"
                          " timeout=10)\n"
                          "print(json.dumps(database.execute(sys.argv[2]).fetchall()))\n",
                          DATABASE, query).stdout
        return json.loads(output)

    def main_pid(self):
        return int(self.show(UNIT, "MainPID"))


@pytest.fixture
def service():
    with Service(BUILD) as booted:
        booted.add_photos(5)
        yield booted


def wait_until(what, check, timeout=20):
    return harness.wait_for(what, check, timeout)


def test_units_are_valid(tmp_path):
    """systemd-analyze finds nothing to complain about in either unit."""
    for kind, options in (("system", []), ("user", ["--user"])):
        with open(f"{BUILD}/systemd/pictopy-sync.{kind}.service", encoding="utf-8") as file:
            text = file.read().replace("/usr/local/bin/pictopy-sync", harness.BINARY)
        unit = tmp_path / kind / UNIT
        unit.parent.mkdir()
        unit.write_text(text, encoding="utf-8")
        result = subprocess.run(["systemd-analyze", "verify", "--recursive-errors=no", *options,
                                 str(unit)],
                                env=dict(os.environ, XDG_RUNTIME_DIR=str(tmp_path)),
                                capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")


def test_start_returns_when_ready_and_not_before(service):
    """A thousand directories: when `systemctl start` returns, each one is watched."""
    for number in range(1000):
        os.makedirs(service.path(f"{PHOTOS}/many/{number:04}"))
    service.init()
    assert service.show(UNIT, "Type") == "notify"
    service.start()
    status, watcher = service.get("/watcher/status")
    assert status == 200 and watcher["is_running"]
    service.settle()
    after = service.get("/watcher/status")[1]
    # Trip 1, many, and what is in it; a directory gets its row in the same scan that watches it.
    assert watcher["folders_count"] >= 1
    assert after["folders_count"] == 1 + 1 + 1 + 1000
    assert service.sql("SELECT count(*) FROM images") == [[5]]
    assert service.show(UNIT, "ActiveState") == "active"


def test_start_waits_for_ready(service):
    """While the daemon has not said READY=1, the unit is activating and `start` does not return."""
    service.init()
    service.drop_in("[Service]\nExecStart=\n"
                    "ExecStart=/bin/sh -c 'kill -STOP $$$$; exec pictopy-sync run'\n")
    service.run("systemctl", "start", "--no-block", UNIT)
    pid = wait_until("a main process", service.main_pid)
    wait_until("the stop", lambda: ") T " in service.run("cat", f"/proc/{pid}/stat").stdout)
    assert service.show(UNIT, "ActiveState") == "activating"
    service.run("kill", "-CONT", str(pid))
    service.start()
    assert service.show(UNIT, "ActiveState") == "active"
    assert service.main_pid() == pid


def test_starts_without_a_database(service):
    """Nothing to watch yet is no reason to fail: it is ready, and says what is missing."""
    service.start()
    assert service.show(UNIT, "ActiveState") == "active"
    assert service.get("/health")[1]["database"] == "disconnected"
    assert service.show(UNIT, "StatusText")


def test_status_shows_the_status_text(service):
    service.init()
    service.start()
    service.settle()
    text = wait_until("STATUS=", lambda: service.show(UNIT, "StatusText"))
    shown = service.run("systemctl", "status", "--no-pager", UNIT).stdout
    assert f'Status: "{text}"' in shown


def test_watchdog_restarts_a_daemon_that_hangs(service):
    service.drop_in("[Service]\nWatchdogSec=2\nRestartSec=0\n")
    service.init()
    service.start()
    first = service.main_pid()
    # It outlives several periods on its own: the loop feeds the watchdog.
    assert service.run("sleep", "5").returncode == 0
    assert service.main_pid() == first
    service.run("kill", "-STOP", str(first))
    wait_until("another main process", lambda: service.main_pid() not in (0, first), 30)
    wait_until("active", lambda: service.show(UNIT, "ActiveState") == "active", 30)
    assert service.show(UNIT, "NRestarts") == "1"
    assert service.get("/health")[1]["status"] == "healthy"


def test_reload_takes_up_a_changed_configuration(service):
    service.init()
    service.start()
    pid = service.main_pid()
    service.write("/etc/pictopy-sync.conf", "[watch]\nignore_files = *.ignored.jpg\n")
    service.run("systemctl", "reload", UNIT)
    assert service.main_pid() == pid
    os.rename(service.path(PHOTOS + "/Trip 1/IMG_0001.jpg"), service.path("/srv/one.jpg"))
    os.link(service.path("/srv/one.jpg"), service.path(PHOTOS + "/Trip 1/x.ignored.jpg"))
    os.link(service.path("/srv/one.jpg"), service.path(PHOTOS + "/Trip 1/y.jpg"))
    service.settle()
    names = [row[0] for row in service.sql(
        "SELECT replace(path, '/srv/photos/Trip 1/', '') FROM images ORDER BY path")]
    assert names == [f"IMG_000{n}.jpg" for n in (2, 3, 4, 5)] + ["y.jpg"]


def test_reload_rejects_a_broken_configuration(service):
    service.init()
    service.start()
    pid = service.main_pid()
    service.write("/etc/pictopy-sync.conf", "[watch]\nsettle = soon\n")
    # systemctl says that it failed; so does the daemon when the signal comes without systemd.
    assert service.run("systemctl", "reload", UNIT, check=False).returncode != 0
    service.run("kill", "-HUP", str(pid))
    entry = wait_until("the error of the daemon itself", lambda: [
        entry for entry in service.journal()
        if "settle" in str(entry["MESSAGE"]) and entry["_PID"] == str(pid)])[0]
    assert int(entry["PRIORITY"]) <= 4
    assert service.main_pid() == pid
    assert service.show(UNIT, "ActiveState") == "active"
    assert service.get("/health")[1]["status"] == "healthy"


def test_start_with_a_broken_configuration(service):
    """It fails at once and says why; nothing is gained by trying again and again."""
    service.write("/etc/pictopy-sync.conf", "[watch]\nsettle = soon\n")
    assert service.run("systemctl", "start", UNIT, check=False).returncode != 0
    assert service.show(UNIT, "ActiveState") == "failed"
    assert (service.show(UNIT, "ExecMainStatus"), service.show(UNIT, "NRestarts")) == ("2", "0")
    assert [entry for entry in service.journal()
            if 'pictopy-sync.conf:2: bad value "soon"' in str(entry["MESSAGE"])]


def test_stop_in_the_middle_of_an_import(service):
    service.add_photos(600)
    service.init()
    service.start()
    wait_until("the first photos", lambda: service.sql("SELECT count(*) FROM images") != [[0]])
    started = time.monotonic()
    service.run("systemctl", "stop", UNIT)
    seconds = time.monotonic() - started
    assert service.sql("SELECT count(*) FROM images")[0][0] < 600, "the import was over already"
    assert seconds < 2 * harness.PATIENCE
    assert service.show(UNIT, "Result") == "success"
    # And what was left is done at the next start.
    service.start()
    service.settle()
    assert service.sql("SELECT count(*) FROM images") == [[600]]


def test_journal_finds_a_change_by_its_folder(service):
    service.init()
    service.start()
    service.settle()
    (folder,) = service.sql("SELECT folder_id FROM folders WHERE folder_path LIKE '%/Trip 1'")[0]
    os.rename(service.path(PHOTOS + "/Trip 1/IMG_0001.jpg"),
              service.path(PHOTOS + "/Trip 1/renamed.jpg"))
    service.settle()
    entries = wait_until("the entry", lambda: [
        entry for entry in service.journal("PICTOPY_FOLDER_ID=" + folder)
        if entry.get("PICTOPY_PATH") == PHOTOS + "/Trip 1/renamed.jpg"])
    assert entries[-1]["MESSAGE_ID"]
    assert entries[-1]["_SYSTEMD_UNIT"] == UNIT


@contextlib.contextmanager
def stopped(service, unit):
    service.run("systemctl", "kill", "-s", "STOP", unit)
    try:
        yield
    finally:
        service.run("systemctl", "kill", "-s", "CONT", unit)


def test_journal_stands_still(service):
    """Nobody waits for it."""
    service.init()
    service.drop_in("[Service]\nExecStart=\nExecStart=/usr/local/bin/pictopy-sync run "
                    "--set log.level=debug\n")
    service.start()
    service.settle()
    with stopped(service, "systemd-journald.service"):
        service.add_photos(700, PHOTOS + "/more")
        service.settle()
        assert service.get("/health")[1]["status"] == "healthy"
    os.rename(service.path(PHOTOS + "/Trip 1/IMG_0001.jpg"),
              service.path(PHOTOS + "/Trip 1/renamed.jpg"))
    wait_until("the next message", lambda: [
        entry for entry in service.journal()
        if entry.get("PICTOPY_PATH") == PHOTOS + "/Trip 1/renamed.jpg"])
    assert service.sql("SELECT count(*) FROM images") == [[5 + 700]]
    with stopped(service, "systemd-journald.service"):
        service.add_photos(700, PHOTOS + "/even more")
        service.settle()
        started = time.monotonic()
        service.run("systemctl", "stop", UNIT)
        assert time.monotonic() - started < 5 * harness.PATIENCE
        assert service.show(UNIT, "Result") == "success"


def test_stop_while_a_volume_hangs(library, faulty):
    """A stop takes less than 5 s, is a success, and the next start works at once."""
    lib = library(roots=())
    sick = faulty(lib, "backing", "far")
    with Service(BUILD, [sick.point + ":" + PHOTOS + "/far"]) as booted:
        booted.add_photos(3, PHOTOS)
        subprocess.run([BUILD + "/sample-photos", sick.point, "2"], check=True)
        booted.drop_in("[Service]\nEnvironment=PICTOPY_SYNC_WATCH_HUNG_AFTER=300ms\n")
        booted.init()
        booted.start()
        booted.settle()
        assert booted.sql("SELECT count(*) FROM images") == [[5]]
        sick.tell("hang all")
        booted.run("/usr/bin/python3", "-c",
                   "import urllib.request as u; u.urlopen(u.Request("
                   "'http://localhost:52124/watcher/rescan', method='POST'))")
        sick.tell("wait 1")
        began = time.monotonic()
        booted.run("systemctl", "stop", UNIT)
        took = time.monotonic() - began
        assert took < 5 * harness.PATIENCE, f"{took:.1f} s"
        assert booted.show(UNIT, "Result") == "success"
        assert booted.show(UNIT, "ActiveState") == "inactive"
        booted.start()
        assert booted.show(UNIT, "ActiveState") == "active"
        sick.tell("clear")
        booted.settle()
        assert booted.sql("SELECT count(*) FROM images") == [[5]]
