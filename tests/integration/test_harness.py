"""The tests' own tools: what they make is right, and their checks fail when something is wrong."""

import datetime
import io
import json
import os
import uuid

import pytest
from PIL import Image

import media
import verify

pytestmark = pytest.mark.harness


def import_all(lib, names):
    """Writes the rows that a perfect daemon would write."""
    disk = verify.Disk(lib, lib.roots)
    folders = {f["folder_path"]: f["folder_id"] for f in lib.rows("folders", "folder_path")}
    with lib.connect() as db:
        for path, info in sorted(disk.directories.items()):
            if path in folders:
                db.execute("UPDATE folders SET last_modified_time = ? WHERE folder_path = ?",
                           (int(info.st_mtime), path))
                continue
            folders[path] = str(uuid.uuid4())
            db.execute("INSERT INTO folders VALUES (?, ?, ?, ?, 0, NULL, 'completed')",
                       (folders[path], folders[os.path.dirname(path)], path, int(info.st_mtime)))
        for name in names:
            import_one(lib, db, folders, lib.path(name), disk.media[lib.path(name)])


def import_one(lib, db, folders, path, info):
    with Image.open(path) as picture:
        size, kind = picture.size, picture.format
        thumbnail = f"{lib.thumbnails}/thumbnail_{uuid.uuid4()}.jpg"
        picture.convert("RGB").save(thumbnail)
    metadata = {
        "name": os.path.basename(path),
        "date_created": datetime.datetime.fromtimestamp(info.st_mtime).isoformat(),
        "date_source": "filesystem", "width": size[0], "height": size[1], "file_location": path,
        "file_size": info.st_size, "file_mtime": int(info.st_mtime),
        "item_type": "image/" + kind.lower()}
    db.execute("INSERT INTO images (id, path, folder_id, thumbnailPath, metadata) "
               "VALUES (?, ?, ?, ?, ?)", (str(uuid.uuid4()), path,
                                          folders[os.path.dirname(path)], thumbnail,
                                          json.dumps(metadata)))


NAMES = {"photos/a.jpg", "photos/b.png", "photos/in/ner/c.jpeg"}


@pytest.fixture
def synced(library):
    lib = library()
    for name in NAMES:
        lib.photo(name)
    lib.put("photos/note.txt", b"no photo")
    import_all(lib, NAMES)
    return lib


def test_right_rows_pass(synced):
    verify.everything(synced, NAMES)


def sql(statement):
    def change(lib):
        with lib.connect() as db:
            assert db.execute(statement).rowcount > 0
    return change


def metadata(key, value):
    return sql(f"UPDATE images SET metadata = json_set(metadata, '$.{key}', {value!r}) "
               "WHERE path LIKE '%/a.jpg'")


FAULTS = {
    "row missing": sql("DELETE FROM images WHERE path LIKE '%/a.jpg'"),
    "row too many": sql("INSERT INTO images SELECT 'x', '/x.jpg', folder_id, NULL, metadata, 0, 0,"
                        " 0, NULL, NULL, NULL FROM images LIMIT 1"),
    "row of a renamed file": sql("UPDATE images SET path = replace(path, 'b.png', 'z.png')"),
    "wrong folder": sql("UPDATE images SET folder_id = (SELECT folder_id FROM folders WHERE "
                        "folder_path LIKE '%/ner')"),
    "id no uuid4": sql("UPDATE images SET id = '00000000-0000-1000-8000-000000000000' "
                       "WHERE path LIKE '%/a.jpg'"),
    "folder missing": sql("DELETE FROM folders WHERE folder_path LIKE '%/ner'"),
    "folder too many": sql("INSERT INTO folders SELECT 'x', folder_id, '/x', 0, 0, 0, '' "
                           "FROM folders LIMIT 1"),
    "wrong parent": sql("UPDATE folders SET parent_folder_id = NULL "
                        "WHERE folder_path LIKE '%/ner'"),
    "folder mtime": sql("UPDATE folders SET last_modified_time = 1 WHERE folder_path LIKE '%/in'"),
    "metadata name": metadata("name", "other"),
    "metadata size": metadata("file_size", 1),
    "metadata mtime": metadata("file_mtime", 1),
    "metadata width": metadata("width", 1),
    "metadata location": metadata("file_location", "/x"),
    "metadata type": metadata("item_type", "image/png"),
    "metadata date": metadata("date_created", "2020-01-01T00:00:00"),
    "metadata strange key": metadata("zzz", 1),
    "metadata latitude": metadata("latitude", 1.5),
    "file time trusted": sql("UPDATE images SET captured_at = '2020-01-01T00:00:00'"),
    "thumbnail elsewhere": sql("UPDATE images SET thumbnailPath = '/tmp/t.jpg' "
                               "WHERE path LIKE '%/a.jpg'"),
    "no thumbnail": sql("UPDATE images SET thumbnailPath = NULL WHERE path LIKE '%/a.jpg'"),
    "journal mode": lambda lib: wal(lib),
    "user version": lambda lib: user_version(lib),
    "extra thumbnail": lambda lib: lib.put(f"data/thumbnails/thumbnail_{uuid.uuid4()}.jpg", b""),
    "temporary file": lambda lib: lib.put("data/thumbnails/x.tmp", b""),
    "thumbnail gone": lambda lib: os.unlink(lib.row("photos/a.jpg")["thumbnailPath"]),
    "thumbnail broken": lambda lib: open(lib.row("photos/a.jpg")["thumbnailPath"], "w").close(),
    "thumbnail too large": lambda lib: Image.new("RGB", (99, 99)).save(
        lib.row("photos/a.jpg")["thumbnailPath"]),
    "file changed": lambda lib: lib.photo("photos/a.jpg", width=20),
    "directory appeared": lambda lib: lib.mkdir("photos/new"),
}


def wal(lib):
    with lib.connect() as db:
        db.execute("PRAGMA journal_mode = wal")


def user_version(lib):
    with lib.connect() as db:
        db.execute("PRAGMA user_version = 7")


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_rows_fail(synced, fault):
    FAULTS[fault](synced)
    with pytest.raises((AssertionError, OSError)):
        verify.everything(synced, NAMES)


def test_expecting_another_set_fails(synced):
    with pytest.raises(AssertionError, match="1 too many"):
        verify.everything(synced, NAMES - {"photos/a.jpg"})
    with pytest.raises(AssertionError, match="not there"):
        verify.everything(synced, NAMES | {"photos/zzz.jpg"})


def test_identity_sees_every_loss(synced):
    before = synced.decorate("photos/a.jpg")
    assert before == synced.identity("photos/a.jpg")
    assert all(before.values()), before
    for table, column in (("image_classes", "image_id"), ("faces", "image_id"),
                          ("album_images", "image_id"), ("image_embeddings", "image_id"),
                          ("memory_images", "image_id")):
        with synced.connect() as db:
            db.execute("BEGIN")
            db.execute(f"DELETE FROM {table} WHERE {column} = ?", (before["id"],))
            db.commit()
        after = synced.identity("photos/a.jpg")
        assert after != before
        before = after


def test_photos_are_distinct_and_decode():
    made = [media.jpeg() for _ in range(50)] + [media.png() for _ in range(50)]
    assert len(set(made)) == 100
    for data in made:
        Image.open(io.BytesIO(data)).load()
    assert len(media.jpeg()) < 1000


def test_exif_is_what_was_asked():
    data = media.jpeg_exif("2001:02:03 04:05:06", "2002:02:03 04:05:06", "2003:02:03 04:05:06",
                           gps=(-33.8568, 151.2153))
    exif = Image.open(io.BytesIO(data)).getexif()
    assert exif[0x0132] == "2003:02:03 04:05:06"
    assert exif.get_ifd(0x8769) == {0x9003: "2001:02:03 04:05:06", 0x9004: "2002:02:03 04:05:06"}
    gps = exif.get_ifd(0x8825)
    assert (gps[1], gps[3]) == ("S", "E")
    degrees, minutes, seconds = (float(v) for v in gps[2])
    assert abs(degrees + minutes / 60 + seconds / 3600 - 33.8568) < 1e-6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_show_upright(orientation):
    from PIL import ImageOps
    picture = Image.open(io.BytesIO(media.turned(orientation)))
    assert picture.getexif()[0x0112] == orientation
    assert media.shows_quadrants(picture) == (orientation == 1)
    assert media.shows_quadrants(ImageOps.exif_transpose(picture))
    assert ImageOps.exif_transpose(picture).size == (96, 64)


@pytest.mark.skipif(not media.have_video(), reason="built without libavformat: no videos to be had")
def test_videos_are_distinct():
    a, b = media.video(), media.video()
    assert a != b and a[4:8] == b"ftyp"


def test_long_paths_are_walked_and_removed(library):
    lib = library()
    fd = os.open(lib.path("photos"), os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=fd)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    disk = verify.Disk(lib, lib.roots)
    assert len(disk.directories) == 21
    assert max(map(len, disk.directories)) > 5000


def test_thumbnail_sizes():
    assert verify.thumbnail_size(600, 100) == ((600, 100), (600, 100))
    assert verify.thumbnail_size(1200, 601) == ((600, 300), (600, 301))
