"""Names and inodes, as a file system keeps them: what the model moves about."""

import names

NEW = "new"    # a row with an id that was never seen before
NONE = "none"  # no row: what is under this name has never been a photo
TOKENS = {NEW, NONE}


class File:
    """An inode. content: index of the picture, None when it does not decode."""

    def __init__(self, content, size, mtime):
        self.content = content
        self.settled = None       # the content at the last checkpoint
        self.pictured = None      # the content that its rows tell of, then
        self.contents = set()     # all that it had since the last checkpoint
        self.earlier = set()      # what its rows may tell of, since it does not decode any more
        self.size = size
        self.mtime = mtime        # a token: equal tokens are equal times
        self.entries = []         # entries that name it, by whatever path
        self.row_stamp = None     # (size, mtime) that its rows tell of, None: not known
        self.modified = True      # since then
        self.unpaired = False     # renamed without a cookie pair in this burst
        self.hidden = False       # rewritten, with size and mtime as before, in this burst
        self.unseen = False       # likewise, in a blind burst: rows tell of the older content
        self.linked = False       # edited by one of several names, which nobody may have seen
        self.shared = False       # edited by one of several names in this burst
        self.stirred = False      # one of several names came or went in this burst
        self.carried = set()      # ids that its names have lost in this burst
        self.former = set()       # ids that they had lost before
        self.stood = set()        # paths it had in this burst
        self.over = set()         # ids of what it replaced without a cookie pair in this burst

    def stamp(self):
        return self.size, self.mtime


class Link:
    """A symlink; target: a File that never changes, or None when it leads to no photo."""

    def __init__(self, target, dangling=False):
        self.target = target
        self.dangling = dangling


class Directory:
    def __init__(self):
        self.children = {}
        self.fresh = True     # made in this burst: not surely watched yet
        self.carried = set()  # as of a File
        self.stood = set()    # likewise


class Entry:
    def __init__(self, node):
        self.node = node
        self.expect = None  # None: this place has no row
        self.saved = False  # by rename, in this burst: it has the row of another file
        self.last_move = None  # (from, to)
        self.dithered = False  # moved there and back, in this burst

    def ids(self):
        return (self.expect or set()) - TOKENS

    def is_directory(self):
        return isinstance(self.node, Directory)

    def inode(self):
        """The file behind the name, through a link as well."""
        return self.node.target if isinstance(self.node, Link) else (
            self.node if isinstance(self.node, File) else None)

    def stood(self):
        """Paths that it had in this burst."""
        holder = self.node if self.is_directory() else self.inode()
        return holder.stood if holder else frozenset()

    def decodes(self):
        inode = self.inode()
        return inode is not None and inode.content is not None


class Tree:
    def __init__(self):
        self.tops = {name: Entry(Directory()) for name in names.TOPS}

    def lookup(self, path):
        entry, *_ = self.find(path)
        return entry

    def find(self, path):
        """(entry or None, directory that holds the name or None, name)"""
        top, *parts = path.split("/")
        entry = self.tops.get(top)
        holder, name = None, top
        for name in parts:
            if entry is None or not entry.is_directory():
                return None, None, name
            holder = entry.node
            entry = holder.children.get(name)
        return entry, holder, name

    def walk(self, path=None, entry=None):
        """(path, entry) of all, or of one subtree, each directory before what it holds."""
        stack = [(path, entry)] if path else list(self.tops.items())
        while stack:
            path, entry = stack.pop()
            yield path, entry
            if entry.is_directory():
                stack.extend((f"{path}/{name}", child)
                             for name, child in entry.node.children.items())

    def path_of(self, entry):
        return next(path for path, other in self.walk() if other is entry)

    def attach(self, path, entry):
        _, holder, name = self.find(path)
        holder.children[name] = entry
        inode = entry.inode()
        if inode and entry not in inode.entries:
            inode.entries.append(entry)

    def detach(self, path, forever=False):
        entry, holder, name = self.find(path)
        del holder.children[name]
        if forever and entry.inode():
            entry.inode().entries.remove(entry)
        return entry
