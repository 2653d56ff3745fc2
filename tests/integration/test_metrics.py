"""What the daemon tells of itself: GET /metrics, the detail of GET /watcher/status, STATUS=."""

import os
import re
import shutil
import subprocess
import time

import pytest

import harness
from harness import wait_for

NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
HEAD = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\[\\"n])*)"')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


# ---- the format (version 0.0.4 of the text exposition format), held strictly ----

def labels_of(text):
    """(name, value) pairs; anything that is not exactly a list of labels is refused."""
    pairs = LABEL.findall(text)
    assert ",".join(f'{name}="{value}"' for name, value in pairs) == text, f"labels: {text}"
    assert len({name for name, _ in pairs}) == len(pairs), f"a label twice: {text}"
    return tuple(sorted(pairs))


def check_family(name, kind, samples):
    assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
    assert samples or name == "pictopy_sync_volume_state", f"{name} has no samples"
    for (_, labels), value in samples.items():
        assert value >= 0, f"{name}{labels}: {value}"
    if kind == "histogram":
        check_histogram(name, samples)


def check_histogram(name, samples):
    series = {}
    for (sample, labels), value in samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        bounds = [bound for label, bound in labels if label == "le"]
        assert len(bounds) == (sample == name + "_bucket"), f"{sample}{labels}"
        series.setdefault(rest, {})[bounds[0] if bounds else sample] = value
    for rest, values in series.items():
        total, _ = values.pop(name + "_count"), values.pop(name + "_sum")
        bounds = [float(bound) for bound in values]
        counts = list(values.values())
        assert bounds == sorted(bounds) and bounds[-1] == float("inf"), f"{name}{rest}: {bounds}"
        assert counts == sorted(counts), f"{name}{rest} is not cumulative: {counts}"
        assert counts[-1] == total, f"{name}{rest}: {counts[-1]} is not {total}"


def parse(text):
    """{(name, ((label, value), …)): number} of all samples; asserts that all is in its order:
    HELP, TYPE, then all samples of the family, no family and no sample twice."""
    assert text.endswith("\n") and "\n\n" not in text
    families, found, name, kind, pending = {}, {}, None, None, None
    for line in text[:-1].split("\n"):
        head = HEAD.fullmatch(line)
        if head and head[1] == "HELP":
            assert pending is None and head[2] not in families, f"twice or no TYPE: {line}"
            name = pending = head[2]
        elif head:
            assert head[2] == pending, f"TYPE without HELP before it: {line}"
            kind, pending = head[3], None
            assert kind in SUFFIXES, line
            families[name] = (kind, {})
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample and pending is None and name, f"not a sample of a family: {line}"
            assert sample[1] in [name + s for s in SUFFIXES[kind]], f"not of {name}: {line}"
            key = (sample[1], labels_of(sample[2] or ""))
            assert key not in found, f"twice: {line}"
            families[name][1][key] = found[key] = float(sample[3])
    assert pending is None
    for name, (kind, samples) in families.items():
        check_family(name, kind, samples)
    return found


GOOD = ("# HELP a_total x\n# TYPE a_total counter\na_total{k=\"v\"} 1\na_total 2\n"
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n"
        "h_sum 3\nh_count 2\n")


@pytest.mark.parametrize("old, new", [
    ("# HELP a_total x\n", ""), ("# TYPE a_total counter\n", ""), ("a_total 2", 'a_total{k="v"} 2'),
    ("a_total 2", "b_total 2"), ("a_total 2", "a_total two"), ("a_total 2", "a_total -2"),
    ("a_total 2\n", "a_total 2\n\n"), ("h_count 2\n", "h_count 2"), ("counter", "gauge"),
    ("a_total", "a"), ("a_total", "a-b_total"), ('{k="v"}', '{k="v",}'), ('{k="v"}', "{k=v}"),
    ('{k="v"}', '{k="v",k="w"}'), ('{k="v"}', '{k="a"b"}'), ('le="1"} 1', 'le="1"} 3'),
    ('le="+Inf"', 'le="2"'), ("h_count 2", "h_count 3"), ("h_sum 3\n", ""),
    ("# HELP h x", "# HELP a_total x"), ("# TYPE h histogram", "# TYPE a_total histogram"),
    ('le="1"', 'le="+Inf"'), ("counter", "untyped")])
def test_the_check_sees_what_is_wrong(old, new):
    assert len(parse(GOOD)) == 6
    assert old in GOOD
    with pytest.raises((AssertionError, ValueError, KeyError)):
        parse(GOOD.replace(old, new))


# ---- a live daemon ----

def scrape(lib):
    """The samples of GET /metrics as a function of name and labels; the text is checked."""
    status, headers, text = lib.daemon.request("GET", "/metrics")
    assert status == 200, text
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = parse(text)

    def value(name, **labels):
        if not name.startswith("process_"):
            name = "pictopy_sync_" + name
        return found[name, tuple(sorted(labels.items()))]

    value.found = found
    value.text = text
    return value


def detail(lib):
    status, body = lib.daemon.get("/watcher/status")
    assert status == 200
    return body["detail"]


def detail_with(lib, what, check, timeout=10):
    """The detail once it is so: it may be a quarter of a second behind."""
    def look():
        found = detail(lib)
        return found if check(found) else None
    return wait_for(what, look, timeout)


def state_of(lib, name, found):
    return {root["path"]: root["state"] for root in found["roots"]}.get(lib.path(name))


def test_numbers(library):
    lib = library(roots=("r", "s"))
    for i in range(5):
        lib.photo(f"r/{i}.jpg")
    lib.put("s/broken.jpg", b"not a photo")
    lib.start()
    before = scrape(lib)
    assert before("changes_total", object="media", result="added") == 5
    assert before("inotify_watches") == before("directories") == 2
    assert before("roots", state="online") == 2
    assert before("problems") == 1
    failures = before("media_failures_total")  # the broken one is tried again while it is young
    assert failures >= 1
    assert before("media_decodes_total", kind="photo") == 5 + failures
    assert before("media_decode_seconds_count", kind="photo") == 5 + failures
    assert before("thumbnails_total", result="written") == 5
    assert before("last_reconcile_timestamp_seconds") >= before("process_start_time_seconds") - 2
    assert before("rescans_total", reason="request") == 0

    lib.photo("r/new/x.jpg")
    lib.put("r/0.jpg", harness.media.jpeg(width=40, height=30))
    lib.rename("r/1.jpg", "s/1.jpg")
    lib.unlink("r/2.jpg")
    lib.settle()
    lib.rename("r/new", "s/renamed")
    lib.settle()
    lib.rmtree("s/renamed")
    assert lib.daemon.request("POST", "/watcher/rescan")[0] == 200
    lib.settle()
    after = scrape(lib)

    def more(name, **labels):
        return after(name, **labels) - before(name, **labels)

    assert [more("changes_total", object="media", result=what)
            for what in ("added", "modified", "moved")] == [1, 1, 1]
    assert [more("changes_total", object="folder", result=what)
            for what in ("added", "moved", "removed")] == [1, 1, 1]
    assert more("rescans_total", reason="request") == 1
    assert more("thumbnails_total", result="removed") >= 2
    for kind, least in (("created", 1), ("written", 1), ("moved_from", 2), ("moved_to", 2),
                        ("deleted", 2), ("ignored", 1)):
        assert more("inotify_events_total", type=kind) >= least, kind
    assert more("batch_operations_sum") >= more("database_operations_total") > 0
    assert more("database_lock_seconds_count") >= more("database_transactions_total") > 0
    assert after("in_sync") == after("ready") == after("database_connected") == 1
    assert after("changes_pending") == after("removals_held") == after("scans_running") == 0
    assert 0 < after("loop_stall_max_seconds") < 10 * harness.PATIENCE


def test_process(library):
    lib = library()
    lib.start()
    value = scrape(lib)
    pid = lib.daemon.process.pid
    assert abs(value("process_open_fds") - len(os.listdir(f"/proc/{pid}/fd"))) <= 2
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert 0.5 < value("process_resident_memory_bytes") / resident < 2
    assert abs(value("process_start_time_seconds") - time.time()) < 60 * harness.PATIENCE
    assert 0 < value("process_cpu_seconds_total") < 60 * harness.PATIENCE
    version = lib.daemon.get("/")[1]["version"]
    assert value("build_info", version=version) == 1


def test_counters_are_the_same_numbers(library):
    """One table drives both; times are microseconds there and seconds here."""
    lib = library()
    lib.photo("photos/a.jpg")
    lib.start()
    value, counters = scrape(lib), lib.daemon.get("/debug/counters")[1]
    assert counters["added"] == value("changes_total", object="media", result="added") == 1
    assert counters["watches"] == value("inotify_watches")
    assert counters["node_bytes"] == value("directory_tree_bytes")
    assert counters["lock_us_max"] == round(value("database_lock_max_seconds") * 1e6)
    assert counters["lock_us_total"] == round(value("database_lock_seconds_sum") * 1e6)
    assert counters["photo_us"] == round(value("media_decode_seconds_sum", kind="photo") * 1e6)
    assert all(type(number) is int for number in counters.values())


def test_promtool(library):
    promtool = shutil.which(os.environ.get("PROMTOOL", "promtool"))
    if not promtool:
        pytest.skip("no promtool: Debian's package prometheus has it")
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.start()
    result = subprocess.run([promtool, "check", "metrics"], input=scrape(lib).text, text=True,
                            capture_output=True, timeout=60 * harness.PATIENCE)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


# ---- states ----

def test_offline_root(library):
    lib = library(roots=("r", "gone"))
    os.rmdir(lib.path("gone"))
    lib.start()
    found = detail_with(lib, "one is offline", lambda d: any(
        r["state"] == "offline" for r in d["roots"]))
    assert {r["path"]: (r["state"], r.get("reason")) for r in found["roots"]} == {
        lib.path("r"): ("online", None),
        lib.path("gone"): ("offline", "No such file or directory")}
    value = scrape(lib)
    assert (value("roots", state="online"), value("roots", state="offline")) == (1, 1)
    lib.mkdir("gone")
    lib.settle()
    wait_for("both online", lambda: scrape(lib)("roots", state="online") == 2, 10)
    detail_with(lib, "both are online", lambda d: all(
        r == {"path": r["path"], "state": "online"} for r in d["roots"]))


def volume_states(lib, kind):
    """[state] of the volumes whose type begins so; each has one state, and zeros for the others."""
    states = {}
    for (name, labels), number in scrape(lib).found.items():
        if name != "pictopy_sync_volume_state":
            continue
        labels = dict(labels)
        volume = states.setdefault((labels["volume"], labels["type"]), {})
        assert labels["state"] not in volume and number in (0, 1)
        volume[labels["state"]] = number
    for volume in states.values():
        assert sorted(volume) == ["hung", "offline", "online", "polled"]
        assert sum(volume.values()) == 1, volume
    return [state for (_, type_), volume in states.items() if type_.startswith(kind)
            for state, number in volume.items() if number == 1]


def test_volumes(library, faulty):
    """A FUSE file system is polled; when it hangs that is said, and who asks waits for nothing."""
    lib = library(roots=("a", "far"), settings={"watch.hung_after": "300ms"})
    sick = faulty(lib, "backing", "far")
    lib.photo("a/x.jpg")
    lib.photo("far/y.jpg")
    lib.start()
    assert volume_states(lib, "fuse") == ["polled"]
    detail_with(lib, "polled", lambda d: state_of(lib, "far", d) == "polled" and state_of(
        lib, "a", d) == "online")
    sick.tell("hang all")
    lib.daemon.request("POST", "/watcher/rescan")
    lib.daemon.wait_line("does not answer", timeout=20)
    assert volume_states(lib, "fuse") == ["hung"]
    found = detail_with(lib, "hung", lambda d: state_of(lib, "far", d) == "hung")
    assert any(r.get("reason") == "its volume does not answer" for r in found["roots"])
    value = scrape(lib)
    assert (value("roots", state="hung"), value("volumes_hung")) == (1, 1)
    sick.tell("clear")
    lib.daemon.wait_line("answers again", timeout=20)
    detail_with(lib, "polled again", lambda d: state_of(lib, "far", d) == "polled")
    assert volume_states(lib, "fuse") == ["polled"]


def test_limit_of_watches(library):
    """The kernel's, and our share of it."""
    lib = library(roots=("r",), settings={"watch.limit_share": "1"})
    with open("/proc/sys/fs/inotify/max_user_watches", encoding="ascii") as file:
        limit = int(file.read())
    with open("/proc/sys/user/max_inotify_watches", encoding="ascii") as file:
        limit = min(limit, int(file.read()))
    lib.start()
    value = scrape(lib)
    assert value("inotify_watches_limit") == limit
    assert value("inotify_watches_budget") == limit // 100
    found = detail_with(lib, "one watch", lambda d: d["watches"] == {
        "used": 1, "limit": limit, "budget": limit // 100})
    assert found["polled_folders"] == value("directories_polled") == 0


def test_polled_directory(library):
    lib = library(roots=("r",), unprivileged=True)
    lib.mkdir("r/closed")
    lib.mkdir("r/open")
    os.chmod(lib.path("r/closed"), 0)
    lib.give_away()
    lib.start()
    assert scrape(lib)("directories_polled") == 1
    found = detail_with(lib, "polled", lambda d: d["polled_folders"] == 1)
    assert (found["watches"]["used"], found["problems"]) == (2, 1)
    os.chmod(lib.path("r/closed"), 0o755)
    lib.settle()
    wait_for("watched", lambda: scrape(lib)("inotify_watches") == 3)


def test_problems_are_counted(library):
    """Those that an earlier run found are counted too, and go when the file does."""
    lib = library(roots=("r",))
    lib.put("r/broken.jpg", b"not a photo")
    lib.start()
    assert scrape(lib)("problems") == 1
    lib.restart()
    assert scrape(lib)("problems") == 1
    detail_with(lib, "one problem", lambda d: d["problems"] == 1)
    lib.photo("r/broken.jpg")
    lib.settle()
    assert lib.daemon.problems() == {}
    wait_for("none", lambda: scrape(lib)("problems") == 0)
    detail_with(lib, "no problem", lambda d: d["problems"] == 0)


def test_without_a_database(library):
    """What cannot be had is not waited for."""
    lib = library(roots=("r",))
    lib.start()
    os.rename(lib.database, lib.database + ".away")
    wait_for("disconnected", lambda: scrape(lib)("database_connected") == 0, 20)
    os.rename(lib.database + ".away", lib.database)
    wait_for("connected", lambda: scrape(lib)("database_connected") == 1, 20)


def test_locked_database(library):
    lib = library(roots=("r",))
    lib.start()
    before = scrape(lib)("database_busy_total")
    with lib.connect() as db:
        db.execute("BEGIN EXCLUSIVE")
        lib.photo("r/a.jpg")
        found = wait_for("busy", lambda: (v := scrape(lib))("database_busy_total") > before and v,
                         20)
        assert found("in_sync") == 0 and found("changes_pending") == 1
        detail_with(lib, "pending", lambda d: d["pending"] == 1)
    lib.settle()
    assert scrape(lib)("in_sync") == 1
    detail_with(lib, "nothing pending", lambda d: d["pending"] == 0)


# ---- how often ----

def test_detail_of_an_import(library):
    """It changes, at most four times a second, and ends with nothing pending."""
    lib = library(roots=("r",), settings={"media.workers": "1"})
    count = 200
    lib.photos("r", count, width=2400, height=1800)
    lib.start(settle=False)
    began = time.monotonic()
    seen = []

    def over():
        found = detail(lib)
        if found and (not seen or seen[-1] != found):
            seen.append(found)
        return len(lib.rows("images")) == count

    wait_for("all photos", over, 120)
    took = time.monotonic() - began
    assert any(found["pending"] > 0 for found in seen)
    assert 2 <= len(seen) <= took / 0.25 + 2, f"{len(seen)} in {took:.1f} s"
    detail_with(lib, "all done", lambda d: d["pending"] == 0 and d["last_reconcile"])


def test_idle(library):
    """Nothing is made anew and nobody is woken up when nothing happens."""
    lib = library(roots=("r",))
    lib.photo("r/a.jpg")
    lib.start()
    detail_with(lib, "at rest", lambda d: d["last_reconcile"] and not d["scanning"])
    since, before, rounds = 0.0, None, 0

    def quiet_second():  # asking for the counters wakes the loop, asking for the detail does not
        nonlocal since, before, rounds
        found, now = detail(lib), time.monotonic()
        if found == before and now - since < 1:
            return False
        woken = lib.counter("loop_rounds") - rounds
        quiet = found == before and woken <= 3
        since, before, rounds = now, found, lib.counter("loop_rounds")
        return quiet

    wait_for("a second in which nothing happens", quiet_second, 20)
