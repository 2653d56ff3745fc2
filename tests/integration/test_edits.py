"""Photos that are edited: what of the AI's stays, what goes, and what PictoPy wrote itself."""

import io
import os
import signal

import pytest
from PIL import Image

import media
from harness import edited, write

PHOTO = "photos/a.jpg"
OTHER = "photos/other.jpg"
LEDGER = ("CREATE TABLE self_writes (path TEXT PRIMARY KEY, file_size INTEGER, file_mtime INTEGER,"
          " written_at INTEGER)")


# ---- edits, as programs make them ----

def encoded_again(data, **options):
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).save(out, "PNG", **options)
    return out.getvalue()


def in_place(path, data):
    write(path, data)


def by_rename(path, data):
    write(path + ".new", data)
    os.rename(path + ".new", path)


def with_backup(path, data):
    os.rename(path, path + "~")
    write(path, data)


# ---- what is expected ----

def decorate(lib, name=PHOTO):
    lib.decorate(name)
    return lib.add_unnamed_faces(name)


@pytest.fixture
def decorated(library):
    """A library with one photo that has everything hanging on it, and one to compare with."""
    def make(data=None, name=PHOTO, **kwargs):
        lib = library(**kwargs)
        lib.put(name, data or media.jpeg(96, 64))
        lib.photo(OTHER)
        lib.start()
        lib.before = decorate(lib, name)
        lib.other = decorate(lib, OTHER)
        lib.names = {name, OTHER}
        lib.name = name
        return lib
    return make


def assert_kept(lib):
    lib.expect(lib.names)
    assert lib.identity(lib.name) == lib.before
    assert lib.identity(OTHER) == lib.other


def assert_retagged(lib):
    lib.expect(lib.names)
    assert lib.identity(lib.name) == edited(lib.before)
    assert lib.identity(OTHER) == lib.other


def thumbnail(lib):
    path = lib.row(lib.name)["thumbnailPath"]
    with open(path, "rb") as file:
        return path, file.read()


# ---- only metadata ----

@pytest.mark.parametrize("save", [in_place, by_rename, with_backup])
def test_exif_edited(decorated, save):
    data = media.jpeg(96, 64)
    lib = decorated(data)
    before = thumbnail(lib)
    save(lib.path(PHOTO), media.with_exif(data))
    assert_kept(lib)
    assert lib.row(PHOTO)["captured_at"] == "2019-05-06T07:08:09"
    assert thumbnail(lib) == before
    assert lib.counter("thumbnails_kept") == 1
    assert lib.counter("retagged") == 0
    assert lib.counter("modified") == 1


def test_exif_edited_while_down(decorated):
    data = media.jpeg(96, 64)
    lib = decorated(data)
    lib.stop()
    write(lib.path(PHOTO), media.with_exif(data))
    lib.start()
    assert_kept(lib)
    lib.expect_idempotent()


def test_comment_edited_twice(decorated):
    data = media.jpeg(96, 64)
    lib = decorated(data)
    for text in (b"first", b"a longer second"):
        write(lib.path(PHOTO), media.with_segment(data, 0xFE, text))
        assert_kept(lib)


def test_exif_edited_without_the_state_database(decorated):
    """Nothing but the row tells what the file was like; the thumbnail tells the rest."""
    data = media.jpeg(96, 64)
    lib = decorated(data)
    lib.stop()
    for name in os.listdir(lib.state):
        os.unlink(os.path.join(lib.state, name))
    write(lib.path(PHOTO), media.with_exif(data))
    lib.start()
    assert_kept(lib)


def test_png_encoded_again(decorated):
    """Other bytes, the very same pixels."""
    lib = decorated(media.png(96, 64), name="photos/a.png")
    with open(lib.path(lib.name), "rb") as file:
        data = file.read()
    again = encoded_again(data, compress_level=1)
    assert again != data
    by_rename(lib.path(lib.name), again)
    assert_kept(lib)


@pytest.mark.parametrize("save", [in_place, by_rename])
def test_same_content_written(decorated, save):
    data = media.jpeg(96, 64)
    lib = decorated(data)
    before = thumbnail(lib)
    save(lib.path(PHOTO), data)
    assert_kept(lib)
    assert thumbnail(lib) == before


def test_sidecar_edited(decorated):
    lib = decorated()
    lib.put(PHOTO + ".json", media.sidecar(taken=1234567890).encode())
    assert_kept(lib)
    assert lib.row(PHOTO)["captured_at"] is not None


def test_moved_and_metadata_edited(decorated):
    data = media.jpeg(96, 64)
    lib = decorated(data)
    lib.rename(PHOTO, "photos/b.jpg")
    write(lib.path("photos/b.jpg"), media.with_exif(data))
    lib.names, lib.name = {"photos/b.jpg", OTHER}, "photos/b.jpg"
    assert_kept(lib)


# ---- pixels ----

@pytest.mark.parametrize("save", [in_place, by_rename, with_backup])
def test_cropped(decorated, save):
    data = media.jpeg(96, 64)
    lib = decorated(data)
    old, _ = thumbnail(lib)
    save(lib.path(PHOTO), media.cropped(data))
    assert_retagged(lib)
    assert thumbnail(lib)[0] != old
    assert lib.counter("retagged") == 1


def test_cropped_while_down(decorated):
    data = media.jpeg(96, 64)
    lib = decorated(data)
    lib.stop()
    write(lib.path(PHOTO), media.cropped(data))
    lib.start()
    assert_retagged(lib)
    lib.expect_idempotent()


def test_one_pixel_of_a_small_png(decorated):
    lib = decorated(media.png(96, 64), name="photos/a.png")
    with Image.open(lib.path(lib.name)) as image:
        image.load()
        image.putpixel((20, 20), (255, 255, 255))
        image.putpixel((21, 20), (255, 255, 255))
    out = io.BytesIO()
    image.save(out, "PNG")
    write(lib.path(lib.name), out.getvalue())
    assert_retagged(lib)


def test_turned(decorated):
    """The AI sees a turned photo as another picture, though only EXIF was edited."""
    data = media.jpeg(96, 64)
    lib = decorated(data)
    write(lib.path(PHOTO), media.with_exif(data, orientation=6))
    assert_retagged(lib)


def test_replaced_by_another_photo(decorated):
    lib = decorated()
    by_rename(lib.path(PHOTO), media.turned(1))
    assert_retagged(lib)


def test_thumbnail_of_the_backend(decorated):
    """It was encoded by another encoder: nobody can tell, so the AI looks again."""
    data = media.jpeg(96, 64)
    lib = decorated(data)
    path, _ = thumbnail(lib)
    Image.open(io.BytesIO(data)).save(path, "JPEG", quality=60)
    write(lib.path(PHOTO), media.with_exif(data))
    assert_retagged(lib)


def test_older_schema(decorated):
    data = media.jpeg(96, 64)
    lib = decorated(data, old_schema=True)
    write(lib.path(PHOTO), media.with_exif(data))
    assert_kept(lib)
    write(lib.path(PHOTO), media.cropped(data))
    assert_retagged(lib)


def test_standalone_database(library):
    """`init` makes none of the AI's tables."""
    lib = library()
    os.unlink(lib.database)
    assert lib.run("init", lib.path("photos")).returncode == 0
    lib.photo(PHOTO, width=96, height=64)
    lib.start()
    with lib.connect() as db:
        db.execute("UPDATE images SET isTagged = 1, isEmbedded = 1, isFavourite = 1")
    key = lib.row(PHOTO)["id"]
    write(lib.path(PHOTO), media.cropped(media.jpeg(96, 64)))
    lib.expect({PHOTO})
    row = lib.row(PHOTO)
    assert (row["id"], row["isTagged"], row["isEmbedded"], row["isFavourite"]) == (key, 0, 0, 1)


def test_not_wanted(decorated):
    data = media.jpeg(96, 64)
    lib = decorated(data, settings={"sync.retag_modified": "no"})
    write(lib.path(PHOTO), media.cropped(data))
    assert_kept(lib)


def test_not_wanted_taken_up_live(decorated):
    data = media.jpeg(96, 64)
    lib = decorated(data)
    write(lib.config, b"[sync]\nretag_modified = no\n")
    start = len(lib.daemon.lines)
    lib.daemon.process.send_signal(signal.SIGHUP)
    lib.daemon.wait_line("configuration", start=start)
    write(lib.path(PHOTO), media.cropped(data))
    assert_kept(lib)


def test_lost_thumbnail_is_no_edit(decorated):
    lib = decorated()
    os.unlink(thumbnail(lib)[0])
    assert lib.daemon.request("POST", "/watcher/rescan")[0] == 200
    assert_kept(lib)


def test_lost_thumbnail_and_state_is_no_edit(decorated):
    lib = decorated()
    lib.stop()
    os.unlink(thumbnail(lib)[0])
    for name in os.listdir(lib.state):
        os.unlink(os.path.join(lib.state, name))
    lib.start()
    assert_kept(lib)


def test_triggers_see_what_changed(decorated):
    """A trigger on a column fires only when that column changes."""
    data = media.jpeg(96, 64)
    lib = decorated(data)
    with lib.connect() as db:
        db.execute("CREATE TABLE fired (what TEXT)")
        for column in ("isTagged", "isEmbedded", "isFavourite", "metadata", "path", "folder_id"):
            db.execute(f"CREATE TRIGGER t_{column} AFTER UPDATE OF {column} ON images"
                       f" BEGIN INSERT INTO fired VALUES ('{column}'); END")
    write(lib.path(PHOTO), media.with_exif(data))
    assert_kept(lib)
    assert lib.rows("fired", "what") == [{"what": "metadata"}]
    write(lib.path(PHOTO), media.cropped(data))
    assert_retagged(lib)
    assert [row["what"] for row in lib.rows("fired", "what")] == [
        "isEmbedded", "isTagged", "metadata", "metadata"]


# ---- PictoPy's own writes ----

def announce(lib, size, mtime, name=PHOTO):
    with lib.connect() as db:
        db.execute("INSERT OR REPLACE INTO self_writes VALUES (?, ?, ?, 0)",
                   (lib.view(lib.path(name)), size, mtime))


def write_as_pictopy(lib, data, mtime=1_600_000_000.25, announced=(0, 0)):
    """As PictoPy does it: a temporary file beside the photo, the ledger, the rename."""
    path = lib.path(PHOTO)
    temporary = os.path.join(os.path.dirname(path), ".pictopy-write-1234.tmp")
    write(temporary, data)
    os.utime(temporary, (mtime, mtime))
    announce(lib, len(data) + announced[0], int(mtime) + announced[1])
    os.rename(temporary, path)


def ledger(lib):
    return lib.rows("self_writes")


@pytest.fixture
def with_ledger(decorated):
    lib = decorated()
    with lib.connect() as db:
        db.execute(LEDGER)
    announce(lib, 1, 2, OTHER)
    return lib


def test_own_write(with_ledger):
    lib = with_ledger
    write_as_pictopy(lib, media.cropped(media.jpeg(96, 64)))
    assert_kept(lib)
    assert lib.counter("own_writes") == 1
    assert [row["path"] for row in ledger(lib)] == [lib.path(OTHER)]
    assert lib.counter("photos_decoded") == 3


def test_own_write_counts_once(with_ledger):
    """The same size and time once more, and no entry in the ledger: a user's."""
    lib = with_ledger
    data = media.cropped(media.jpeg(96, 64))
    other = media.cropped(media.turned(1, 96, 64))
    size = max(len(data), len(other))
    data, other = (each + bytes(size - len(each)) for each in (data, other))
    write_as_pictopy(lib, data)
    assert_kept(lib)
    path = lib.path(PHOTO)
    write(path + ".new", other)
    os.utime(path + ".new", (1_600_000_000.75, 1_600_000_000.75))
    os.rename(path + ".new", path)
    assert_retagged(lib)


def test_own_write_while_down(with_ledger):
    lib = with_ledger
    lib.stop()
    write_as_pictopy(lib, media.cropped(media.jpeg(96, 64)))
    lib.start()
    assert_kept(lib)
    assert len(ledger(lib)) == 1


@pytest.mark.parametrize("announced", [(1, 0), (0, 1), (0, -1)])
def test_not_what_was_announced(with_ledger, announced):
    lib = with_ledger
    write_as_pictopy(lib, media.cropped(media.jpeg(96, 64)), announced=announced)
    assert_retagged(lib)
    assert len(ledger(lib)) == 2
    assert lib.counter("own_writes") == 0


def test_ledger_appears_while_running(decorated):
    lib = decorated()
    write(lib.path(PHOTO), media.with_exif(media.jpeg(96, 64)))
    assert_kept(lib)
    with lib.connect() as db:
        db.execute(LEDGER)
    write_as_pictopy(lib, media.cropped(media.jpeg(96, 64)))
    assert_kept(lib)
    assert ledger(lib) == []


@pytest.mark.parametrize("table", [
    "CREATE TABLE self_writes (path TEXT PRIMARY KEY, bytes INTEGER, file_mtime INTEGER)",
    "CREATE VIEW self_writes AS SELECT path, 1 AS file_size, 2 AS file_mtime FROM images",
])
def test_ledger_malformed(decorated, table):
    lib = decorated()
    with lib.connect() as db:
        db.execute(table)
    write(lib.path(PHOTO), media.cropped(media.jpeg(96, 64)))
    assert_retagged(lib)


def test_ledger_with_a_trigger(with_ledger):
    """An entry that cannot be taken does not count, and stops nothing."""
    lib = with_ledger
    with lib.connect() as db:
        db.execute("CREATE TRIGGER t BEFORE DELETE ON self_writes"
                   " BEGIN SELECT RAISE(ABORT, 'no'); END")
    write_as_pictopy(lib, media.cropped(media.jpeg(96, 64)))
    assert_retagged(lib)
    assert len(ledger(lib)) == 2


def test_temporary_files_are_ignored(with_ledger):
    lib = with_ledger
    write(lib.path("photos/.pictopy-write-99.tmp"), media.jpeg())
    write(lib.path("photos/.pictopy-write-.tmp"), media.jpeg())
    assert_kept(lib)
