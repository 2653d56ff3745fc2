"""The guard: a scan that finds most of a library gone deletes nothing before somebody says so."""

import os
import shutil

import pytest

from harness import wait_for


def library_of(library, count=150, **settings):
    lib = library(roots=("r", "s"), settings=settings)
    names = lib.photos("r/a", count // 2) + lib.photos("r/b", count // 2) + ["s/x.jpg"]
    lib.photo("s/x.jpg")
    lib.start()
    lib.expect(names, sample=20)
    return lib, names


def ids(lib):
    return {row["path"]: row["id"] for row in lib.rows("images")}


def reason(lib, root):
    """Why a root is not simply online; the detail is made anew now and then only."""
    roots = lib.daemon.get("/watcher/status")[1]["detail"]["roots"]
    return next((r.get("reason", "") for r in roots if r["path"] == lib.path(root)), "")


def test_whole_story(library):
    """Held over a restart too, listed as a problem, confirmed by the command, then gone."""
    lib, names = library_of(library)
    before = ids(lib)
    lib.stop()
    shutil.rmtree(lib.path("r/a"))
    for name in names:
        if name.startswith("r/b/"):
            os.unlink(lib.path(name))
    lib.start()
    lib.photo("s/y.jpg")
    lib.settle()
    assert lib.row("s/y.jpg"), "another root waits"
    kept = ids(lib)
    assert all(kept[path] == i for path, i in before.items()), "rows went"
    assert "confirm" in lib.daemon.problems()[lib.path("r")]
    wait_for("its root tells of it", lambda: "confirmed" in reason(lib, "r"))
    warnings = [line for line in lib.daemon.lines if "before it is confirmed" in line]
    assert len(warnings) == 1, warnings

    lib.restart()
    assert all(ids(lib)[path] == i for path, i in before.items()), "a restart let it pass"
    lib.daemon.request("POST", "/watcher/rescan")
    lib.settle()
    assert all(ids(lib)[path] == i for path, i in before.items()), "a scan let it pass"

    result = lib.run("confirm", lib.path("r"), settings={"http.listen":
                                                          f"localhost:{lib.daemon.port}"})
    assert result.returncode == 0, result
    wait_for("they are removed", lambda: len(lib.rows("images")) == 2)
    lib.expect({"s/x.jpg", "s/y.jpg"})
    result = lib.run("confirm", lib.path("r"), settings={"http.listen":
                                                          f"localhost:{lib.daemon.port}"})
    assert result.returncode == 1, result


def test_files_come_back(library):
    lib, names = library_of(library)
    kept = lib.decorate(names[3])
    lib.stop()
    lib.rename("r/a", "outside/a")
    lib.rename("r/b", "outside/b")
    lib.start()
    assert len(lib.rows("images")) == len(names)
    lib.rename("outside/a", "r/a")
    lib.rename("outside/b", "r/b")
    lib.daemon.request("POST", "/watcher/rescan")
    wait_for("the problem is gone", lambda: lib.path("r") not in lib.daemon.problems())
    lib.expect(names, sample=20)
    assert lib.identity(names[3]) == kept
    assert lib.counter("photos_decoded") == 0
    # Later removals are not held: the guard starts anew.
    os.unlink(lib.path(names[0]))
    lib.expect(names[1:], sample=20)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_some_come_back_between(library, end):
    """Held, then ended, and most of the files are back before the next start: the few that are not
    go by themselves. Nothing of what was held before is remembered, or needs to be."""
    lib, names = library_of(library)
    kept = {name: lib.row(name)["id"] for name in names}
    lib.stop()
    lib.rename("r/a", "outside/a")
    lib.rename("r/b", "outside/b")
    lib.start()
    assert "confirm" in lib.daemon.problems()[lib.path("r")]
    if end == "kill":
        lib.kill()
    else:
        lib.stop()
    lib.rename("outside/a", "r/a")
    lib.rename("outside/b", "r/b")
    gone = names[:10]
    for name in gone:
        lib.unlink(name)
    lib.start()
    lib.expect(names[10:], sample=20)
    assert {name: lib.row(name)["id"] for name in names[10:]} == {
        name: kept[name] for name in names[10:]}
    assert lib.counter("photos_decoded") == 0


def test_moved_is_not_gone(library):
    """All directories of a root were moved into another one: nothing is held, nothing is lost."""
    lib, names = library_of(library)
    kept = {name: lib.row(name)["id"] for name in names}
    lib.stop()
    lib.rename("r/a", "s/a")
    lib.rename("r/b", "s/deep")
    lib.start()
    moved = {name: name.replace("r/a/", "s/a/").replace("r/b/", "s/deep/") for name in names}
    lib.expect(moved.values(), sample=20)
    assert {old: lib.row(new)["id"] for old, new in moved.items()} == kept


@pytest.mark.parametrize("how", ["live", "few", "less than half", "switched off"])
def test_not_held(library, how):
    """What is seen being deleted, and what is little, goes at once."""
    off = {"sync.guard_percent": "100"} if how == "switched off" else {}
    lib, names = library_of(library, 90 if how == "few" else 300, **off)
    if how != "live":
        lib.stop()
    shutil.rmtree(lib.path("r/a"))
    gone = ["r/a/"] if how == "less than half" else ["r/a/", "r/b/"]
    if how != "less than half":
        shutil.rmtree(lib.path("r/b"))
    if how != "live":
        lib.start()
    lib.expect([n for n in names if not n.startswith(tuple(gone))], sample=20)


def test_http_confirm(library):
    lib, names = library_of(library)
    lib.stop()
    shutil.rmtree(lib.path("r/a"))
    shutil.rmtree(lib.path("r/b"))
    lib.start()
    root = lib.folder("r")["folder_id"]
    status, _, body = lib.daemon.request("POST", "/folders/no-such-id/confirm")
    assert status == 200 and body["success"] is False, body
    status, _, body = lib.daemon.request("POST", f"/folders/{lib.folder('s')['folder_id']}/confirm")
    assert status == 200 and body["success"] is False, body
    assert lib.daemon.request("GET", f"/folders/{root}/confirm")[0] == 405
    assert lib.daemon.request("POST", "/folders//confirm")[0] == 404
    assert lib.daemon.request("POST", f"/folders/{root}/confirm",
                              headers={"Origin": "http://evil.example"})[0] == 403
    assert len(lib.rows("images")) == len(names)
    status, _, body = lib.daemon.request("POST", f"/folders/{root}/confirm")
    assert status == 200 and body["success"] is True, body
    lib.expect({"s/x.jpg"})


def test_command_says_what_is_wrong(library):
    lib = library(roots=("r",))
    lib.start()
    listen = {"http.listen": f"localhost:{lib.daemon.port}"}
    result = lib.run("confirm", "/no/such/folder", settings=listen)
    assert result.returncode == 2 and "/no/such/folder" in result.stderr, result
    lib.stop()
    result = lib.run("confirm", lib.path("r"), settings=listen)
    assert result.returncode == 2 and "not running" in result.stderr, result
