"""The model: the operations, as changes of the tree and of what its names expect.

Each is done here first; it returns False, and does nothing, where it cannot be done. See
expectations.py for what is promised of ids.
"""

import names
from expectations import Expectations
from tree import NEW, NONE, TOKENS, Directory, Entry, File, Link


class Model(Expectations):
    # -- changing the tree --

    def _make(self, path, node):
        entry = Entry(node)
        self.attach(path, entry)
        if self.shown(path, entry):
            entry.expect = self._arrive(entry, path)
        return entry

    def _remove(self, path):
        entry = self.lookup(path)
        for inner, child in reversed(list(self.walk(path, entry))):
            if child.expect:
                self._lose(child, inner)
            elif child.is_directory():
                self.dead["d"][inner] |= child.node.carried
            if child.inode():
                child.inode().entries.remove(child)
        self.detach(path)

    # -- operations: each returns False, and does nothing, where it cannot be done --

    def apply(self, op):
        arguments = {key: value for key, value in op.items() if key != "op"}
        return getattr(self, "do_" + op["op"])(**arguments)

    def _free_name(self, path):
        """May something be made here?"""
        entry, holder, _ = self.find(path)
        return (entry is None and holder is not None and self.reachable(path)
                and names.fits(path))

    def _writable(self, path):
        entry = self.lookup(path)
        return (entry is not None and isinstance(entry.node, File) and self.reachable(path)
                and not (self.parallel and len(entry.node.entries) > 1))

    def do_write(self, path, content, size):
        """Makes a file, or writes one anew in place."""
        entry = self.lookup(path)
        if entry is None:
            if not self._free_name(path):
                return False
            self._make(path, File(content, size, self._now()))
            return True
        if not self._writable(path):
            return False
        inode = entry.node
        inode.contents.add(inode.content)
        inode.content, inode.size, inode.mtime = content, size, self._now()
        self._modify(inode, path)
        return True

    def do_append(self, path, count):
        if not self._writable(path) or self.lookup(path).node.content is None:
            return False
        inode = self.lookup(path).node
        inode.size, inode.mtime = inode.size + count, self._now()
        self._modify(inode, path)
        return True

    def do_truncate(self, path, size):
        if not self._writable(path) or self.lookup(path).node.size <= size:
            return False
        inode = self.lookup(path).node
        inode.contents.add(inode.content)
        inode.content, inode.size, inode.mtime = None, size, self._now()
        self._modify(inode, path)
        return True

    def do_hide(self, path, content, size):
        """Other content, same size, and the mtime put back."""
        if not self._writable(path):
            return False
        inode = self.lookup(path).node
        if inode.size != size or inode.content in (None, content):
            return False
        inode.contents.add(inode.content)
        inode.content, inode.hidden = content, True
        self._stir(inode, True)
        known = bool(inode.carried) or any(entry.ids() for entry in inode.entries)
        inode.unseen |= (self.rules.tolerates("hidden-edits") or not self._heard(inode, path)
                         or known and (inode.unpaired or bool(inode.carried)
                                       or not self._watched(names.parent(path))))
        return True

    def do_touch(self, path, seconds):
        """seconds: a time, mostly in the past; None: now."""
        entry = self.lookup(path)
        if entry is None or not self.reachable(path):
            return False
        if entry.is_directory():
            return True
        if not self._writable(path):
            return False
        entry.node.mtime = self._now() if seconds is None else f"s{seconds}"
        self._modify(entry.node, path)
        return True

    def do_chmod(self, path):
        entry = self.lookup(path)
        return entry is not None and not isinstance(entry.node, Link) and self.reachable(path)

    def do_unlink(self, path):
        entry = self.lookup(path)
        if entry is None or entry.is_directory() or not self.reachable(path):
            return False
        self._remove(path)
        return True

    def do_link(self, path, to):
        entry = self.lookup(path)
        if (entry is None or not isinstance(entry.node, File) or not self._free_name(to)
                or not self.reachable(path) or not names.same_volume(path, to)):
            return False
        made = self._make(to, entry.node)
        self._stir(entry.node)
        if made.expect and entry.expect and entry.node.unpaired and not self._watched(
                names.parent(to)):  # which of the names is the older one?
            made.expect |= entry.ids()
            self._loosen(entry, path)
        return True

    def do_symlink(self, path, target):
        """target: number of a photo outside that never changes; "nowhere"; "directory"."""
        if not self._free_name(path):
            return False
        if isinstance(target, int):
            if target not in self.targets:
                self.targets[target] = File(target, 0, f"target{target}")
            self._make(path, Link(self.targets[target]))
        else:
            self._make(path, Link(None, target == "nowhere"))
        return True

    def do_rename(self, path, to):
        mover, victim = self.lookup(path), self.lookup(to)
        if not self._may_rename(path, to, mover, victim):
            return False
        paired = self._watched(names.parent(path)) and self._watched(names.parent(to))
        came = mover.expect is None
        subtree = list(self.walk(path, mover))
        if mover.last_move == (to, path):
            mover.dithered = True
            self.dithered |= mover.ids()
        mover.last_move = path, to
        if victim:
            self.detach(to, forever=True)
        self.detach(path)
        self.attach(to, mover)
        if mover.is_directory():
            self._move_dead(path, to)
        for old, entry in subtree:
            self._relocate(entry, old, to + old[len(path):], paired)
        if victim and victim.expect:
            if mover.inode() and (not paired or mover.inode().unpaired):
                mover.inode().over |= victim.ids()  # of an unknown file the row of the name stays
            self._replace(mover, victim, to, came)
        elif victim and victim.inode() and mover.inode():
            # Out of the library, by a directory that may be watched still.
            mover.inode().carried |= victim.inode().carried
        elif victim and victim.is_directory():
            mover.node.carried |= victim.node.carried  # its row may still be at the name
        return True

    def _replace(self, mover, victim, path, came):
        old = set(victim.expect)
        if not victim.is_directory():
            old = set(self.allowed(path, victim))  # what came back to it stays
            if victim.inode() and victim.inode().unpaired:
                old |= victim.inode().over  # which file it was, no inode tells any more
        self._lose(victim, path)
        if mover.expect is None:
            return
        if mover.inode() and mover.inode() is victim.inode():
            mover.expect |= old  # two symlinks to one photo: nothing tells them apart
        if not mover.expect & TOKENS:
            return
        if came and not mover.is_directory():
            if victim.dithered:  # what the first half of an exchange looks like
                mover.expect.add(NEW)
                old = old.union(*(self.dead["f"][place]
                                  for key in old for place in self.places[key]))
            carried = mover.inode().carried if mover.inode() else set()
            mover.expect = mover.expect & {NEW} | old | carried  # saved by rename
            mover.saved = True
            if victim.inode() and (victim.inode().unpaired or victim.inode().entries):
                mover.expect.add(NEW)  # its row may be elsewhere, or go to another name of its file
        else:
            mover.expect |= old
        if mover.decodes() and NONE in mover.expect:
            mover.expect = mover.expect - {NONE} | {NEW}

    def _hides(self, entry, path):
        """Would a directory with a row get a name that is ignored, where it is still watched?"""
        return (self.rules.tolerates("ignored-renames") and entry.is_directory()
                and (entry.expect is not None or entry.node.carried or entry.node.fresh)
                and not names.directory_is_shown(path) and names.is_text(path))

    def _hides_any(self, mover, path, to):
        return any(self._hides(entry, to + old[len(path):])
                   for old, entry in self.walk(path, mover))

    def _may_rename(self, path, to, mover, victim):
        if mover is not None and self._hides_any(mover, path, to):
            return False
        if mover is None or "/" not in path or path == to or names.is_below(to, path):
            return False
        if not self.reachable(path, to) or not names.same_volume(path, to):
            return False
        if victim is None:
            return self._free_name(to)
        if "/" not in to or mover.is_directory() != victim.is_directory():
            return False
        if victim.is_directory():
            return not victim.node.children
        return mover.node is not victim.node  # two names of one inode: rename(2) does nothing

    def do_exchange(self, path, to):
        a, b = self.lookup(path), self.lookup(to)
        if (a is None or b is None or a is b or "/" not in path or "/" not in to
                or a.node is b.node or names.is_below(path, to) or names.is_below(to, path)
                or not self.reachable(path, to) or not names.same_volume(path, to)
                or self._hides_any(a, path, to) or self._hides_any(b, to, path)):
            return False
        paired = self._watched(names.parent(path)) and self._watched(names.parent(to))
        moves = [(entry, old, to + old[len(path):]) for old, entry in self.walk(path, a)]
        moves += [(entry, old, path + old[len(to):]) for old, entry in self.walk(to, b)]
        self.detach(path)
        self.detach(to)
        self.attach(path, b)
        self.attach(to, a)
        self._move_dead(path, to)
        self._move_dead(to, path)
        # Those that leave first: those that come may take over their rows.
        for move in sorted(moves, key=lambda m: m[0].expect is None):
            self._relocate(*move, paired)
        if a.inode() and a.inode() is b.inode() and a.expect and b.expect:
            a.expect = b.expect = a.expect | b.expect
            b.expect = set(b.expect)
        return True

    def do_copy(self, path, to, preserve):
        """cp, cp -p: an existing file is written in place."""
        entry = self.lookup(path)
        if (entry is None or not isinstance(entry.node, File) or not self.reachable(path)
                or path == to):
            return False
        there = self.lookup(to)
        if there is not None and there.node is entry.node:
            return False
        if not self.do_write(to, entry.node.content, entry.node.size):
            return False
        if preserve:
            for source in entry.node.entries:
                self._twin(source, to)
            copy = self.lookup(to).node
            copy.mtime = entry.node.mtime
            made = self.lookup(to)
            if made.expect and NEW in made.expect:
                made.expect |= self.dead_stamps[copy.stamp()]
                copy.unseen |= bool(self.dead_stamps[copy.stamp()])
        return True

    def _twin(self, source, path):
        """An exact copy at the very name that a file had before: nothing else tells of its id."""
        if self.blind and source.expect and any(path in self.places[key] for key in source.ids()):
            self.lookup(path).expect |= source.ids()
            source.expect.add(NEW)

    def do_copytree(self, path, to):
        """cp -a, without keeping hard links."""
        entry = self.lookup(path)
        if (entry is None or not entry.is_directory() or not self._free_name(to)
                or not self.reachable(path) or names.is_below(to, path)):
            return False
        for old, inner in list(self.walk(path, entry)):
            node = inner.node
            if isinstance(node, Directory):
                node = Directory()
            elif isinstance(node, File):
                node = File(node.content, node.size, node.mtime)
            else:
                node = Link(node.target, node.dangling)
            self._make(to + old[len(path):], node)
        return True

    def do_mkdir(self, path):
        if not self._free_name(path):
            return False
        self._make(path, Directory())
        return True

    def do_tree(self, path, directories, files):
        """mkdir -p with files in it at once; files: [relative path, content, size]"""
        if not self._free_name(path):
            return False
        self._make(path, Directory())
        for inner in directories:
            self._make(f"{path}/{inner}", Directory())
        for inner, content, size in files:
            self._make(f"{path}/{inner}", File(content, size, self._now()))
        return True

    def do_rmtree(self, path):
        entry = self.lookup(path)
        if (entry is None or not entry.is_directory() or "/" not in path
                or not self.reachable(path)):
            return False
        self._remove(path)
        return True

    def do_stream(self, path, files, moves):
        """Files are written into an open directory while it, or one above it, is renamed."""
        entry = self.lookup(path)
        if entry is None or not entry.is_directory() or not self.reachable(path):
            return False
        if any(name in entry.node.children for name, _, _ in files):
            return False
        for name, content, size in files:
            self._make(f"{path}/{name}", File(content, size, self._now()))
        # A file may also be made when the directory is where it ends, or anywhere between.
        moves[:] = [move for move in moves if self.do_rename(*move)]
        end = self.path_of(entry)
        for name, _, _ in files:
            made = entry.node.children[name]
            if made.expect:
                made.expect |= self.dead["f"][f"{end}/{name}"]
        return True

    def do_parallel(self, lists):
        """Several writers at once, each below a directory of its own."""
        self.parallel = True
        for ops in lists:
            ops[:] = [op for op in ops if self.apply(op)]
        self.parallel = False
        return any(lists)

    # -- faults: only what they mean for expectations --

    def do_restart(self):
        self.blind = True
        return True

    do_flood = do_restart

    def do_kill(self):
        for path, entry in self.walk():
            if entry.is_directory() and entry.node.fresh:
                self.unknown |= {path} | entry.node.stood
        return self.do_restart()

    def do_freeze(self, **_detail):
        return True

    do_start = do_thaw = do_lock = do_limit = do_unlimit = do_freeze

    def do_umount(self):
        if not self.mounted:
            return False
        self.mounted = False
        self.blind = self.volume_was_away = True
        return True

    def do_mount(self):
        if self.mounted:
            return False
        self.mounted = True
        self.blind = self.volume_was_away = True
        return True
