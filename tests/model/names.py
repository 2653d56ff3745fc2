"""Which names of the model are photos, which directories are looked into, and names worth trying.

Paths are relative: "r1/d/a.jpg". The first part is one of TOPS; r1, r2 and r3 are registered, `out`
is not. r3 is a volume of its own. Bytes that are no text are surrogates, as os.fsdecode() has them.
"""

import fnmatch
import os

ROOTS = ("r1", "r2", "r3")
OUT = "out"
TOPS = ROOTS + (OUT,)
VOLUME = "r3"  # another file system than all the rest; the one that is unmounted

EXTENSIONS = (".jpg", ".jpeg", ".png")
IGNORED_DIRECTORIES = (".*", "@eaDir", "#recycle", "lost+found")
IGNORED_FILES = ("._*", ".pictopy-write-*.tmp")

# Few names, so that they meet; odd ones among them: blanks, quotes, newline, wildcards of SQL and
# of the shell, letters that differ in case only, a name of nearly 255 bytes, one that is not UTF-8.
PHOTOS = ("a.jpg", "b.jpg", "c.jpeg", "A.JPG", "d 1.jpg", "it's \"so\".jpg", "new\nline.jpg",
          "50%_[x]*.jpg", "é.jpg", "e\u0301.jpg", "ü" * 120 + ".jpg", ".dot.jpg", "p.jpg",
          "wrong.png")
OTHERS = ("a.jpg~", ".a.jpg.tmp", "note.txt", "._a.jpg", "\udcff.jpg", ".pictopy-write-1.tmp")
DIRECTORIES = ("d", "d2", "D", "Trip", "Trip2", "x y", "ö\"'", "%_[", "p.jpg", "deep")
HIDDEN = (".hid", "@eaDir", "\udcfe\udcfd")


def is_text(name):
    return not any("\ud800" <= c <= "\udfff" for c in name)


def parent(path):
    return path.rpartition("/")[0]


def base(path):
    return path.rpartition("/")[2]


def is_below(path, directory):
    return path.startswith(directory + "/")


def fits(path):
    """Is the name no longer than file systems take?"""
    return len(os.fsencode(base(path))) <= 255


def same_volume(a, b):
    return (a.split("/")[0] == VOLUME) == (b.split("/")[0] == VOLUME)


def directory_is_shown(path):
    """Does a directory at this path have a row?"""
    top, *parts = path.split("/")
    return top in ROOTS and all(
        is_text(part) and not any(fnmatch.fnmatchcase(part, glob) for glob in IGNORED_DIRECTORIES)
        for part in parts)


def photo_is_shown(path):
    """Does a photo at this path have a row?"""
    name = base(path)
    return (directory_is_shown(parent(path)) and is_text(name)
            and os.path.splitext(name)[1].lower() in EXTENSIONS  # ".jpg" has none
            and not any(fnmatch.fnmatchcase(name, glob) for glob in IGNORED_FILES))
