"""What happens to a photo file, and what its row must say then. Each entry is one test."""

import os
import shutil
import subprocess
import threading
import time

import pytest

import media
from harness import Outcome, Table, write

START = {"r1/a.jpg", "r1/b.jpg", "r1/sub/c.jpg", "r2/d.jpg"}
A, B, C, D = sorted(START)
scenario = Table()


@pytest.mark.parametrize("name", scenario.items)
def test_file(library, name):
    lib = library(roots=("r1", "r2"), unprivileged=scenario.items[name][1])
    for photo in START:
        lib.photo(photo, width=64, height=48)
    if lib.user:
        lib.give_away()
    scenario.play(name, lib, START)


# ---- new files ----

@scenario(down=True)
def written(lib):
    lib.photo("r1/new.jpg")
    return Outcome(START | {"r1/new.jpg"}, decodes=1, fresh={"r1/new.jpg"})


@scenario()
def written_png(lib):
    lib.photo("r1/new.PNG".lower())
    lib.put("r1/LOUD.PNG", media.png())
    return Outcome(START | {"r1/new.png", "r1/LOUD.PNG"}, decodes=2)


@scenario(down=True)
def copied(lib):
    shutil.copy2(lib.path(A), lib.path("r1/copy.jpg"))
    return Outcome(START | {"r1/copy.jpg"}, decodes=1, fresh={"r1/copy.jpg"})


@scenario(down=True)
def hard_linked(lib):
    os.link(lib.path(A), lib.path("r1/sub/link.jpg"))
    return Outcome(START | {"r1/sub/link.jpg"}, fresh={"r1/sub/link.jpg"})


@scenario()
def hard_linked_and_original_removed_at_once(lib):
    os.link(lib.path(A), lib.path("r1/sub/link.jpg"))
    lib.unlink(A)
    return Outcome(START - {A} | {"r1/sub/link.jpg"}, moved={A: "r1/sub/link.jpg"}, decodes=0)


@scenario()
def symlinked(lib):
    os.symlink("sub/c.jpg", lib.path("r1/inside.jpg"))
    lib.photo("outside/o.jpg")
    os.symlink(lib.path("outside/o.jpg"), lib.path("r1/sub/outside.jpg"))
    names = {"r1/inside.jpg", "r1/sub/outside.jpg"}
    return Outcome(START | names, fresh=names)


@scenario()
def symlinked_to_nothing(lib):
    os.symlink("nowhere.jpg", lib.path("r1/dangling.jpg"))
    return Outcome(START, problems=None, decodes=0)


@scenario()
def symlink_to_a_directory(lib):
    lib.photo("outside/tree/o.jpg")
    os.symlink(lib.path("outside/tree"), lib.path("r1/link"))
    os.symlink(lib.path("r1"), lib.path("r1/sub/loop"))
    return Outcome(START, decodes=0)


@scenario()
def half_written_for_5_s_then_finished(lib):
    data = media.jpeg(width=200, height=150)
    path = lib.path("r1/slow.jpg")
    with open(path, "wb", buffering=0) as file:
        for part in range(10):
            assert lib.row("r1/slow.jpg") is None, "a half-written photo has a row"
            file.write(data[len(data) * part // 10:len(data) * (part + 1) // 10])
            time.sleep(0.5)  # the one wait that the scenario itself is made of
    return Outcome(START | {"r1/slow.jpg"}, fresh={"r1/slow.jpg"})


@scenario()
def half_written_closed_and_finished_later(lib):
    data = media.jpeg(width=200, height=150)
    path = lib.put("r1/late.jpg", data[:len(data) // 2])
    lib.expect(START, problems={"r1/late.jpg"})
    with open(path, "ab") as file:
        file.write(data[len(data) // 2:])
    return Outcome(START | {"r1/late.jpg"}, decodes=2)


@scenario(down=True)
def not_a_photo(lib):
    lib.put("r1/text.jpg", b"this is no photo\n")
    lib.put("r1/empty.png", b"")
    lib.put("r1/note.txt", b"")
    return Outcome(START, problems={"r1/text.jpg", "r1/empty.png"})


@scenario()
def not_a_photo_then_one(lib):
    lib.put("r1/text.jpg", b"this is no photo\n")
    lib.expect(START, problems={"r1/text.jpg"})
    lib.photo("r1/text.jpg")
    return Outcome(START | {"r1/text.jpg"})


@scenario()
def not_a_photo_then_removed(lib):
    lib.put("r1/text.jpg", b"this is no photo\n")
    lib.expect(START, problems={"r1/text.jpg"})
    lib.unlink("r1/text.jpg")
    return Outcome(START)


@scenario()
def made_by_a_pipe_of_tools(lib):
    """cp, mv and ln as programs, with no pause."""
    subprocess.run('cp a.jpg x.jpg && mv x.jpg y.jpg && ln y.jpg z.jpg && rm y.jpg', shell=True,
                   check=True, cwd=lib.path("r1"))
    return Outcome(START | {"r1/z.jpg"}, fresh={"r1/z.jpg"})


# ---- changed files ----

@scenario(down=True)
def saved_by_rename(lib):
    lib.photo("r1/.a.jpg.tmp", width=80)
    lib.rename("r1/.a.jpg.tmp", A)
    return Outcome(START, decodes=1, edited={A})


@scenario()
def saved_by_rename_of_a_photo_name(lib):
    lib.photo("r1/a-new.jpg", width=80)
    lib.rename("r1/a-new.jpg", A)
    return Outcome(START, edited={A})


@scenario()
def saved_with_a_backup(lib):
    lib.rename(A, A + "~")
    lib.photo(A, width=80)
    return Outcome(START, decodes=1, edited={A})


@scenario()
def saved_with_a_backup_that_is_a_photo(lib):
    lib.rename(A, "r1/a.bak.jpg")
    lib.photo(A, width=80)
    return Outcome(START | {"r1/a.bak.jpg"}, loose={A, "r1/a.bak.jpg"})


@scenario(down=True)
def overwritten_in_place(lib):
    lib.photo(A, width=80)
    return Outcome(START, decodes=1, edited={A})


@scenario()
def overwritten_with_the_same_size_and_mtime(lib):
    """Only the content and ctime tell; as rsync --inplace -t and exiftool -P leave it."""
    before = os.stat(lib.path(A))
    data = bytearray(media.jpeg(width=64, height=48))
    assert len(data) == before.st_size
    write(lib.path(A), data)
    os.utime(lib.path(A), ns=(before.st_atime_ns, before.st_mtime_ns))
    return Outcome(START)


@scenario()
def overwritten_many_times(lib):
    for width in range(20, 70):
        lib.photo(A, width=width)
    return Outcome(START, edited={A})


@scenario(down=True)
def appended(lib):
    with open(lib.path(A), "ab") as file:
        file.write(b"more bytes behind the picture")
    return Outcome(START, decodes=1)


def cut(path, size):
    """As truncate(1) does it. truncate(2) on a path gives no event that is watched."""
    with open(path, "r+b") as file:
        file.truncate(size)


@scenario(down=True)
def truncated(lib):
    """A photo with a row that no longer decodes keeps the row, and is a problem."""
    cut(lib.path(A), os.stat(lib.path(A)).st_size * 6 // 10)
    return Outcome(START, stale={A}, problems={A})


@scenario()
def truncated_to_nothing(lib):
    cut(lib.path(A), 0)
    return Outcome(START, stale={A}, problems={A})


@scenario()
def truncated_and_restored(lib):
    with open(lib.path(A), "rb") as file:
        data = file.read()
    cut(lib.path(A), len(data) // 2)
    lib.expect(START, stale={A}, problems={A})
    write(lib.path(A), data)
    return Outcome(START)


@scenario()
def truncated_and_removed(lib):
    cut(lib.path(A), 10)
    lib.expect(START, stale={A}, problems={A})
    lib.unlink(A)
    return Outcome(START - {A})


@scenario()
def truncated_and_renamed(lib):
    cut(lib.path(A), 10)
    lib.expect(START, stale={A}, problems={A})
    lib.rename(A, "r1/z.jpg")
    return Outcome(START - {A} | {"r1/z.jpg"}, moved={A: "r1/z.jpg"}, stale={"r1/z.jpg"},
                   problems={"r1/z.jpg"})


@scenario(down=True)
def touched(lib):
    os.utime(lib.path(A), (1_000_000_000, 1_000_000_000.25))
    return Outcome(START)


@scenario(user=True)
def made_unreadable(lib):
    os.chmod(lib.path(A), 0)
    return Outcome(START, stale={A}, problems=None)


@scenario(user=True)
def made_unreadable_and_readable_again(lib):
    os.chmod(lib.path(A), 0)
    lib.expect(START, stale={A}, problems=None)
    os.chmod(lib.path(A), 0o644)
    return Outcome(START, decodes=0)


@scenario(user=True)
def written_unreadable_and_readable_later(lib):
    path = lib.photo("outside/new.jpg")
    os.chmod(path, 0)
    os.rename(path, lib.path("r1/new.jpg"))
    lib.expect(START, problems={"r1/new.jpg"})
    lib.give_away()
    os.chmod(lib.path("r1/new.jpg"), 0o644)
    return Outcome(START | {"r1/new.jpg"}, decodes=1)


@scenario(user=True)
def directory_made_unreadable_and_readable_again(lib):
    os.chmod(lib.path("r1/sub"), 0)
    lib.settle()
    assert lib.row(C), "an unreadable directory lost its rows"
    os.chmod(lib.path("r1/sub"), 0o755)
    return Outcome(START, decodes=0)


# ---- removed and moved files ----

@scenario(down=True)
def deleted(lib):
    lib.unlink(A)
    return Outcome(START - {A}, decodes=0)


@scenario(down=True)
def all_deleted(lib):
    for name in START:
        lib.unlink(name)
    return Outcome(set(), decodes=0)


@scenario()
def deleted_and_written_again_at_once(lib):
    with open(lib.path(A), "rb") as file:
        data = file.read()
    lib.unlink(A)
    write(lib.path(A), data)
    return Outcome(START)


@scenario()
def written_and_deleted_at_once(lib):
    lib.photo("r1/gone.jpg")
    lib.unlink("r1/gone.jpg")
    return Outcome(START)


def renamed(lib, old, new):
    lib.rename(old, new)
    return Outcome(START - {old} | {new}, moved={old: new}, decodes=0)


@scenario(down=True)
def renamed_within_a_directory(lib):
    return renamed(lib, A, "r1/z.jpg")


@scenario(down=True)
def renamed_between_directories(lib):
    return renamed(lib, A, "r1/sub/a.jpg")


@scenario(down=True)
def renamed_between_roots(lib):
    return renamed(lib, A, "r2/z.jpg")


@scenario()
def renamed_many_times_at_once(lib):
    for old, new in ((A, "r1/1.jpg"), ("r1/1.jpg", "r2/2.jpg"), ("r2/2.jpg", "r1/sub/3.jpg")):
        lib.rename(old, new)
    return Outcome(START - {A} | {"r1/sub/3.jpg"}, moved={A: "r1/sub/3.jpg"}, decodes=0)


@scenario()
def renamed_away_and_back_at_once(lib):
    lib.rename(A, "r1/away.jpg")
    lib.rename("r1/away.jpg", A)
    return Outcome(START, decodes=0)


@scenario()
def renamed_and_overwritten_at_once(lib):
    lib.rename(A, "r1/z.jpg")
    lib.photo("r1/z.jpg", width=80)
    return Outcome(START - {A} | {"r1/z.jpg"}, moved={A: "r1/z.jpg"}, decodes=1,
                   edited={"r1/z.jpg"})


@scenario()
def renamed_and_another_written_in_its_place(lib):
    lib.rename(A, "r1/z.jpg")
    lib.settle()
    lib.photo(A)
    return Outcome(START | {"r1/z.jpg"}, moved={A: "r1/z.jpg"}, fresh={A}, decodes=1)


@scenario()
def renamed_into_a_new_directory(lib):
    lib.mkdir("r2/fresh/deep")
    return renamed(lib, A, "r2/fresh/deep/a.jpg")


@scenario(down=True)
def into_the_library(lib):
    lib.photo("outside/o.jpg")
    lib.rename("outside/o.jpg", "r1/o.jpg")
    return Outcome(START | {"r1/o.jpg"}, decodes=1, fresh={"r1/o.jpg"})


@scenario(down=True)
def out_of_the_library(lib):
    lib.rename(A, "outside/a.jpg")
    return Outcome(START - {A}, decodes=0)


@scenario()
def out_of_the_library_and_back(lib):
    lib.rename(A, "outside/a.jpg")
    lib.expect(START - {A})
    lib.rename("outside/a.jpg", A)
    return Outcome(START, loose={A})


@scenario()
def over_an_existing_photo(lib):
    lib.rename(A, B)
    return Outcome(START - {A}, moved={A: B}, decodes=0)


@scenario()
def over_an_existing_photo_elsewhere(lib):
    lib.rename(A, D)
    return Outcome(START - {A}, moved={A: D}, decodes=0)


@scenario()
def two_names_exchanged(lib):
    lib.exchange(A, B)
    return Outcome(START, moved={A: B, B: A}, decodes=0)


@scenario()
def two_names_exchanged_between_roots(lib):
    lib.exchange(A, D)
    return Outcome(START, moved={A: D, D: A}, decodes=0)


@scenario()
def exchanged_with_a_file_outside(lib):
    lib.photo("outside/o.jpg", width=80)
    lib.exchange(A, "outside/o.jpg")
    return Outcome(START, decodes=1, loose={A})


@scenario()
def three_names_rotated(lib):
    lib.rename(A, "r1/t.jpg")
    lib.rename(B, A)
    lib.rename(C, B)
    lib.rename("r1/t.jpg", C)
    return Outcome(START, moved={A: C, B: A, C: B}, decodes=0)


@scenario(down=True)
def extension_changed_to_no_media(lib):
    lib.rename(A, "r1/a.jpg.bak")
    return Outcome(START - {A}, decodes=0)


@scenario()
def extension_changed_to_no_media_and_back_at_once(lib):
    lib.rename(A, "r1/a.jpg.bak")
    lib.rename("r1/a.jpg.bak", A)
    return Outcome(START, decodes=0)


@scenario()
def extension_changed_to_no_media_and_back_later(lib):
    lib.rename(A, "r1/a.jpg.bak")
    lib.expect(START - {A})
    lib.rename("r1/a.jpg.bak", A)
    return Outcome(START, loose={A})


@scenario(down=True)
def extension_changed_to_a_media_one(lib):
    lib.photo("outside/o.jpg")
    os.rename(lib.path("outside/o.jpg"), lib.path("r1/o.dat"))
    lib.rename("r1/o.dat", "r1/o.jpg")
    return Outcome(START | {"r1/o.jpg"}, decodes=1)


@scenario()
def extension_changed_to_another_media_one(lib):
    return renamed(lib, A, "r1/a.JPEG")


@scenario()
def extension_changed_to_the_wrong_media_one(lib):
    return renamed(lib, A, "r1/a.png")


@scenario()
def many_at_once_by_many_writers(lib):
    """Four threads write, rename and remove at the same time."""
    def work(n):
        for i in range(25):
            lib.photo(f"r1/w{n}-{i}.jpg")
            if i % 3 == 1:
                lib.rename(f"r1/w{n}-{i}.jpg", f"r2/w{n}-{i}.jpg")
            if i % 3 == 2:
                lib.unlink(f"r1/w{n}-{i}.jpg")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {f"r{1 + i % 3}/w{n}-{i}.jpg" for n in range(4) for i in range(25) if i % 3 != 2}
    return Outcome(START | names)
