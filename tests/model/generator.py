"""Sequences of operations, made from a seed alone.

The generator plays each operation in a model of its own, so that most of what it makes can be done.
It chooses names that exist rather than new ones: what goes wrong, goes wrong where things meet.
"""

import random

import names
import pictures
from model import Model
from tree import Link

FAULTS = ("kill", "restart", "freeze", "overflow", "lock", "unmount", "watches")


class Generator:
    def __init__(self, seed, faults, length):
        self.random = random.Random(seed)
        self.model = Model()
        self.ops = []
        self.faults = [fault for fault in FAULTS if fault in faults]
        self.length = length
        self.clock = 0

    def sequence(self):
        self.populate()
        size = self.random.choice((self.length, self.length, 2 * self.length))
        while sum(map(weight, self.ops)) < size:
            self.burst()
        return self.ops

    def add(self, op, **arguments):
        op = {"op": op, **arguments}
        if self.model.apply(op):
            self.ops.append(op)
            return True
        return False

    def checkpoint(self):
        self.model.pretend()
        self.ops.append({"op": "settle"})

    def populate(self):
        for top in names.TOPS:
            for directory in self.random.sample(names.DIRECTORIES, 2):
                if self.random.random() < 0.6:
                    self.add("mkdir", path=f"{top}/{directory}")
        for _ in range(self.random.randint(4, 12)):
            self.write_new()
        self.checkpoint()

    def burst(self):
        begin, end = self.choose_fault()
        count = self.random.choice((1, 2, 3, 5, 8, 12, 20))
        first, last = sorted(self.random.randrange(count + 1) for _ in range(2))
        for i in range(count + 1):
            if i == first and begin:
                self.add(**begin)
            if i == last and end:
                self.add(**end)
            if i < count:
                self.step()
        self.checkpoint()

    def choose_fault(self):
        if not self.faults or self.random.random() > 0.22:
            return None, None
        fault = self.random.choice(self.faults)
        if fault == "unmount":
            self.checkpoint()
        return {
            "kill": ({"op": "kill"}, {"op": "start"}),
            "restart": ({"op": "restart"}, {"op": "start"}),
            "freeze": ({"op": "freeze"}, {"op": "thaw"}),
            "overflow": ({"op": "flood"}, {"op": "thaw"}),
            "lock": ({"op": "lock", "ms": self.random.choice((50, 200, 1000))}, None),
            "unmount": ({"op": "umount"}, {"op": "mount"}),
            "watches": ({"op": "limit", "count": self.random.randint(3, 12)}, {"op": "unlimit"}),
        }[fault]

    # -- choosing --

    def entries(self, wanted):
        return [path for path, entry in self.model.walk()
                if "/" in path and self.model.reachable(path) and wanted(path, entry)]

    def pick(self, wanted):
        found = self.entries(wanted)
        return self.random.choice(found) if found else None

    def file(self):
        return self.pick(lambda path, entry: not entry.is_directory())

    def photo(self):
        """A file that has a row, mostly."""
        return self.pick(lambda path, entry: not entry.is_directory() and entry.expect is not None
                         ) if self.random.random() < 0.8 else self.file()

    def directory(self):
        return self.pick(lambda path, entry: entry.is_directory())

    def anything(self):
        return self.directory() if self.random.random() < 0.35 else self.photo()

    def holder(self, of=None):
        """A directory to put something in, mostly on the same volume as another path."""
        tops = list(names.TOPS)
        if of and self.random.random() < 0.9:
            tops = [top for top in tops if names.same_volume(top, of)]
        tops = [top for top in tops if self.model.reachable(top)]
        weights = [1 if top == names.OUT else 2.5 for top in tops]
        top = self.random.choices(tops, weights)[0]
        found = [path for path, entry in self.model.walk(top, self.model.tops[top])
                 if entry.is_directory() and path.count("/") < 5]
        return self.random.choice(found)

    def photo_name(self):
        pool = names.PHOTOS[:5] if self.random.random() < 0.6 else names.PHOTOS
        if self.random.random() < 0.15:
            pool = names.OTHERS
        return self.random.choice(pool)

    def directory_name(self):
        pool = names.DIRECTORIES if self.random.random() < 0.9 else names.HIDDEN
        return self.random.choice(pool)

    def content(self):
        number = self.random.randrange(pictures.COUNT)
        return {"content": number, "size": pictures.size(number)}

    def new_place(self, of=None, directory=False):
        name = self.directory_name() if directory else self.photo_name()
        return f"{self.holder(of)}/{name}"

    # -- operations --

    def step(self):
        for _ in range(20):
            kind = self.random.choices(list(STEPS), list(STEPS.values()))[0]
            if getattr(self, kind)():
                return

    def write_new(self):
        return self.add("write", path=self.new_place(), **self.content())

    def write_broken(self):
        return self.add("write", path=self.new_place(), content=None,
                        size=self.random.choice((0, 17)))

    def overwrite(self):
        path = self.photo()
        return path and self.add("write", path=path, **self.content())

    def append(self):
        path = self.photo()
        return path and self.add("append", path=path, count=self.random.randint(1, 50))

    def truncate(self):
        path = self.photo()
        return path and self.add("truncate", path=path, size=self.random.choice((0, 10, 200)))

    def hide(self):
        path = self.photo()
        entry = path and self.model.lookup(path)
        if not entry or isinstance(entry.node, Link):
            return False
        content = self.random.choice(pictures.of_size(entry.node.size) or [None])
        return content is not None and self.add("hide", path=path, content=content,
                                                size=entry.node.size)

    def touch(self):
        path = self.anything()
        self.clock += 1
        # Times differ, so that equal times mean a copy; most of them lie long ago.
        seconds = None if self.random.random() < 0.3 else 1_000_000_000 + 86400 * self.clock
        return path and self.add("touch", path=path, seconds=seconds)

    def chmod(self):
        path = self.anything()
        return path and self.add("chmod", path=path)

    def unlink(self):
        path = self.photo()
        return path and self.add("unlink", path=path)

    def unlink_and_write(self):
        path = self.photo()
        return (path and self.add("unlink", path=path)
                and self.add("write", path=path, **self.content()))

    def link(self):
        path = self.photo()
        return path and self.add("link", path=path, to=self.new_place(path))

    def link_and_unlink(self):
        path = self.photo()
        return (path and self.add("link", path=path, to=self.new_place(path))
                and self.add("unlink", path=path))

    def symlink(self):
        target = self.random.choice((self.random.randrange(pictures.COUNT), "nowhere", "directory",
                                     self.random.randrange(pictures.COUNT)))
        return self.add("symlink", path=self.new_place(), target=target)

    def rename(self):
        path = self.photo()
        return path and self.add("rename", path=path, to=self.new_place(path))

    def rename_over(self):
        path, to = self.file(), self.photo()
        return path and to and self.add("rename", path=path, to=to)

    def rename_chain(self):
        done = False
        path = self.photo()
        for _ in range(self.random.randint(2, 5)):
            to = self.new_place(path) if path else None
            if path and self.add("rename", path=path, to=to):
                path, done = to, True
        return done

    def rename_and_back(self):
        path = self.anything()
        to = path and self.new_place(path, self.model.lookup(path).is_directory())
        return (path and self.add("rename", path=path, to=to)
                and (self.random.random() < 0.5 or self.step() or True)
                and self.add("rename", path=to, to=path))

    def rename_and_edit(self):
        path = self.photo()
        to = path and self.new_place(path)
        return (path and self.add("rename", path=path, to=to)
                and self.add("write", path=to, **self.content()))

    def rename_and_replace(self):
        path = self.anything()
        if not path:
            return False
        directory = self.model.lookup(path).is_directory()
        if not self.add("rename", path=path, to=self.new_place(path, directory)):
            return False
        return (self.add("mkdir", path=path) if directory
                else self.add("write", path=path, **self.content()))

    def change_extension(self):
        path = self.photo()
        stem = path and path.rpartition(".")[0] or path
        return path and self.add("rename", path=path, to=stem + self.random.choice(
            (".JPG", ".png", ".txt", ".jpeg~", "")))

    def save_by_rename(self):
        path = self.photo()
        if not path:
            return False
        temporary = names.parent(path) + "/" + self.random.choice(
            (".a.jpg.tmp", ".pictopy-write-1.tmp", "new.jpg", "x~"))
        return (self.add("write", path=temporary, **self.content())
                and self.add("rename", path=temporary, to=path))

    def save_with_backup(self):
        path = self.photo()
        backup = path and path + self.random.choice(("~", ".bak.jpg"))
        return (path and self.add("rename", path=path, to=backup)
                and self.add("write", path=path, **self.content()))

    def exchange(self):
        a, b = self.anything(), self.anything()
        return a and b and self.add("exchange", path=a, to=b)

    def copy(self):
        path = self.file()
        return path and self.add("copy", path=path, to=self.new_place(),
                                 preserve=self.random.random() < 0.5)

    def copy_over(self):
        path, to = self.file(), self.photo()
        return path and to and self.add("copy", path=path, to=to,
                                        preserve=self.random.random() < 0.5)

    def move_across(self):
        """mv between file systems: the copy comes first."""
        path = self.photo()
        to = path and self.new_place()
        return (path and self.add("copy", path=path, to=to, preserve=True)
                and self.add("unlink", path=path))

    def copytree(self):
        path = self.directory()
        return path and self.add("copytree", path=path, to=self.new_place(directory=True))

    def move_tree_across(self):
        path = self.directory()
        to = path and self.new_place(directory=True)
        return (path and self.add("copytree", path=path, to=to) and self.add("rmtree", path=path))

    def mkdir(self):
        return self.add("mkdir", path=self.new_place(directory=True))

    def tree(self):
        directories, files = [], []
        for _ in range(self.random.randint(1, 8)):
            above = self.random.choice(directories[-2:] + [""])
            inner = f"{above}/{self.directory_name()}".lstrip("/")
            if inner not in directories:
                directories.append(inner)
        for _ in range(self.random.randint(0, 8)):
            above = self.random.choice(directories + [""])
            inner = f"{above}/{self.photo_name()}".lstrip("/")
            if inner not in directories and inner not in [file[0] for file in files]:
                files.append([inner, *self.content().values()])
        return self.add("tree", path=self.new_place(directory=True), directories=directories,
                        files=files)

    def rename_directory(self):
        path = self.directory()
        return path and self.add("rename", path=path, to=self.new_place(path, True))

    def rename_directory_chain(self):
        path, done = self.directory(), False
        for _ in range(self.random.randint(2, 4)):
            to = self.new_place(path, True) if path else None
            if path and self.add("rename", path=path, to=to):
                path, done = to, True
        return done

    def rename_over_directory(self):
        a, b = self.directory(), self.directory()
        return a and b and self.add("rename", path=a, to=b)

    def rmtree(self):
        path = self.directory()
        return path and self.add("rmtree", path=path)

    def rmtree_and_make(self):
        path = self.directory()
        return (path and self.add("rmtree", path=path) and self.add("mkdir", path=path)
                and self.add("write", path=f"{path}/{self.photo_name()}", **self.content()))

    def replace_by_other_kind(self):
        path = self.anything()
        if not path:
            return False
        if self.model.lookup(path).is_directory():
            return (self.add("rmtree", path=path)
                    and self.add("write", path=path, **self.content()))
        return (self.add("unlink", path=path) and self.add("mkdir", path=path)
                and self.add("write", path=f"{path}/{self.photo_name()}", **self.content()))

    def stream(self):
        path = self.directory()
        if not path:
            return False
        files = [[f"w{i}.jpg", *self.content().values()] for i in range(self.random.randint(1, 8))]
        moves, now = [], path
        for _ in range(self.random.randint(1, 3)):
            # The directory itself, or one above it.
            parts = now.split("/")
            old = "/".join(parts[:self.random.randint(2, len(parts))])
            new = self.new_place(old, True)
            moves.append([old, new])
            now = new + now[len(old):]
        return self.add("stream", path=path, files=files, moves=moves)

    def parallel(self):
        """Writers in directories of their own, none of which is in another's."""
        lists = []
        for number in range(self.random.randint(2, 3)):
            where = f"{self.random.choice(('r1', 'r2'))}/w{number}"
            if self.model.lookup(where) is None:
                self.add("mkdir", path=where)
            elif not self.model.lookup(where).is_directory():
                continue
            inner = Generator(self.random.random(), (), 0)
            inner.model, inner.ops = self.model, []
            inner.holder = lambda of=None, where=where: inner_holder(inner, where)
            inner.entries = lambda wanted, where=where: [
                path for path, entry in self.model.walk(where, self.model.lookup(where))
                if path != where and wanted(path, entry)]
            self.model.parallel = True
            for _ in range(self.random.randint(2, 8)):
                kind = self.random.choice(("write_new", "rename", "overwrite", "unlink", "mkdir",
                                           "rename_chain", "save_by_rename", "rename_directory",
                                           "write_new", "exchange", "rmtree"))
                getattr(inner, kind)()
            self.model.parallel = False
            lists.append(inner.ops)
        self.ops.append({"op": "parallel", "lists": lists})
        return True


def inner_holder(generator, where):
    found = [path for path, entry in generator.model.walk(where, generator.model.lookup(where))
             if entry.is_directory() and path.count("/") < 5]
    return generator.random.choice(found)


def weight(op):
    """How many operations one entry of a sequence stands for."""
    if op["op"] == "parallel":
        return sum(map(len, op["lists"]))
    if op["op"] == "stream":
        return len(op["files"]) + len(op["moves"])
    return op["op"] not in ("settle", "start", "thaw", "mount", "unlimit")


STEPS = {"write_new": 8, "write_broken": 1, "overwrite": 4, "append": 2, "truncate": 1, "hide": 1,
         "touch": 3, "chmod": 1, "unlink": 4, "unlink_and_write": 2, "link": 2,
         "link_and_unlink": 1, "symlink": 1, "rename": 8, "rename_over": 4, "rename_chain": 3,
         "rename_and_back": 2, "rename_and_edit": 2, "rename_and_replace": 2,
         "change_extension": 2, "save_by_rename": 4, "save_with_backup": 2, "exchange": 4,
         "copy": 3, "copy_over": 2, "move_across": 2, "copytree": 2, "move_tree_across": 1,
         "mkdir": 3, "tree": 3, "rename_directory": 7, "rename_directory_chain": 3,
         "rename_over_directory": 1, "rmtree": 2, "rmtree_and_make": 2,
         "replace_by_other_kind": 1, "stream": 2, "parallel": 2}
