"""What happens to a directory, and what the rows of it and of all below must say then."""

import os
import shutil
import subprocess
import threading

import pytest

import media
from harness import Outcome, Table, write

IN_ALBUM = {"r1/album/a.jpg", "r1/album/b.jpg", "r1/album/deep/er/c.jpg"}
ALBUMS = {"r1/album", "r1/album/deep", "r1/album/deep/er"}
START = IN_ALBUM | {"r1/other/x.jpg", "r2/y.jpg"}
scenario = Table()


@pytest.mark.parametrize("name", scenario.items)
def test_directory(library, name):
    lib = library(roots=("r1", "r2"), unprivileged=scenario.items[name][1])
    for photo in START:
        lib.photo(photo)
    lib.mkdir("r1/empty")
    if lib.user:
        lib.give_away()
    scenario.play(name, lib, START)


def below(old, new):
    """The photos of one directory under its new name."""
    return {name: new + name[len(old):] for name in START if name.startswith(old + "/")}


def moved(lib, old, new, rename=None):
    """Renames a directory; every row below keeps its identity, nothing is decoded."""
    folders = {old + name[len(lib.path(old)):]: new + name[len(lib.path(old)):]
               for name, *_ in os.walk(lib.path(old))}
    (rename or lib.rename)(old, new)
    photos = below(old, new)
    return Outcome(START - set(photos) | set(photos.values()), moved=photos, decodes=0,
                   folders=folders)


@scenario(down=True)
def created(lib):
    lib.mkdir("r1/new")
    return Outcome(START, decodes=0)


@scenario(down=True)
def created_with_a_photo_at_once(lib):
    lib.photo("r1/new/n.jpg")
    return Outcome(START | {"r1/new/n.jpg"}, decodes=1)


@scenario()
def eight_deep_with_files_at_once(lib):
    names = set()
    for way in range(12):
        path = f"r1/way{way}"
        for depth in range(8):
            path += f"/{depth}"
        lib.mkdir(path)
        while path != f"r1/way{way}":
            names.add(path + "/p.jpg")
            lib.photo(path + "/p.jpg")
            path = os.path.dirname(path)
    return Outcome(START | names, decodes=len(names))


@scenario(down=True)
def tree_copied_with_cp(lib):
    names = {f"{d}/{i}.jpg" for d in ("", "/in", "/in/ner", "/x") for i in range(10)}
    for name in names:
        lib.photo("outside/tree" + name)
    subprocess.run(["cp", "-a", lib.path("outside/tree"), lib.path("r1/tree")], check=True)
    return Outcome(START | {"r1/tree" + name for name in names}, decodes=len(names))


@scenario()
def own_tree_copied_with_cp(lib):
    subprocess.run(["cp", "-a", lib.path("r1/album"), lib.path("r2/album")], check=True)
    copies = set(below("r1/album", "r2/album").values())
    return Outcome(START | copies, decodes=len(copies), fresh=copies)


@scenario()
def tree_unpacked_with_tar(lib):
    """tar sets the directories' times last of all."""
    for i in range(30):
        lib.photo(f"outside/tree/d{i % 5}/{i}.jpg")
    for i in range(5):
        os.utime(lib.path(f"outside/tree/d{i}"), (1_000_000_000 + i, 1_000_000_000 + i))
    subprocess.run("tar -c -C outside tree | tar -x -C r1", shell=True, check=True, cwd=lib.base)
    return Outcome(START | {f"r1/tree/d{i % 5}/{i}.jpg" for i in range(30)}, decodes=30)


@scenario(down=True)
def renamed(lib):
    return moved(lib, "r1/album", "r1/renamed")


@scenario()
def renamed_many_times_at_once(lib):
    def rename(old, new):
        lib.rename(old, "r1/1")
        lib.rename("r1/1", "r2/2")
        lib.rename("r2/2", new)
    return moved(lib, "r1/album", "r1/renamed", rename)


@scenario()
def renamed_away_and_back_at_once(lib):
    lib.rename("r1/album", "r1/away")
    lib.rename("r1/away", "r1/album")
    return Outcome(START, decodes=0)


@scenario()
def inner_and_outer_renamed_at_once(lib):
    def rename(old, new):
        lib.rename("r1/album/deep", "r1/album/shallow")
        lib.rename(old, new)
    outcome = moved(lib, "r1/album", "r1/z", rename)
    photos = {old: new.replace("/deep/", "/shallow/") for old, new in outcome.moved.items()}
    return Outcome(START - set(photos) | set(photos.values()), moved=photos, decodes=0,
                   folders={"r1/album": "r1/z", "r1/album/deep": "r1/z/shallow",
                            "r1/album/deep/er": "r1/z/shallow/er"})


@scenario()
def renamed_and_a_photo_inside_renamed_at_once(lib):
    lib.rename("r1/album", "r1/z")
    lib.rename("r1/z/a.jpg", "r1/z/a2.jpg")
    photos = below("r1/album", "r1/z") | {"r1/album/a.jpg": "r1/z/a2.jpg"}
    return Outcome(START - set(photos) | set(photos.values()), moved=photos, decodes=0)


@scenario()
def renamed_over_an_empty_directory(lib):
    return moved(lib, "r1/album", "r1/empty")


@scenario(down=True)
def moved_into_another(lib):
    return moved(lib, "r1/album", "r1/other/album")


@scenario(down=True)
def moved_between_roots(lib):
    return moved(lib, "r1/album", "r2/album")


@scenario(down=True)
def into_the_library(lib):
    names = {f"tree/{d}/{i}.jpg" for d in "ab" for i in range(5)}
    for name in names:
        lib.photo("outside/" + name)
    lib.rename("outside/tree", "r1/tree")
    return Outcome(START | {"r1/" + name for name in names}, decodes=len(names))


@scenario(down=True)
def out_of_the_library(lib):
    lib.rename("r1/album", "outside/album")
    return Outcome(START - IN_ALBUM, decodes=0)


@scenario()
def out_of_the_library_and_changed_there(lib):
    """A tree that was moved out is not watched any more."""
    lib.rename("r1/album", "outside/album")
    lib.expect(START - IN_ALBUM)
    lib.photo("outside/album/late.jpg")
    lib.photo("outside/album/deep/er/late.jpg")
    return Outcome(START - IN_ALBUM, decodes=0)


@scenario()
def out_of_the_library_and_into_another_root(lib):
    lib.rename("r1/album", "outside/album")
    lib.expect(START - IN_ALBUM)
    lib.rename("outside/album", "r2/back")
    new = set(below("r1/album", "r2/back").values())
    return Outcome(START - IN_ALBUM | new, decodes=3)


def write_while(lib, change, directory="r1/album", count=150):
    """Writes photos into an open directory, wherever it is, while change(i) is called."""
    fd = os.open(lib.path(directory), os.O_RDONLY)
    middle = threading.Event()

    def work():
        for i in range(count):
            file = os.open(f"w{i}.jpg", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
            data = media.jpeg()
            os.write(file, data[:100])
            os.write(file, data[100:])
            os.close(file)
            if i == count // 5:
                middle.set()
        middle.set()

    writer = threading.Thread(target=work)
    writer.start()
    middle.wait()
    change()
    writer.join()
    os.close(fd)
    return {f"w{i}.jpg" for i in range(count)}


@scenario()
def moved_while_files_are_written_in_it(lib):
    new = write_while(lib, lambda: lib.rename("r1/album", "r1/moved"))
    photos = below("r1/album", "r1/moved")
    names = START - set(photos) | set(photos.values()) | {"r1/moved/" + n for n in new}
    return Outcome(names, moved=photos, folders={"r1/album": "r1/moved"})


@scenario()
def moved_again_and_again_while_files_are_written_in_it(lib):
    def change():
        for old, new in (("r1/album", "r2/1"), ("r2/1", "r1/2"), ("r1/2", "r1/other/3"),
                         ("r1/other/3", "r2/4")):
            lib.rename(old, new)
    new = write_while(lib, change)
    photos = below("r1/album", "r2/4")
    return Outcome(START - set(photos) | set(photos.values()) | {"r2/4/" + n for n in new},
                   moved=photos)


@scenario()
def moved_out_while_files_are_written_in_it(lib):
    write_while(lib, lambda: lib.rename("r1/album", "outside/album"))
    return Outcome(START - IN_ALBUM)


@scenario()
def moved_with_a_file_still_open(lib):
    data = media.jpeg(width=100, height=75)
    with open(lib.path("r1/album/open.jpg"), "wb", buffering=0) as file:
        file.write(data[:500])
        lib.rename("r1/album", "r1/moved")
        file.write(data[500:])
    photos = below("r1/album", "r1/moved")
    return Outcome(START - set(photos) | set(photos.values()) | {"r1/moved/open.jpg"},
                   moved=photos)


@scenario(down=True)
def touched(lib):
    os.utime(lib.path("r1/album"), (1_000_000_000, 1_000_000_000))
    os.utime(lib.path("r1/album/deep/er"), (1_100_000_000, 1_100_000_000))
    os.utime(lib.path("r2"), (1_200_000_000, 1_200_000_000))
    return Outcome(START, decodes=0)


@scenario(down=True)
def removed_with_rm_rf(lib):
    subprocess.run(["rm", "-rf", lib.path("r1/album")], check=True)
    return Outcome(START - IN_ALBUM, decodes=0)


@scenario()
def removed_while_files_are_written_elsewhere(lib):
    new = write_while(lib, lambda: lib.rmtree("r1/album"), "r1/other")
    return Outcome(START - IN_ALBUM | {"r1/other/" + n for n in new}, decodes=len(new))


@scenario()
def removed_and_made_again_at_once(lib):
    lib.rmtree("r1/album")
    lib.photo("r1/album/new.jpg")
    lib.photo("r1/album/deep/new.jpg")
    return Outcome(START - IN_ALBUM | {"r1/album/new.jpg", "r1/album/deep/new.jpg"},
                   loose=ALBUMS)


@scenario()
def removed_and_made_again_many_times(lib):
    for i in range(30):
        shutil.rmtree(lib.path("r1/album"))
        lib.photo(f"r1/album/deep/{i}.jpg")
    return Outcome(START - IN_ALBUM | {"r1/album/deep/29.jpg"}, loose=ALBUMS)


@scenario()
def removed_and_made_again_with_the_same_photos(lib):
    """As a sync program that replaces a directory does."""
    shutil.copytree(lib.path("r1/album"), lib.path("outside/album"))
    lib.rmtree("r1/album")
    lib.rename("outside/album", "r1/album")
    return Outcome(START, loose=IN_ALBUM | ALBUMS)


@scenario()
def renamed_and_another_made_in_its_place(lib):
    lib.rename("r1/album", "r1/old")
    lib.photo("r1/album/a.jpg")
    photos = below("r1/album", "r1/old")
    return Outcome(START - set(photos) | set(photos.values()) | {"r1/album/a.jpg"}, moved=photos,
                   fresh={"r1/album/a.jpg"}, decodes=1, folders={"r1/album": "r1/old"})


@scenario(down=True)
def replaced_by_a_file_of_that_name(lib):
    lib.rmtree("r1/album")
    write(lib.path("r1/album"), b"a file now")
    return Outcome(START - IN_ALBUM, decodes=0)


@scenario(down=True)
def replaced_by_a_photo_of_that_name(lib):
    lib.rename("r1/album", "r1/album.jpg")
    lib.expect_if_running(START - IN_ALBUM | set(below("r1/album", "r1/album.jpg").values()))
    lib.rmtree("r1/album.jpg")
    lib.photo("r1/album.jpg")
    return Outcome(START - IN_ALBUM | {"r1/album.jpg"})


@scenario()
def photo_replaced_by_a_directory_of_that_name(lib):
    lib.unlink("r1/other/x.jpg")
    lib.photo("r1/other/x.jpg/y.jpg")
    return Outcome(START - {"r1/other/x.jpg"} | {"r1/other/x.jpg/y.jpg"}, decodes=1)


@scenario()
def replaced_by_a_symlink(lib):
    lib.rename("r1/album", "outside/album")
    os.symlink(lib.path("outside/album"), lib.path("r1/album"))
    return Outcome(START - IN_ALBUM, decodes=0)


@scenario(down=True)
def two_exchanged(lib):
    lib.exchange("r1/album", "r1/other")
    photos = below("r1/album", "r1/other") | below("r1/other", "r1/album")
    return Outcome(START - set(photos) | set(photos.values()), moved=photos, decodes=0,
                   folders={"r1/album": "r1/other", "r1/other": "r1/album"})


@scenario()
def exchanged_with_one_outside(lib):
    lib.photo("outside/dir/new.jpg")
    lib.exchange("r1/album", "outside/dir")
    return Outcome(START - IN_ALBUM | {"r1/album/new.jpg"}, decodes=1,
                   loose={"r1/album"})


@scenario()
def exchanged_with_its_own_photo_name(lib):
    """A directory and a photo swap names."""
    lib.exchange("r1/album", "r1/other/x.jpg")
    photos = below("r1/album", "r1/other/x.jpg")
    return Outcome(START - IN_ALBUM - {"r1/other/x.jpg"} | set(photos.values()), moved=photos,
                   decodes=0)


@scenario(user=True)
def made_unreadable_and_readable_again(lib):
    os.chmod(lib.path("r1/album"), 0)
    lib.settle()
    assert lib.row("r1/album/a.jpg"), "rows of an unreadable directory vanished"
    os.chmod(lib.path("r1/album"), 0o755)
    return Outcome(START, decodes=0)


@scenario(down=True)
def ignored_by_its_name(lib):
    lib.photo("r1/.hidden/h.jpg")
    lib.photo("r1/@eaDir/t.jpg")
    lib.photo("r1/album/#recycle/r.jpg")
    lib.photo("r1/lost+found/l.jpg")
    return Outcome(START, decodes=0)


@scenario()
def renamed_from_an_ignored_name(lib):
    lib.photo("r1/.hidden/h.jpg")
    lib.settle()
    lib.rename("r1/.hidden", "r1/shown")
    return Outcome(START | {"r1/shown/h.jpg"}, decodes=1)


# ---- roots in roots ----

@pytest.mark.parametrize("order", ["outer first", "inner first", "inner registered while running"])
def test_registered_twice_through_nested_roots(library, order):
    names = {"r/1.jpg", "r/in/2.jpg", "r/in/ner/3.jpg"}
    roots = {"outer first": ("r", "r/in"), "inner first": ("r/in", "r")}.get(order, ("r",))
    lib = library(roots=roots)
    for name in names:
        lib.photo(name)
    lib.start()
    if order == "inner registered while running":
        lib.expect(names)
        result = lib.run("init", lib.path("r/in"))
        assert result.returncode in (0, 1), result.stderr
    lib.expect(names)
    before = {name: lib.decorate(name) for name in names}
    lib.photo("r/in/new.jpg")
    lib.rename("r/in/ner", "r/ner")
    names = names - {"r/in/ner/3.jpg"} | {"r/ner/3.jpg", "r/in/new.jpg"}
    lib.expect(names)
    before["r/ner/3.jpg"] = before.pop("r/in/ner/3.jpg")
    assert {name: lib.identity(name) for name in before} == before
    lib.expect_idempotent()
