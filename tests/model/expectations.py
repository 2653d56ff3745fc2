"""What the model expects of rows, and how expectations follow files about.

An id belongs to an entry of the tree (a name), since every name of a file has a row of its own.
Between two checkpoints (a *burst*) nobody knows how much of what happened the daemon has already
looked at. So each entry expects a *set*: ids that its row may have, NEW (an id that was never seen
before) and NONE (no row: what is under this name has never been a photo). One id alone in the set
is a strict promise. At a checkpoint the set collapses to what was found.

What is promised, whatever the timing:

- Every rename inside the library keeps the id of a file and of a directory, also of all below it,
  through any number of renames, over other photos (the mover's id wins) and exchanges.
- Overwritten in place, appended to, cut, touched: the id of the path stays.
- A file that had no row (from outside, or under a name that is no photo's) and is renamed over a
  photo takes over the row of the path: save by rename.
- A copy, a new file, a hard link: a new id. But where a file is gone for good and another one has
  its content, or its path, that one may have its id (rule `returns`): late deletes, and the
  graveyard.

Where the design allows more than one, and why:

- A name that is removed and made again within a burst: the daemon may have seen the gap, or not.
  The old id may stay at the name (`dead`), if nothing else owns it; also where its directory had a
  name that is ignored or not UTF-8 meanwhile.
- A file that leaves the library (or takes a name that is no photo's) and comes back within a burst:
  likewise. After a checkpoint its row is gone, and the old id returns by the rule `returns`.
- A file made in the burst that has gone on from a name, and is gone: its row may be at that name
  still, and stay with what is there now.
- A hard link made and the first name removed within a burst: the link may inherit (same inode).
- Moved through a directory that is not watched yet (made or moved in within the same burst) *and*
  edited within the same burst: there is no cookie, and size and mtime differ. Either alone keeps
  the id.
- A file made with the size and mtime (cp -p) of one that died in the burst, or of one written in
  the same tick of the clock as that, may have been given the dead one's inode number: then nothing
  tells the two apart.
- Moved on from a directory that is not watched yet, and that was removed and made again, by a name
  that a photo had there.
- Moved out of a directory that is not watched yet, to the name of a photo that has just left it;
  or over a photo, and another file over it.
- Moved into a directory that is not watched yet, and a hard link to it made in another one.
- A symlink that leads nowhere, in the place of a photo, moved into a directory that is not watched
  yet: the row may go.
- Two symlinks to one photo, of which one is renamed over the other.
- After a *blind* burst (the daemon was killed or stopped, the queue overflowed, watches ran out,
  the volume was away) there are no cookies. What is left is the inode with its size and mtime: a
  file that was not edited keeps its id wherever it is. Edited and moved: the id may be lost, or
  stay at the old name if a file is there, and go on with that one; or it may be that of a file
  which it was moved over. Directories' own ids: the rule `blind_directories`; one that holds no
  photo, and was somewhere for a while where another one had been, may have taken that one's along.
  One of several hard links may get another one's id.
- The daemon was killed, and a directory whose row it had just made was emptied before it is started
  again: it may not know yet on which volume that was, and takes it for an empty mount point. The
  rows of folders below, if they hold no photos, may stay until something is in it.
- What looks like an exchange of two files, of which one is gone with its directory or has left the
  library after a third one had come over it, may have been a rename there and back.
- A file rewritten with its size and mtime restored is not seen in a blind burst, nor when it leaves
  the library and comes back within the burst.
- A file that leaves the library and is written to within the burst may have been opened before, and
  its row tell of what it became.
- A file edited by a name outside of the library, or by one that is no photo's, sends no event to its
  other names (hard links): their rows may tell of what it was before.
"""

import collections

import names
from rules import Rules
from tree import NEW, NONE, TOKENS, Link, Tree


def kind_of(entry):
    return "d" if entry.is_directory() else "f"


class Expectations(Tree):
    def __init__(self, rules=None):
        super().__init__()
        self.rules = rules or Rules()
        self.lost = collections.defaultdict(set)  # content, or path -> ids that were lost
        for root in names.ROOTS:
            self.tops[root].expect = {NEW}
        self.targets = {}     # what symlinks point to, by number
        self.seen = set()     # every id that ever was
        self.times = 0        # mtime tokens given out: one a burst
        self.mounted = True
        self.parallel = False
        self.unknown = set()  # paths of directories whose volumes the daemon may not know
        self.begin_burst()

    def begin_burst(self):
        self.times += 1
        self.blind = False
        self.volume_was_away = not self.mounted
        self.dead = {kind: collections.defaultdict(set) for kind in "fd"}  # path -> ids
        self.dead_stamps = collections.defaultdict(set)                    # stamp -> ids
        self.places = collections.defaultdict(set)                         # id -> paths, this burst
        self.moved = set()                                                 # ids, this burst
        self.dithered = set()  # ids of what was moved there and back, this burst
        self.base = {"f": {}, "d": {}}                                     # path -> id at its start
        self.was = {}                                                      # id -> contents, likewise
        for path, entry in self.walk():
            entry.last_move, entry.dithered = None, False
            for key in entry.ids():
                self.base[kind_of(entry)][path] = key
                if entry.inode():
                    inode = entry.inode()
                    self.was[key] = {inode.content, inode.pictured} | inode.earlier
            if entry.is_directory():
                entry.node.fresh = False
                entry.node.carried = set()
                entry.node.stood = set()
            elif entry.inode():
                self._calm(entry.inode())

    @staticmethod
    def _calm(inode):
        inode.former |= inode.carried
        inode.carried = set()
        inode.settled = inode.content
        inode.contents = {inode.content}
        inode.over = set()
        inode.stood = set()
        inode.unpaired = inode.hidden = inode.shared = inode.stirred = False

    # -- looking --

    def reachable(self, *paths):
        return self.mounted or not any(p.split("/")[0] == names.VOLUME for p in paths)

    def shown(self, path, entry):
        if entry.is_directory():
            return names.directory_is_shown(path)
        if isinstance(entry.node, Link) and entry.node.target is None and not entry.node.dangling:
            return False  # it leads to a directory
        return names.photo_is_shown(path)

    def _watched(self, directory):
        if not names.directory_is_shown(directory):
            return False
        path = ""
        for part in directory.split("/"):
            path = f"{path}/{part}" if path else part
            if self.lookup(path).node.fresh:
                return False
        return True

    def _now(self):
        """A file system's clock ticks every few milliseconds: what is written in one burst may have
        one time."""
        return f"t{self.times}"

    # -- ids that come and go --

    def _lose(self, entry, path):
        """The row of this name has no file any more; its ids may turn up where the rules say."""
        ids = entry.ids()
        inode = entry.inode()
        entry_was_new = NEW in entry.expect
        entry.expect = None
        if entry_was_new:  # made in this burst: its row, too, may be there for a while
            self._release({NEW}, path, kind_of(entry), entry.stood())
        if entry.is_directory():
            entry.node.carried |= ids
        if inode:
            self._stir(inode)
            if entry_was_new:  # it may have got the id of one that was lost before
                ids = ids | self.lost[inode.content]
            for key in ({inode.content, inode.settled, inode.pictured, path} | inode.earlier
                        | inode.contents):  # what of this burst was read last, nobody knows
                self.lost[key] |= ids
            inode.carried |= ids | ({NEW} if entry_was_new else set())
            if inode.row_stamp:
                self.dead_stamps[inode.row_stamp] |= ids
            if entry_was_new and inode.modified:
                inode.linked = True  # by this name, perhaps, which nobody has seen
            for other in inode.entries:
                if other.expect and (NEW in other.expect or other.saved):
                    other.expect |= ids | ({NEW} if entry_was_new else set())
        self._release(ids, path, kind_of(entry))

    def _release(self, ids, path, kind, stood=frozenset()):
        for key in ids:
            for place in self.places[key] | {path} | stood:
                self.dead[kind][place].add(key)
                there = self.lookup(place)
                if there and there.expect and there.expect & TOKENS and kind_of(there) == kind:
                    there.expect.add(key)

    def _arrive(self, entry, path):
        """What a name expects that had no row until now."""
        dead = self.dead[kind_of(entry)][path]
        if entry.is_directory():
            entry.node.fresh = True
            return {NEW} | dead | entry.node.carried
        inode = entry.inode()
        expect = {NEW if entry.decodes() else NONE} | dead
        if inode is None:
            return expect
        expect |= {key for key in self.dithered if path in self.places[key]}
        returned = inode.carried
        if self.rules.returns == "must" and inode.former and not inode.modified:
            return set(inode.former)
        if self.rules.returns == "may":
            returned = returned | inode.former
        return expect | returned | self.dead_stamps[inode.stamp()]

    def _loosen(self, entry, path):
        if entry.expect:
            ids = entry.ids()
            entry.expect |= {NEW} | entry.inode().over
            for key in (entry.inode().settled, entry.inode().pictured):
                self.lost[key] |= ids
            self._release(ids, path, "f")

    def _heard(self, inode, path):
        """Does an event tell of an edit by this name, to all names of the file?"""
        if len(inode.entries) == 1:
            return True
        return (not self.rules.tolerates("hard-link-edits") and names.photo_is_shown(path)
                and self._watched(names.parent(path)))

    @staticmethod
    def _stir(inode, edited=False):
        """A name by which it was edited may be gone before it is looked at; the others hear nothing."""
        inode.shared |= edited and len(inode.entries) > 1
        inode.stirred |= not edited
        inode.unseen |= inode.shared and inode.stirred
        inode.linked |= inode.shared and inode.stirred

    def _modify(self, inode, path):
        inode.modified = True
        inode.unseen = inode.hidden = False
        inode.linked = not self._heard(inode, path)
        self._stir(inode, True)
        # One that left: it may have been opened before, and be read now.
        self.lost[inode.content] |= inode.carried - TOKENS
        for entry in inode.entries:
            if entry.expect and NONE in entry.expect and inode.content is not None:
                entry.expect = entry.expect | {NEW}
                if len(inode.entries) == 1:  # else nobody may have told of the others
                    entry.expect -= {NONE}
            if entry.expect and inode.unpaired:
                self._loosen(entry, self.path_of(entry))

    def _relocate(self, entry, old, new, paired):
        was, shown = entry.expect is not None, self.shown(new, entry)
        if entry.inode() or entry.is_directory():
            (entry.inode() or entry.node).stood.add(old)
        if was and shown:
            for key in entry.ids():
                self.places[key] |= {old, new}
                self.moved.add(key)
            if entry.expect & TOKENS:  # as if made here: a row may be left under this name
                entry.expect |= self.dead[kind_of(entry)][new]
            inode = entry.inode()
            if inode is None and not entry.is_directory() and not paired:
                entry.expect |= {NONE}  # only its inode could tell, and that its row has not seen
            if inode:
                self._stir(inode)
            if inode and not paired and len(inode.entries) > 1:
                for other in inode.entries:  # which of the names is the older one?
                    if other.expect and other is not entry:
                        other.expect |= entry.ids()
                self._loosen(entry, new)
            if inode and not paired:
                inode.unpaired = True
                # By whose name it leaves it may be that one; or it passes for a save by rename there.
                entry.expect |= self.dead["f"][old] | self.dead["f"][new]
                inode.unseen |= inode.hidden  # who told of it is not who is looked at
                if inode.modified:
                    self._loosen(entry, new)
        elif was:
            ids = entry.ids()
            if entry.inode():
                entry.inode().unseen |= entry.inode().hidden
            self._lose(entry, old)
            self.dead[kind_of(entry)][new] |= ids  # where its directory may take it
        elif shown:
            entry.expect = self._arrive(entry, new)

    def _move_dead(self, old, new):
        """Rows that nobody has seen dying move along with their directory's."""
        for dead in self.dead.values():
            for path in [p for p in dead if names.is_below(p, old)]:
                dead[new + path[len(old):]] |= dead[path]
        for places in self.places.values():
            places |= {new + path[len(old):] for path in places if names.is_below(path, old)}

    # -- a checkpoint --

    def allowed(self, path, entry):
        """The expectation of an entry, with what its content or its path may bring back to it."""
        inode = None if entry.is_directory() else entry.inode()
        allowed = self._expected(path, entry)
        if inode is None or self.rules.returns == "never":
            return allowed
        contents = (inode.contents | inode.earlier | {inode.content}) - {None}
        if not contents:
            return allowed
        if self.blind:
            allowed = allowed | self._twins(entry)
        return allowed.union(self.lost[path], *(self.lost[content] for content in contents))

    def _twins(self, entry):
        """Ids of files of the same content: what was moved and edited unseen is gone for the daemon."""
        def contents(inode):
            return {inode.content, inode.settled, inode.pictured} | inode.earlier
        mine = {entry.inode().content, entry.inode().settled} - {None}
        return {key for _, other in self.walk() if other is not entry and other.inode()
                and mine & contents(other.inode()) for key in other.ids()}

    def _expected(self, path, entry):
        """With what a blind burst takes away from it."""
        if not self.blind:
            return entry.expect
        kind = kind_of(entry)
        base = {self.base[kind][path]} if path in self.base[kind] else set()
        passed = {key for key, places in self.places.items() if path in places}
        if kind == "d":
            if self.rules.blind_directories == "must" or self._stayed(entry, base):
                return entry.expect
            return (entry.expect | {NEW} | base | passed | self._rows_where(kind, entry.node.stood)
                    | self.dead[kind][path])
        inode = entry.inode()
        if inode is None or inode.modified:
            if self._stayed(entry, base):
                return entry.expect
            stood = set() if inode is None else self._rows_where(kind, inode.stood)
            return entry.expect | {NEW} | base | passed | stood | self.dead[kind][path]
        if self.volume_was_away and names.same_volume(path, names.VOLUME):
            # Its device has another number now; files of one size and time look alike.
            return entry.expect | {NEW} | base | inode.carried
        if len(inode.entries) == 1 and not inode.carried:
            return entry.expect
        return entry.expect | {NEW} | base | inode.carried | {
            key for other in inode.entries for key in other.ids()}

    def _rows_where(self, kind, paths):
        return {self.base[kind][path] for path in paths if path in self.base[kind]}

    def _stayed(self, entry, base):
        return entry.expect == base and not base & self.moved

    def collapse(self, found):
        """found(path, entry): the id in the database, None without a row."""
        for path, entry in self.walk():
            if entry.expect is None or not self.reachable(path):
                continue
            key = found(path, entry)
            entry.expect = {NONE} if key is None else {key}
            entry.saved = False
            self.seen.add(key)
            self.was.pop(key, None)
        for key, contents in self.was.items():  # lost, whether it was to be or not
            for content in contents:
                self.lost[content].add(key)
        for _, entry in self.walk():
            inode = entry.inode()
            if inode is None or isinstance(entry.node, Link):
                continue
            inode.unseen |= inode.hidden and self.blind
            known = inode.content is not None and not inode.unseen and not inode.linked
            before = inode.earlier | inode.contents | {inode.pictured}
            inode.earlier = set() if known else before - {None}
            if inode.content is not None and any(e.expect for e in inode.entries):
                inode.row_stamp, inode.modified = inode.stamp(), False
                inode.pictured = inode.content
        self.begin_burst()

    def pretend(self):
        """A checkpoint without a daemon, for making up sequences."""
        def found(_path, entry):
            ids = sorted(entry.ids())
            if ids:
                return ids[0]
            return f"id{len(self.seen)}" if NEW in entry.expect else None
        self.collapse(found)
