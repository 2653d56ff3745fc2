"""Equal files: an id is used once, stays with its file, and passes on by the rule of
docs/identity.md, however many photos have the same content."""

import collections
import itertools
import json
import os
import random
import shutil
import subprocess

import pytest

import media
from harness import scaled

SEED = os.environ.get("PICTOPY_TEST_SEED")
SEEDS = [int(SEED)] if SEED else range(4)


def graves(lib):
    """{id: path} of what is kept of deleted photos."""
    result = lib.run("graveyard", "list", "--json")
    assert result.returncode == 0, result.stderr
    return {grave["id"]: grave["path"] for grave in json.loads(result.stdout)["graves"]}


# ---- the rule ----

# age: the rowid; own: has the user marked it? time: its file's mtime
Row = collections.namedtuple("Row", "id kind age own time")
Grave = collections.namedtuple("Grave", "path number row")
NEW = "new"


def tail(a, b):
    """How many components two names have in common at their ends."""
    pairs = zip(reversed(a.split("/")), reversed(b.split("/")))
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def head(a, b):
    return len(os.path.commonprefix([a, b]))


class Rule:
    """What docs/identity.md says of equal files, one change at a time."""

    def __init__(self):
        self.rows = {}  # name -> Row
        self.graves = []
        self.numbers = itertools.count()

    def twins(self, kind):
        return {name: row for name, row in self.rows.items() if row.kind == kind}

    def arrive(self, name, kind, time):
        """A file of this content is at a name that had none."""
        twins = self.twins(kind).values()
        same = [grave for grave in self.graves if grave.row.kind == kind]
        here = [grave for grave in same if grave.path == name]
        back = [grave for grave in same if grave.row.time == time]
        if any(twin.time == time for twin in twins) or (twins and not back):
            same = []
        if found := here or (back if same else []) or same:
            grave = max(found, key=lambda g: (tail(g.path, name), g.number))
            self.graves.remove(grave)
            self.rows[name] = grave.row._replace(time=time)
        else:
            self.rows[name] = Row(NEW, kind, None, False, time)

    def leave(self, name, never=()):
        """The file of this name is gone."""
        row = self.rows.pop(name)
        heirs = [other for other, twin in self.twins(row.kind).items()
                 if twin.age > row.age and not twin.own and other not in never]
        if heirs:
            heir = max(heirs, key=lambda other: (tail(other, name), head(other, name),
                                                 self.rows[other].age))
            self.rows[heir] = row._replace(time=self.rows[heir].time)
        else:
            self.graves.append(Grave(name, next(self.numbers), row))

    def move(self, name, new):
        if new in self.rows:
            self.leave(new, never=[name])
        self.rows[new] = self.rows.pop(name)


# ---- the player ----

class Game:
    """Random changes of a few names, so that they meet; the rule is told of each."""

    NAMES = [f"{directory}/{i}.jpg" for directory in ("r", "r/d", "s", "s/d") for i in range(4)]

    def __init__(self, lib, seed):
        self.lib = lib
        self.dice = random.Random(seed)
        self.rule = Rule()
        self.seen = set()
        self.outside = []  # (name, kind) of those that were moved out
        self.empty = set()
        self.story = [f"seed {seed}"]
        for kind in range(3):
            lib.put(f"outside/stock{kind}.jpg", media.jpeg())

    # -- changes --

    def pick(self, names):
        return self.dice.choice(sorted(names)) if names else None

    def free(self):
        return [name for name in self.NAMES if name not in self.rule.rows
                and name not in self.empty]

    def tell(self, *words):
        self.story.append(" ".join(map(str, words)))

    def arrive(self, name, kind):
        self.rule.arrive(name, kind, os.stat(self.lib.path(name)).st_mtime_ns)

    def copy(self, source, new, ways=(shutil.copyfile, shutil.copy2, os.link)):
        how = self.dice.choice(ways)
        self.tell(how.__name__, source, new)
        how(self.lib.path(source), self.lib.path(new))
        self.arrive(new, self.rule.rows[source].kind)

    def restore(self, new):
        kind = self.dice.randrange(3)
        self.tell("restore", kind, new)
        shutil.copyfile(self.lib.path(f"outside/stock{kind}.jpg"), self.lib.path(new))
        self.arrive(new, kind)

    def move(self, name, new):
        self.tell("move", name, new)
        self.lib.rename(name, new)
        self.rule.move(name, new)

    def delete(self, name):
        self.tell("delete", name)
        self.lib.unlink(name)
        self.rule.leave(name)

    def move_out(self, name):
        away = f"outside/{len(self.story)}.jpg"
        self.tell("move out", name)
        self.lib.rename(name, away)
        self.outside.append((away, self.rule.rows[name].kind))
        self.rule.leave(name)

    def move_in(self, new):
        away, kind = self.outside.pop()
        self.tell("move in", kind, new)
        self.lib.rename(away, new)
        self.arrive(new, kind)

    def toggle_empty(self):
        """A file without content is no photo, and nobody's twin."""
        if self.empty and self.dice.random() < 0.5:
            name = self.empty.pop()
            self.tell("delete empty", name)
            self.lib.unlink(name)
        elif len(self.empty) < 3 and (name := self.pick(self.free())):
            self.tell("make empty", name)
            self.lib.put(name, b"")
            self.empty.add(name)

    def mark(self, names):
        """The user makes these favourites."""
        with self.lib.connect() as db:
            for name in names:
                db.execute("UPDATE images SET isFavourite = 1 WHERE path = ?",
                           (self.lib.path(name),))
                self.rule.rows[name] = self.rule.rows[name]._replace(own=True)

    def one_change(self):
        rows, free = self.rule.rows, self.free()
        name, new = self.pick(rows), self.pick(free)
        action = self.dice.choice(["copy", "copy", "restore", "restore", "move", "over", "delete",
                                   "delete", "move_out", "move_in", "empty"])
        if action == "empty":
            self.toggle_empty()
        elif action == "restore" and new:
            self.restore(new)
        elif action == "move_in" and new and self.outside:
            self.move_in(new)
        elif action in ("copy", "move") and name and new:
            getattr(self, action)(name, new)
        elif action == "over" and len(rows) > 1:
            other = self.pick(set(rows) - {name})
            # rename(2) of one link over another of the same file does nothing.
            if not os.path.samefile(self.lib.path(name), self.lib.path(other)):
                self.move(name, other)
        elif action in ("delete", "move_out") and name:
            getattr(self, action)(name)

    # -- looking --

    def found(self):
        """{name: (id, rowid)}"""
        with self.lib.connect() as db:
            rows = db.execute("SELECT path, id, rowid FROM images").fetchall()
        assert len({row["id"] for row in rows}) == len(rows), self.story
        return {os.path.relpath(row["path"], self.lib.base): (row["id"], row["rowid"])
                for row in rows}

    def learn(self, name, key, age):
        """The row is what the rule says; its new id and its age are known now."""
        row = self.rule.rows[name]
        if row.id == NEW:
            assert key not in self.seen, f"{name} took the id {key}: {self.story}"
        else:
            assert key == row.id, f"{name} has the id {key}, not {row.id}: {self.story}"
        self.seen.add(key)
        self.rule.rows[name] = row._replace(id=key, age=age)

    def check(self):
        found = self.found()
        assert set(found) == set(self.rule.rows), self.story
        for name, (key, age) in found.items():
            self.learn(name, key, age)

    def check_graves(self):
        """What was the user's is with its file, with a twin, or kept."""
        there = {key: os.path.relpath(path, self.lib.base)
                 for key, path in graves(self.lib).items()}
        assert there == {grave.row.id: grave.path for grave in self.rule.graves}, self.story


@pytest.fixture
def game(library, request):
    lib = library(roots=("r", "s"), settings={"watch.settle": "30ms"})
    game = Game(lib, request.param)
    for name in game.NAMES:
        lib.mkdir(os.path.dirname(name))
    lib.start()
    return game


# ---- one change at a time: exactly by the rule ----

@pytest.mark.parametrize("game", SEEDS, indirect=True)
def test_one_by_one(game):
    for number in range(scaled(60, 20)):
        down = game.dice.random() < 0.1
        if down:
            game.tell("down")
            game.lib.stop()
        game.one_change()
        if down:
            game.lib.start()
        game.lib.settle()
        game.check()
        if game.dice.random() < 0.3:
            game.mark(game.dice.sample(sorted(game.rule.rows), len(game.rule.rows) // 3))
        if number % 10 == 0:
            game.check_graves()
    game.lib.expect(game.rule.rows, problems=game.empty)
    game.check_graves()


# ---- many changes at once: as many as can be kept, and of the others nothing is lost ----

@pytest.mark.parametrize("game", SEEDS, indirect=True)
def test_at_once(game):
    """Copies come, files move, originals go: who gets which id depends on what was seen first, how
    many are kept does not."""
    for _ in range(scaled(40, 10)):
        game.mark(game.rule.rows)
        kinds = {row.kind for row in game.rule.rows.values()}
        down = game.dice.random() < 0.2
        if down:
            game.tell("down")
            game.lib.stop()
        buried = list(game.rule.graves)
        came, gone = shuffle(game)
        game.rule.graves = buried  # whoever got one is seen below
        if down:
            game.lib.start()
        game.lib.settle()
        found = game.found()
        assert set(found) == set(game.rule.rows), game.story
        for name in set(found) - came:
            game.learn(name, *found[name])  # its file is there, and so is its id
        for kind in range(3):
            names = {name for name in came if game.rule.rows[name].kind == kind}
            lost = {row.id: (name, row) for name, row in gone.items() if row.kind == kind}
            hand_over(game, kind, {name: found[name] for name in names}, lost, kind in kinds)
        game.check_graves()
    game.lib.expect(game.rule.rows)


def shuffle(game):
    """Some files come, some move, some go, in this order: the names of those that came, the rows of
    those that went."""
    came = set()
    for new in game.dice.sample(game.free(), min(len(game.free()), game.dice.randint(0, 4))):
        source = game.pick(set(game.rule.rows) - came)
        if source and game.dice.random() < 0.7:
            game.copy(source, new, [shutil.copyfile, shutil.copy2])
        else:
            game.restore(new)
        came.add(new)
    stay = set(game.rule.rows) - came
    for name in game.dice.sample(sorted(stay), min(len(stay), game.dice.randint(0, 2))):
        if new := game.pick(game.free()):
            game.move(name, new)
            stay.remove(name)
    gone = {}
    for name in game.dice.sample(sorted(stay), min(len(stay), game.dice.randint(0, 3))):
        game.tell("delete", name)
        game.lib.unlink(name)
        gone[name] = game.rule.rows.pop(name)
    return came, gone


def hand_over(game, kind, came, lost, had_twins):
    """Of one content: came: {name: (id, rowid)}, lost: {id: (name, row)}."""
    rule = game.rule
    buried = {grave.row.id: grave for grave in rule.graves if grave.row.kind == kind}
    here = {name for name in came if name in {grave.path for grave in buried.values()}}
    handed = {key for key, _ in came.values() if key in lost}
    risen = {key: name for name, (key, _) in came.items() if key in buried}
    if had_twins:
        assert all(buried[key].path == name for key, name in risen.items()), game.story
        assert len(risen) == len(here), game.story
        assert len(handed) == min(len(lost), len(came) - len(here)), game.story
    elif came and buried:  # the first may be any of them, and is nobody's copy
        assert max(len(here), 1) <= len(risen) <= len(here) + 1, game.story
    for name, (key, age) in came.items():
        assert key in lost or key in buried or key not in game.seen, game.story
        game.seen.add(key)
        rule.rows[name] = rule.rows[name]._replace(id=key, age=age,
                                                   own=key in lost or key in buried)
    rule.graves = [grave for grave in rule.graves if grave.row.id not in risen]
    rule.graves += [Grave(name, next(rule.numbers), row)
                    for key, (name, row) in lost.items() if key not in handed]


# ---- very many: each its own, by where they stand ----

CROWD = {  # commands, and where the tree is then
    "mv to another file system": (["mv r/t far"], "far"),
    "cp and rm, to another file system": (["cp -r r/t far", "rm -r r/t"], "far"),
    "restored from a tar":
        (["tar -cf outside/t.tar r/t && rm -r r/t", "tar -xf outside/t.tar"], "r"),
    "restored from a tar, elsewhere":
        (["tar -C r -cf outside/t.tar t && rm -r r/t", "tar -C s -xf outside/t.tar"], "s"),
    "out and back in, elsewhere": (["mv r/t outside", "mv outside/t s"], "s"),
}


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
@pytest.mark.parametrize("how", CROWD)
def test_crowd(own_mounts, library, how, down):
    """Forty equal photos in eight directories that hold the same names, each with albums of its
    own."""
    commands, where = CROWD[how]
    lib = library(roots=("r", "s", "far"), settings={"sync.guard_percent": "100"})
    lib.mount("-t", "tmpfs", "x", at="far")
    names = [f"t/d{i % 8}/{i // 8}.jpg" for i in range(40)]
    picture = media.jpeg()
    for number, name in enumerate(names):
        os.utime(lib.put(f"r/{name}", picture), (0, 1_600_000_000.25 + number))
    lib.start()
    before = {name: lib.decorate(f"r/{name}") for name in names}
    for command in commands:
        if down:
            lib.stop()
        subprocess.run(command, shell=True, check=True, cwd=lib.base)
        if down:
            lib.start()
        lib.settle()
    lib.expect({f"{where}/{name}" for name in names})
    assert {name: lib.identity(f"{where}/{name}") for name in names} == before


# ---- single cases ----

def test_a_copy_is_a_copy(library):
    """While the original stays, and a copy that the user has made something of stays what it is."""
    lib = library()
    lib.photo("photos/a.jpg")
    lib.start()
    before = lib.decorate("photos/a.jpg")
    shutil.copy2(lib.path("photos/a.jpg"), lib.path("photos/copy.jpg"))
    lib.expect({"photos/a.jpg", "photos/copy.jpg"})
    assert lib.identity("photos/a.jpg") == before
    copy = lib.decorate("photos/copy.jpg")
    assert copy["id"] != before["id"]
    lib.unlink("photos/a.jpg")
    lib.expect({"photos/copy.jpg"})
    assert lib.identity("photos/copy.jpg") == copy
    assert list(graves(lib)) == [before["id"]]


def test_photos_cut_to_nothing_are_no_twins(library):
    """Two photos whose files are empty now: neither takes over what the other was."""
    lib = library()
    names = ["photos/a.jpg", "photos/b.jpg"]
    for name in names:
        lib.photo(name)
    lib.start()
    before = {name: lib.decorate(name) for name in names}
    for name in names:
        lib.put(name, b"")
    lib.put("photos/new.jpg", b"")
    lib.expect(names, stale=names, problems=names + ["photos/new.jpg"])
    assert {name: lib.identity(name) for name in names} == before
    lib.unlink("photos/a.jpg")
    lib.expect(names[1:], stale=names[1:], problems=["photos/b.jpg", "photos/new.jpg"])
    assert lib.identity("photos/b.jpg") == before["photos/b.jpg"]
    lib.put("photos/empty.jpg", b"")
    lib.settle()
    assert lib.row("photos/empty.jpg") is None
