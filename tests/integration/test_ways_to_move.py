"""The ways to move and to edit a photo, side by side with PictoPy's own way to follow the disk.

On the photo there is all that a user and the AI can hang on one. Each way is played under a daemon;
at the same moments a copy of the database is synchronised as PictoPy does it (backend.py). What
each of the two has kept is a row of docs/identity.md (ways_page.py).
"""

import collections
import os
import shutil
import signal
import subprocess

import pytest

import limits
import media
import ways_page
from backend import Backend
from harness import edited, wait_for

A, B, C = "r/a.jpg", "r/dir/b.jpg", "r/dir/in/c.jpg"
OTHER, BOX, THERE = "s/other.jpg", "s/box/d.jpg", "far/there.jpg"
START = {A, B, C, OTHER, BOX, THERE}

Way = collections.namedtuple("Way", "title steps moved swept gone made pixels",
                             defaults=({}, (), (), False))
Way.__doc__ = """One way.

steps: shell commands, run in the library's directory, or functions of the library; between two of
them the daemon and PictoPy look at the disk. moved: {old name: new name} of the photos whose
identity is followed. swept: likewise, of others whose id only is looked at. gone: photos that are
deleted. made: new ones. pixels: the picture is another one afterwards.
"""


def exchange(a, b):
    return lambda lib: lib.exchange(a, b)


def below(directory):
    """The photos below r/dir when it is called so."""
    return {B: directory + "/b.jpg", C: directory + "/in/c.jpg"}


EXCHANGED = Way("two directories exchanged", [exchange("r/dir", "s/box")], below("s/box"),
                swept={BOX: "r/dir/d.jpg"})
RENAMED = [
    Way("renamed", ["mv r/a.jpg r/z.jpg"], {A: "r/z.jpg"}),
    Way("renamed, in case only", ["mv r/a.jpg r/A.JPG"], {A: "r/A.JPG"}),
    Way("renamed three times, through another root",
        ["mv r/a.jpg r/1.jpg && mv r/1.jpg s/2.jpg && mv s/2.jpg r/dir/3.jpg"], {A: "r/dir/3.jpg"}),
    Way("renamed over another photo", ["mv r/a.jpg s/other.jpg"], {A: OTHER}, gone=[OTHER]),
    Way("exchanged with another photo (RENAME_EXCHANGE)", [exchange(A, OTHER)], {A: OTHER},
        swept={OTHER: A}),
    Way("exchanged with another photo, through a third name",
        ["mv r/a.jpg r/t.jpg && mv s/other.jpg r/a.jpg && mv r/t.jpg s/other.jpg"], {A: OTHER},
        swept={OTHER: A}),
    Way("moved to another directory", ["mv r/a.jpg r/dir/in/z.jpg"], {A: "r/dir/in/z.jpg"}),
    Way("moved into a directory that has just been made",
        ["mkdir -p r/new/deep && mv r/a.jpg r/new/deep"], {A: "r/new/deep/a.jpg"}),
    Way("moved to another root", ["mv r/a.jpg s/z.jpg"], {A: "s/z.jpg"}),
    Way("moved, and another photo written in its place",
        ["mv r/a.jpg s/z.jpg && cp outside/new.jpg r/a.jpg"], {A: "s/z.jpg"}, made=[A]),
    Way("a hard link made, the original removed", ["ln r/a.jpg s/z.jpg", "rm r/a.jpg"],
        {A: "s/z.jpg"}),
    Way("a directory renamed", ["mv r/dir r/x"], below("r/x")),
    Way("a directory in a directory renamed", ["mv r/dir/in r/dir/x"], {C: "r/dir/x/c.jpg"}),
    Way("a directory moved to another root", ["mv r/dir s/box"], below("s/box/dir")),
    Way("a directory renamed twice, one in it taken out",
        ["mv r/dir r/x && mv r/x/in r/y && mv r/x s/x"], {B: "s/x/b.jpg", C: "r/y/c.jpg"}),
    EXCHANGED,
    Way("a directory renamed, another made in its place",
        ["mv r/dir r/x && mkdir r/dir && cp outside/new.jpg r/dir/b.jpg"], below("r/x"), made=[B]),
]

TO_ANOTHER_DISK = [
    Way("mv", ["mv r/a.jpg far/z.jpg"], {A: "far/z.jpg"}),
    Way("mv, from there", ["mv far/there.jpg r/z.jpg"], {THERE: "r/z.jpg"}),
    Way("mv of a directory", ["mv r/dir far"], below("far/dir")),
    Way("cp and rm", ["cp r/a.jpg far/z.jpg && rm r/a.jpg"], {A: "far/z.jpg"}),
    Way("cp, and rm a while later", ["cp r/a.jpg far/z.jpg", "rm r/a.jpg"], {A: "far/z.jpg"}),
    Way("cp and rm, to another root of the same disk", ["cp r/a.jpg s/z.jpg", "rm r/a.jpg"],
        {A: "s/z.jpg"}),
    Way("cp -a and rm -r of a directory", ["cp -a r/dir far", "rm -r r/dir"], below("far/dir")),
    Way("rsync --remove-source-files", ["rsync -t --remove-source-files r/a.jpg far/z.jpg"],
        {A: "far/z.jpg"}),
    Way("rsync --remove-source-files of a directory",
        ["rsync -a --remove-source-files r/dir far"], below("far/dir")),
    Way("a file manager (gio move)", ["gio move r/a.jpg far/z.jpg"], {A: "far/z.jpg"}),
    Way("a file manager, by a partial file",
        ["cp r/a.jpg far/z.jpg.part && mv far/z.jpg.part far/z.jpg", "rm r/a.jpg"],
        {A: "far/z.jpg"}),
]

AWAY_AND_BACK = [
    Way("out of the library, and back under another name",
        ["mv r/a.jpg outside", "mv outside/a.jpg s/back.jpg"], {A: "s/back.jpg"}),
    Way("a directory, out of the library and back",
        ["mv r/dir outside", "mv outside/dir s/back"], below("s/back")),
    Way("to a name that is no photo's, and back",
        ["mv r/a.jpg r/a.jpg.off", "mv r/a.jpg.off r/a.jpg"], {A: A}),
    Way("to the trash and restored (gio trash)",
        ["gio trash r/a.jpg", "mv home/.local/share/Trash/files/a.jpg r"], {A: A}),
    Way("to a trash directory on the same disk and restored",
        ["mkdir -p r/.Trash-0/files && mv r/a.jpg r/.Trash-0/files", "mv r/.Trash-0/files/a.jpg r"],
        {A: A}),
    Way("deleted, restored from a backup",
        ["cp r/a.jpg outside && rm r/a.jpg", "cp outside/a.jpg r/a.jpg"], {A: A}),
    Way("a directory deleted, restored from a tar",
        ["tar -cf outside/t.tar r/dir && rm -r r/dir", "tar -xf outside/t.tar"], {B: B, C: C}),
]

# Of what an editor does with the new file, outside/new version.
SAVED = {
    "a temporary file renamed over it (gio save, as GTK programs)": "gio save r/a.jpg <{new}",
    "both renamed, the old and the temporary file (as exiftool)":
        "cp {new} r/a.jpg_tmp && mv r/a.jpg r/a.jpg_original && mv r/a.jpg_tmp r/a.jpg",
    "renamed to a backup, then written (as vim, emacs)":
        "mv r/a.jpg r/a.jpg~ && cat {new} >r/a.jpg",
    "cut to nothing and written in place": "cat {new} >r/a.jpg",
}
EDITED = [
    Way(f"{what}: {how}", [command.format(new=new)], {A: A}, pixels=pixels)
    for what, new, pixels in (("EXIF", "outside/exif.jpg", False),
                              ("cropped", "outside/crop.jpg", True))
    for how, command in SAVED.items()
]
# Not while the daemon is down: a file with this inode and other content may be any new one.
EDITED_AND_MOVED = [
    Way("moved and cropped", ["mv r/a.jpg s/z.jpg && cat outside/crop.jpg >s/z.jpg"],
        {A: "s/z.jpg"}, pixels=True),
]

AT_ONCE = [
    Way("renamed", ["mv r/a.jpg r/z.jpg"], {A: "r/z.jpg"}),
    Way("moved to another root", ["mv r/a.jpg s/z.jpg"], {A: "s/z.jpg"}),
    Way("moved to another disk", ["mv r/a.jpg far/z.jpg"], {A: "far/z.jpg"}),
    Way("a directory moved to another root", ["mv r/dir s/box"], below("s/box/dir")),
    Way("a directory moved to another disk", ["mv r/dir far"], below("far/dir")),
    EXCHANGED,
]


# ---- under which conditions ----

class Live:
    """The daemon runs; how the others differ from it."""

    def start(self, lib):
        lib.start()

    def begin(self, lib):
        """Just before the first step."""

    def look(self, lib, backend):
        """Between two steps."""
        lib.settle()
        backend.sync()

    def end(self, lib, _names):
        """After the last step."""
        lib.settle()


class Down(Live):
    def begin(self, lib):
        lib.stop()

    def look(self, lib, backend):
        pass

    def end(self, lib, _names):
        lib.start()


class Killed(Down):
    def begin(self, lib):
        lib.kill()


class Overflow(Live):
    """All that happens is in a queue that runs over, and is lost from some moment on."""

    def start(self, lib):
        with limits.queue_limit(256):
            lib.start(settle=False)
        lib.settle()

    def begin(self, lib):
        lib.daemon.process.send_signal(signal.SIGSTOP)
        for i in range(400):  # an event each; equal ones in a row would be merged into one
            lib.put(f"r/{i % 2}.txt", b"")

    def end(self, lib, _names):
        lib.daemon.process.send_signal(signal.SIGCONT)
        lib.settle()
        assert lib.counter("overflows") > 0


class FewWatches(Live):
    """There are no watches to be had: everything is polled."""

    def start(self, lib):
        limits.FewWatches(lib, 1)
        lib.settings["watch.poll_interval"] = "300ms"
        lib.start()
        assert lib.counter("polled") > 0

    def end(self, lib, names):
        wait_for("a poll finds it", lambda: {row["path"] for row in lib.rows("images")}
                 == {lib.path(name) for name in names}, timeout=20)


GROUPS = {
    "Renamed and moved": (Live, RENAMED),
    "Moved to another file system, or copied and deleted": (Live, TO_ANOTHER_DISK),
    "Away and back": (Live, AWAY_AND_BACK),
    "Edited": (Live, EDITED + EDITED_AND_MOVED),
    "The same while the daemon is not running":
        (Down, RENAMED + TO_ANOTHER_DISK + AWAY_AND_BACK + EDITED),
    "After SIGKILL": (Killed, AT_ONCE),
    "Across an overflow of the kernel's queue": (Overflow, AT_ONCE),
    "When there are no watches to be had": (FewWatches, AT_ONCE),
}
CASES = [(group, condition, way)
         for group, (condition, ways) in GROUPS.items() for way in ways]


# ---- what is kept ----

def things(identity):
    """An identity, as the parts that the table speaks of."""
    return {
        "id": identity["id"],
        "favourite": identity["favourite"],
        "tags": (identity["tagged"], identity["tags"]),
        "named face": identity["faces"][:1],
        "other faces": identity["faces"][1:],
        "albums": identity["albums"],
        "embedding": (identity["embedded"], identity["embeddings"]),
        "memory": identity["memories"],
        "covers": (identity["covers"], identity["album covers"]),
    }


def kept(before, after):
    """What of every one of these photos is as it was."""
    parts = {}
    for old, identity in before.items():
        now = things(after[old]) if after[old] else {}
        for part, value in things(identity).items():
            parts[part] = parts.get(part, True) and now.get(part) == value
    return [part for part, same in parts.items() if same], len(parts)


def told(way, before, after):
    """A cell of the table."""
    parts, total = kept(before, after)
    if not parts:
        return "nothing"
    text = "everything" if len(parts) == total else ", ".join(parts)
    if way.pixels and "tags" in parts:
        return text + ", also what the AI saw in the older picture"
    return text + ("; the AI looks again" if way.pixels else "")


# ---- the test ----

@pytest.fixture
def lib(own_mounts, library):
    """Two roots on one file system and one on another."""
    lib = library(roots=("r", "s", "far"))
    lib.mount("-t", "tmpfs", "x", at="far")
    for name in START:
        lib.photo(name, width=96, height=64)
    picture = media.jpeg(width=96, height=64)
    lib.put(A, picture)
    lib.put("outside/exif.jpg", media.with_exif(picture))
    lib.put("outside/crop.jpg", media.cropped(picture))
    lib.photo("outside/new.jpg")
    return lib


def run(lib, step):
    if callable(step):
        step(lib)
        return
    program = step.split()[0]
    if not shutil.which(program):
        pytest.skip(f"no {program} here")
    environment = {"PATH": os.environ["PATH"], "HOME": lib.path("home")}
    subprocess.run(step, shell=True, check=True, cwd=lib.base, env=environment)


@pytest.mark.parametrize("number", range(len(CASES)),
                         ids=[f"{condition.__name__}: {way.title}" for _, condition, way in CASES])
def test_way(lib, number):
    group, condition, way = CASES[number]
    condition = condition()
    names = (START - set(way.moved) - set(way.swept) - set(way.gone)
             | set(way.moved.values()) | set(way.swept.values()) | set(way.made))
    condition.start(lib)
    lib.expect(START)
    for name in way.moved:
        lib.decorate(name)
    before = {name: lib.add_unnamed_faces(name) for name in way.moved}
    others = {name: lib.row(name)["id"] for name in START - set(way.moved) - set(way.gone)}
    backend = Backend(lib)

    condition.begin(lib)
    for step in way.steps:
        if step is not way.steps[0]:
            condition.look(lib, backend)
        run(lib, step)
    condition.end(lib, names)
    backend.sync()

    lib.expect(names)
    after = {old: lib.identity(new) for old, new in way.moved.items()}
    theirs = {old: backend.identity(new) for old, new in way.moved.items()}
    assert after == {old: edited(identity) if way.pixels else identity
                     for old, identity in before.items()}
    assert {name: lib.row(way.swept.get(name, name))["id"] for name in others} == others
    ways_page.publish(number, group, ways_page.row(
        way.title, told(way, before, after), told(way, before, theirs)))
