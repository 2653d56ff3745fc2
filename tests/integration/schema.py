"""PictoPy's database as its backend makes it: the tables, keys and indexes that the daemon meets.

`create()` makes the schema of a current PictoPy, `create(path, old=True)` that of an older
installation, which lacks the videos and the columns that came later.
"""

import os
import sqlite3

FOLDERS = """
CREATE TABLE folders (
    folder_id TEXT PRIMARY KEY,
    parent_folder_id TEXT,
    folder_path TEXT UNIQUE,
    last_modified_time INTEGER,
    AI_Tagging BOOLEAN DEFAULT 0,
    taggingCompleted BOOLEAN{status},
    FOREIGN KEY (parent_folder_id) REFERENCES folders(folder_id) ON DELETE CASCADE
);
"""
FOLDERS_STATUS = ",\n    indexing_status TEXT DEFAULT 'not_started'"

IMAGES = """
CREATE TABLE images (
    id TEXT PRIMARY KEY,
    path VARCHAR UNIQUE,
    folder_id INTEGER,
    thumbnailPath TEXT UNIQUE,
    metadata TEXT,
    isTagged BOOLEAN DEFAULT 0,
    isFavourite BOOLEAN DEFAULT 0{newer},
    FOREIGN KEY (folder_id) REFERENCES folders(folder_id) ON DELETE CASCADE
);
"""
IMAGES_NEWER = """,
    isEmbedded BOOLEAN DEFAULT 0,
    latitude REAL,
    longitude REAL,
    captured_at DATETIME"""

COMMON = """
CREATE TABLE mappings (class_id INTEGER PRIMARY KEY, name VARCHAR UNIQUE);
CREATE TABLE image_classes (
    image_id TEXT,
    class_id INTEGER{score},
    PRIMARY KEY (image_id, class_id),
    FOREIGN KEY (image_id) REFERENCES images(id) ON DELETE CASCADE,
    FOREIGN KEY (class_id) REFERENCES mappings(class_id) ON DELETE CASCADE
);
CREATE TABLE face_clusters (
    cluster_id TEXT PRIMARY KEY,
    cluster_name TEXT,
    face_image_base64 TEXT
);
CREATE TABLE faces (
    face_id INTEGER PRIMARY KEY AUTOINCREMENT,
    image_id TEXT,
    cluster_id TEXT,
    embeddings TEXT,
    confidence REAL,
    bbox TEXT,
    FOREIGN KEY (image_id) REFERENCES images(id) ON DELETE CASCADE,
    FOREIGN KEY (cluster_id) REFERENCES face_clusters(cluster_id) ON DELETE SET NULL
);
CREATE TABLE albums (
    album_id TEXT PRIMARY KEY,
    album_name TEXT UNIQUE,
    description TEXT,
    is_hidden BOOLEAN DEFAULT 0,
    password_hash TEXT{cover}
);
CREATE TABLE album_images (
    album_id TEXT,
    image_id TEXT,
    PRIMARY KEY (album_id, image_id),
    FOREIGN KEY (album_id) REFERENCES albums(album_id) ON DELETE CASCADE,
    FOREIGN KEY (image_id) REFERENCES images(id) ON DELETE CASCADE
);
CREATE TABLE metadata (metadata TEXT);
"""

NEWER = """
CREATE INDEX ix_images_captured_at ON images(captured_at);
CREATE INDEX ix_images_favourite ON images(isFavourite);
CREATE INDEX ix_album_images_image ON album_images(image_id);
CREATE TABLE videos (
    id TEXT PRIMARY KEY,
    path VARCHAR UNIQUE,
    folder_id INTEGER,
    thumbnailPath TEXT UNIQUE,
    metadata TEXT,
    isTagged BOOLEAN DEFAULT 0,
    isFavourite BOOLEAN DEFAULT 0,
    captured_at DATETIME,
    FOREIGN KEY (folder_id) REFERENCES folders(folder_id) ON DELETE CASCADE
);
CREATE INDEX ix_videos_captured_at ON videos(captured_at);
CREATE TABLE video_frames (
    id TEXT PRIMARY KEY,
    video_id TEXT NOT NULL,
    frame_path TEXT UNIQUE,
    timestamp_sec REAL,
    frame_index INTEGER,
    isEmbedded BOOLEAN DEFAULT 0,
    FOREIGN KEY (video_id) REFERENCES videos(id) ON DELETE CASCADE
);
CREATE TABLE video_frame_embeddings (
    frame_id TEXT PRIMARY KEY,
    model_version TEXT NOT NULL,
    embedding BLOB NOT NULL,
    FOREIGN KEY (frame_id) REFERENCES video_frames(id) ON DELETE CASCADE
);
CREATE TABLE video_classes (
    video_id TEXT,
    class_id INTEGER,
    score REAL,
    frame_count INTEGER,
    PRIMARY KEY (video_id, class_id),
    FOREIGN KEY (video_id) REFERENCES videos(id) ON DELETE CASCADE,
    FOREIGN KEY (class_id) REFERENCES mappings(class_id) ON DELETE CASCADE
);
CREATE TABLE image_embeddings (
    image_id TEXT PRIMARY KEY,
    model_version TEXT NOT NULL,
    embedding BLOB NOT NULL,
    FOREIGN KEY (image_id) REFERENCES images(id) ON DELETE CASCADE
);
CREATE TABLE memories (
    memory_id TEXT PRIMARY KEY,
    title TEXT,
    cover_image_id TEXT,
    image_count INTEGER NOT NULL DEFAULT 0,
    FOREIGN KEY (cover_image_id) REFERENCES images(id) ON DELETE SET NULL
);
CREATE TABLE memory_images (
    memory_id TEXT NOT NULL,
    image_id TEXT NOT NULL,
    sort_order INTEGER NOT NULL,
    PRIMARY KEY (memory_id, image_id),
    FOREIGN KEY (memory_id) REFERENCES memories(memory_id) ON DELETE CASCADE,
    FOREIGN KEY (image_id) REFERENCES images(id) ON DELETE CASCADE
);
CREATE TABLE memory_videos (
    memory_id TEXT NOT NULL,
    video_id TEXT NOT NULL,
    PRIMARY KEY (memory_id, video_id),
    FOREIGN KEY (memory_id) REFERENCES memories(memory_id) ON DELETE CASCADE,
    FOREIGN KEY (video_id) REFERENCES videos(id) ON DELETE CASCADE
);
"""


def script(old=False):
    """The schema as SQL text."""
    text = FOLDERS.format(status="" if old else FOLDERS_STATUS)
    text += IMAGES.format(newer="" if old else IMAGES_NEWER)
    text += COMMON.format(score="" if old else ",\n    score REAL",
                          cover="" if old else ",\n    cover_image_path TEXT")
    return text if old else text + NEWER


def create(path, old=False):
    """Makes the database file and its directory."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    db = sqlite3.connect(path)
    try:
        db.executescript(script(old))
        db.commit()
    finally:
        db.close()
