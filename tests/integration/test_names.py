"""Names that programs stumble over, as names of photos and of directories."""

import os
import subprocess

import pytest

import harness
import media

NAMES = {
    "spaces": " two  spaces ",
    "quotes": """it's "quoted" `so`""",
    "newline": "two\nlines",
    "tab and control": "a\tb\x01\x7f",
    "backslash": "back\\slash\\n",
    "percent": "100%",
    "percent format": "%s%n%20",
    "underscore": "a_b",
    "bracket": "a[0-9]b",
    "star": "a*b?c",
    "leading dash": "-rf",
    "semicolon": "x; DROP TABLE images; --",
    "umlaut composed": "gr\u00fc\u00dfe",
    "umlaut decomposed": "gru\u0308sse",
    "emoji": "\U0001f4f7 photo",
    "right to left": "\u05d0\u05d1\u05d2 \u200fx",
    "long utf-8": "a" + "\u00e9" * 125,
    "html": "<b>&amp;<br>",
    "json": '{"a": [1]}',
    "sqlite null": "NULL",
    "many dots": "a..b...",
    "one letter": "x",
    "looks like a number": "0012",
    "private use": "\ue000\ufffd",
}


@pytest.mark.parametrize("what", NAMES)
def test_name(library, what):
    """A photo and a directory of that name: written, renamed to it and from it, removed."""
    name = NAMES[what]
    lib = library(roots=("r",))
    lib.photo("r/plain.jpg")
    lib.photo("r/dir/in.jpg")
    lib.photo(f"r/{name}/before.jpg")
    photo = name + ".jpg"
    assert what != "long utf-8" or len(os.fsencode(photo)) == 255
    lib.photo(f"r/{photo}")
    names = {"r/plain.jpg", "r/dir/in.jpg", f"r/{name}/before.jpg", f"r/{photo}"}
    lib.start()
    lib.expect(names)
    before = {n: lib.decorate(n) for n in names}
    decoded = lib.counter("photos_decoded")

    lib.rename("r/plain.jpg", f"r/{name}/{photo}")
    lib.rename(f"r/{photo}", "r/plain2.jpg")
    lib.expect({f"r/{name}/{photo}", "r/plain2.jpg", "r/dir/in.jpg", f"r/{name}/before.jpg"})
    assert lib.identity(f"r/{name}/{photo}") == before["r/plain.jpg"]
    assert lib.identity("r/plain2.jpg") == before[f"r/{photo}"]

    lib.rename(f"r/{name}", "r/other")
    lib.rename("r/dir", f"r/{name}")
    names = {f"r/other/{photo}", "r/plain2.jpg", f"r/{name}/in.jpg", "r/other/before.jpg"}
    lib.expect(names)
    assert lib.identity(f"r/other/{photo}") == before["r/plain.jpg"]
    assert lib.identity(f"r/{name}/in.jpg") == before["r/dir/in.jpg"]
    assert lib.counter("photos_decoded") == decoded, "a rename decoded photos"
    lib.expect_idempotent()

    broken = name + ".png"
    lib.put(f"r/other/{broken}", b"not a photo")
    lib.expect(names, problems={f"r/other/{broken}"})
    lib.rename("r/other", "r/again")
    names = {n.replace("r/other/", "r/again/") for n in names}
    lib.expect(names, problems={f"r/again/{broken}"})
    lib.photo(f"r/again/{broken}")
    lib.expect(names | {f"r/again/{broken}"})

    lib.rmtree(f"r/{name}")
    lib.unlink(f"r/again/{photo}")
    lib.unlink(f"r/again/{broken}")
    lib.expect({"r/plain2.jpg", "r/again/before.jpg"})


# Names of which each is a prefix, a LIKE pattern or a near neighbour of another, in path order.
SIBLINGS = ["Trip", "Trip 2", "Trip!", "Trip#", "Trip%", "Trip-1", "Trip.d", "Trip0", "Trip2",
            "Trip22", "Trip_", "Trip~", "Trip\u00e9", "trip", "TripX", "Tri%", "T_ip"]


@pytest.mark.parametrize("change", ["renamed", "removed"])
@pytest.mark.parametrize("name", ["Trip", "Trip%", "Trip_", "Trip2", "T_ip", "Tri%"])
def test_siblings_are_left_alone(library, name, change):
    lib = library(roots=("a",))
    for sibling in SIBLINGS:
        lib.photo(f"a/{sibling}/1.jpg")
        lib.photo(f"a/{sibling}/Trip/2.jpg")
        lib.photo(f"a/{sibling}.jpg")
    names = {f"a/{s}{tail}" for s in SIBLINGS for tail in ("/1.jpg", "/Trip/2.jpg", ".jpg")}
    lib.start()
    lib.expect(names)
    ids = {row["path"]: row["id"] for row in lib.rows("images")}
    folders = {f["folder_path"]: f["folder_id"] for f in lib.rows("folders", "folder_path")}
    old, new = f"a/{name}", f"a/Moved {name}"
    inside = {n for n in names if n.startswith(old + "/")}
    if change == "renamed":
        lib.rename(old, new)
    else:
        lib.rmtree(old)
    after = names - inside
    if change == "renamed":
        after |= {new + n[len(old):] for n in inside}
    lib.expect(after)
    there = lib.path(old) + "/"
    for row in lib.rows("images"):
        path = row["path"].replace(lib.path(new) + "/", there)
        assert ids[path] == row["id"], f"{row['path']} has another id"
    for row in lib.rows("folders", "folder_path"):
        path = (row["folder_path"] + "/").replace(lib.path(new) + "/", there)[:-1]
        assert folders[path] == row["folder_id"], f"{row['folder_path']} has another id"
    assert lib.counter("photos_decoded") == len(names)


def test_a_root_that_is_a_prefix_of_another(library):
    lib = library(roots=("a/Trip", "a/Trip2"))
    lib.photo("a/Trip/1.jpg")
    lib.photo("a/Trip2/2.jpg")
    lib.start()
    lib.expect({"a/Trip/1.jpg", "a/Trip2/2.jpg"})
    lib.unlink("a/Trip/1.jpg")
    lib.expect({"a/Trip2/2.jpg"})
    with lib.connect() as db:
        db.execute("DELETE FROM folders WHERE folder_path = ?", (lib.path("a/Trip"),))
    lib.roots.remove("a/Trip")
    harness.wait_for("the folder is not watched any more",
                     lambda: lib.daemon.get("/folders")[1]["total_folders"] == 1)
    lib.photo("a/Trip/new.jpg")
    lib.photo("a/Trip2/new.jpg")
    lib.expect({"a/Trip2/2.jpg", "a/Trip2/new.jpg"})


def bad(text):
    """A name with a byte that is not UTF-8, as Python shows it."""
    return os.fsdecode(text.encode("latin-1"))


def test_not_utf8(library):
    """Skipped and listed as a problem; nothing else suffers."""
    lib = library(roots=("r",))
    lib.photo("r/good.jpg")
    lib.photo(bad("r/caf\xe9.jpg"))
    lib.photo(bad("r/d\xefr/inside.jpg"))
    lib.start()
    problems = {bad("r/caf\xe9.jpg"), bad("r/d\xefr")}
    lib.expect({"r/good.jpg"}, problems=problems)
    lib.photo(bad("r/new\xff\xfe.jpg"))
    lib.photo("r/new.jpg")
    lib.photo("r/dir/new.jpg")
    problems.add(bad("r/new\xff\xfe.jpg"))
    names = {"r/good.jpg", "r/new.jpg", "r/dir/new.jpg"}
    lib.expect(names, problems=problems)
    lib.expect_idempotent()

    lib.rename(bad("r/caf\xe9.jpg"), "r/caf\u00e9.jpg")
    lib.rename(bad("r/d\xefr"), "r/dir2")
    names |= {"r/caf\u00e9.jpg", "r/dir2/inside.jpg"}
    lib.expect(names, problems={bad("r/new\xff\xfe.jpg")})
    lib.rename("r/new.jpg", bad("r/n\xe9w.jpg"))
    lib.rename("r/dir", bad("r/d\xe9r"))
    lib.unlink(bad("r/new\xff\xfe.jpg"))
    lib.expect(names - {"r/new.jpg", "r/dir/new.jpg"},
               problems={bad("r/n\xe9w.jpg"), bad("r/d\xe9r")})


def test_lone_surrogate_and_overlong_bytes(library):
    lib = library(roots=("r",))
    names = [os.fsdecode(b"r/\xed\xa0\x80.jpg"), os.fsdecode(b"r/\xc0\xaf.jpg"),
             os.fsdecode(b"r/\xf4\x90\x80\x80.jpg"), os.fsdecode(b"r/cut\xe2\x82.jpg")]
    for name in names:
        lib.photo(name)
    lib.photo("r/good.jpg")
    lib.start()
    lib.expect({"r/good.jpg"}, problems=names)


def test_path_longer_than_path_max(library):
    """20 directories of 250 bytes each; the row's path is the long one."""
    lib = library(roots=("r",))
    lib.photo("r/short.jpg")
    lib.start()
    part = "d" * 250
    fd = os.open(lib.path("r"), os.O_RDONLY)
    name = "r"
    for _ in range(20):
        os.mkdir(part, dir_fd=fd)
        inner = os.open(part, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
        name += "/" + part
    put_at(fd, "far.jpg")
    names = {"r/short.jpg", name + "/far.jpg"}
    assert len(lib.path(name)) > 5000
    lib.expect(names)
    put_at(fd, "late.jpg")
    names.add(name + "/late.jpg")
    lib.expect(names)
    before = lib.decorate(name + "/far.jpg")
    os.rename("far.jpg", "further.jpg", src_dir_fd=fd, dst_dir_fd=fd)
    os.unlink("late.jpg", dir_fd=fd)
    os.close(fd)
    lib.expect({"r/short.jpg", name + "/further.jpg"})
    assert lib.identity(name + "/further.jpg") == before
    lib.expect_idempotent()
    lib.rename("r/" + part, "r/e")
    renamed = "r/e" + name[len("r/") + 250:] + "/further.jpg"
    lib.expect({"r/short.jpg", renamed})
    assert lib.identity(renamed) == before
    lib.rmtree("r/e")
    lib.expect({"r/short.jpg"})


def put_at(fd, name):
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=fd)
    os.write(file, media.jpeg())
    os.close(file)


# ---- the root / ----

def shared_libraries(program):
    """The files that a program needs to run in a tree of its own."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return {word for line in text.splitlines() for word in line.split() if word.startswith("/")}


def can_unshare():
    command = ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "x", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_root_at_slash(library):
    """`/` itself is registered, in a mount namespace whose / is a small tree."""
    if os.geteuid() != 0 or not can_unshare():
        pytest.skip("needs root and a mount namespace of its own")
    lib = library(roots=(".",), chroot=True)
    for file in shared_libraries(harness.BINARY) | {harness.BINARY}:
        target = lib.base + os.path.realpath(file)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run(["cp", "--reflink=auto", os.path.realpath(file), target], check=True)
        if os.path.realpath(file) != file:
            os.makedirs(os.path.dirname(lib.base + file), exist_ok=True)
            if not os.path.lexists(lib.base + file):
                os.symlink(os.path.realpath(file), lib.base + file)
    for directory in ("proc", "dev", "tmp"):
        lib.mkdir(directory)
    harness.write(lib.path("dev/null"), b"")  # a mount point: device nodes may not work here (nodev)
    # /proc is another file system, and never anyone's photos.
    lib.not_indexed.add("proc")
    script = ('mount --bind "$1" "$1" && cd "$1" && mount -t proc proc proc && '
              'mount --bind /dev/null dev/null && shift && exec chroot . "$@"')
    lib.launcher = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                    lib.base]
    lib.photo("photos/a.jpg")
    lib.photo("at-the-top.jpg")
    lib.start()
    names = {"photos/a.jpg", "at-the-top.jpg"}
    lib.expect(names)
    lib.decorate("photos/a.jpg")
    before = lib.identity("photos/a.jpg")
    lib.photo("top-too.jpg")
    lib.rename("photos", "pictures")
    lib.photo("new/deep/b.jpg")
    lib.expect({"pictures/a.jpg", "at-the-top.jpg", "top-too.jpg", "new/deep/b.jpg"})
    assert lib.identity("pictures/a.jpg") == before
    lib.expect_idempotent()
