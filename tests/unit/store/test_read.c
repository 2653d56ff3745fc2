/* Reading folders, directories and rows; databases of older versions and with odd values. */

#include "fixture.h"

#include "util/clock.h"

static int setup(void **state)
{
    Fixture *f = calloc(1, sizeof(*f));

    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;

    fixture_done(f);
    free(f);
    return 0;
}

static void test_folders(void **state)
{
    Fixture *f = *state;
    StoreFolders folders;

    for (int i = 0; i < 2500; i++)
        fixture_execf(f, "INSERT INTO folders (folder_id, folder_path) VALUES ('%d', '/q/%d')", i,
                      i);
    fixture_exec(f, "INSERT INTO folders (folder_id, folder_path, AI_Tagging, indexing_status)"
                    " VALUES ('z', '/z', 1, 'in_progress'), ('n', NULL, 0, ''),"
                    " ('b', x'2f61', 0, ''), ('c', 'C:\\x', 0, ''), (NULL, '/null', 0, '')");
    fixture_exec(f, "INSERT INTO folders (folder_id, folder_path) VALUES"
                    " ('nul', CAST(x'2f610062' AS TEXT))");
    assert_int_equal(store_read_folders(f->store, &folders), 0);
    assert_int_equal(folders.count, 2502);
    for (size_t i = 1; i < folders.count; i++)
        assert_true(strcmp(folders.items[i - 1].path, folders.items[i].path) < 0);
    assert_string_equal(folders.items[2501].path, "/z");
    assert_string_equal(folders.items[2501].id, "z");
    assert_string_equal(folders.items[2501].status, "in_progress");
    assert_true(folders.items[2501].ai_tagging);
    assert_false(folders.items[2500].ai_tagging);
    assert_string_equal(folders.items[2500].status, "completed");
    store_folders_done(&folders);
}

/* Pages that are just full, the last of them behind a path that is no text, and one more. */
static void test_folder_pages(void **state)
{
    Fixture *f = *state;
    StoreFolders folders;

    fixture_exec(f, "DELETE FROM folders");
    for (int i = 0; i < 999; i++)
        fixture_execf(f, "INSERT INTO folders (folder_id, folder_path) VALUES ('%d', '/q/%d')", i,
                      i);
    fixture_exec(f, "INSERT INTO folders (folder_id, folder_path) VALUES"
                    " ('nul', CAST(x'2f7a0062' AS TEXT)), ('blob', x'2f61')");
    assert_int_equal(store_read_folders(f->store, &folders), 0);
    assert_int_equal(folders.count, 999);
    store_folders_done(&folders);
    fixture_exec(f, "INSERT INTO folders (folder_id, folder_path) VALUES ('next', '/zz')");
    assert_int_equal(store_read_folders(f->store, &folders), 0);
    assert_int_equal(folders.count, 1000);
    assert_string_equal(folders.items[999].id, "next");
    store_folders_done(&folders);
}

static void expect_directory(Fixture *f, const char *path, const char *entries,
                             const char *children)
{
    CLEANUP(text_done) Text names = {0}, subs = {0};
    StoreDirectory directory;

    assert_int_equal(store_read_directory(f->store, path, &directory), 0);
    for (size_t i = 0; i < directory.n_entries; i++)
        text_printf(&names, "%s%s", i ? "|" : "", directory.entries[i].name);
    for (size_t i = 0; i < directory.n_children; i++)
        text_printf(&subs, "%s%s", i ? "|" : "", directory.children[i]);
    assert_string_equal(names.data ? names.data : "", entries);
    assert_string_equal(subs.data ? subs.data : "", children);
    store_directory_done(&directory);
}

static void test_directory(void **state)
{
    static const char *const paths[] = {
        "/r/a.jpg",      "/r/z.mp4",       "/r/b/1.jpg",         "/r/b/2/3/4.jpg",
        "/r/b-2/1.jpg",  "/r/b.mp4",       "/r/b/c/1.mp4",       "/r/b0/1.jpg",
        "/r/Trip/1.jpg", "/r/Trip2/1.jpg", "/r/%/1.jpg",         "/r/_.jpg",
        "/r/[/1.jpg",    "/r/'.jpg",       "/r/new\nline/1.jpg", "/r/Z.jpg",
    };
    Fixture *f = *state;

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        free(fixture_add_row(f, paths[i]));
    fixture_exec(f, "INSERT INTO folders (folder_id, folder_path) VALUES ('e', '/r/empty'),"
                    " ('e2', '/r/b/2/empty'), ('e3', '/r/b/2-x')");
    fixture_exec(f, "INSERT INTO images (id, path) VALUES ('n1', CAST(x'2f722f6e00ff' AS TEXT)),"
                    " ('n2', x'2f722f62'), ('n3', NULL), ('n4', '/r//odd.jpg'), (NULL, '/r/noid')");
    expect_directory(f, "/r", "'.jpg|Z.jpg|_.jpg|a.jpg|b.mp4|z.mp4",
                     "%|Trip|Trip2|[|b|b-2|b0|empty|new\nline");
    expect_directory(f, "/r/b", "1.jpg", "2|2-x|c");
    expect_directory(f, "/r/b/2", "", "3|empty");
    expect_directory(f, "/r/Trip", "1.jpg", "");
    expect_directory(f, "/r/none", "", "");
    expect_directory(f, "/", "", "r");
    expect_directory(f, "/r/%", "1.jpg", "");
}

static void test_entry(void **state)
{
    Fixture *f = *state;
    StoreOp op = fixture_op(STORE_OP_STAMP, NULL, NULL);
    char *id = fixture_add_row(f, "/r/1.jpg");
    StoreDirectory d;
    StoreRows rows;

    assert_int_equal(store_read_directory(f->store, "/r", &d), 0);
    assert_string_equal(d.entries[0].id, id);
    assert_int_equal(d.entries[0].kind, MEDIA_KIND_PHOTO);
    assert_true(d.entries[0].has_thumbnail);
    assert_false(d.entries[0].has_stamp);
    assert_int_equal(d.entries[0].size, 10);
    assert_int_equal(d.entries[0].mtime, 20);
    assert_string_equal(d.folder_id, f->root_id);
    store_directory_done(&d);
    op.id = strdup(id);
    op.folder_id = strdup(f->root_id);
    op.stamp = (FileStamp){.dev = 7, .ino = 8, .size = 9, .mtime_ns = INT64_C(5000000001)};
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
    assert_int_equal(store_read_directory(f->store, "/r", &d), 0);
    assert_true(d.entries[0].has_stamp);
    assert_int_equal(d.entries[0].stamp.ino, 8);
    assert_int_equal(d.entries[0].size, 9);
    assert_int_equal(d.entries[0].mtime, 5);
    store_directory_done(&d);
    assert_int_equal(store_read_inode(f->store, 7, 8, &rows), 0);
    assert_int_equal(rows.count, 1);
    assert_string_equal(rows.items[0].path, "/r/1.jpg");
    assert_string_equal(rows.items[0].folder_id, f->root_id);
    store_rows_done(&rows);
    fixture_exec(f, "DELETE FROM images"); /* the backend: the state does not know of it */
    assert_int_equal(store_read_inode(f->store, 7, 8, &rows), 0);
    assert_int_equal(rows.count, 0);
    store_rows_done(&rows);
    free(id);
}

static void test_odd_metadata(void **state)
{
    static const char *const values[] = {
        "NULL",
        "'x'",
        "x'01'",
        "'{\"file_size\": \"9\", \"file_mtime\": null}'",
        "'[]'",
        "5",
        "'{\"file_size\": -1}'",
    };
    Fixture *f = *state;
    StoreDirectory d;

    free(fixture_add_row(f, "/r/1.jpg"));
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        fixture_execf(f, "UPDATE images SET metadata = %s, thumbnailPath = ''", values[i]);
        assert_int_equal(store_read_directory(f->store, "/r", &d), 0);
        assert_int_equal(d.n_entries, 1);
        assert_true(d.entries[0].size == UINT64_MAX && d.entries[0].mtime == INT64_MIN);
        assert_false(d.entries[0].has_thumbnail);
        store_directory_done(&d);
    }
}

static void test_row(void **state)
{
    Fixture *f = *state;
    bool is_directory;
    StoreRow row;

    free(fixture_add_row(f, "/r/d/1.mp4"));
    assert_int_equal(store_read_row(f->store, "/r/d/1.mp4", &row, &is_directory), 0);
    assert_int_equal(row.kind, MEDIA_KIND_VIDEO);
    assert_null(row.thumbnail_path);
    assert_non_null(row.metadata);
    assert_false(is_directory);
    store_row_done(&row);
    fixture_exec(f, "UPDATE videos SET folder_id = NULL; DELETE FROM folders");
    assert_int_equal(store_read_row(f->store, "/r/d", &row, &is_directory), 0);
    assert_null(row.id);
    assert_true(is_directory);
    assert_int_equal(store_read_row(f->store, "/r/d/1", &row, &is_directory), 0);
    assert_false(is_directory);
}

static void test_poll(void **state)
{
    Fixture *f = *state;
    bool changed;

    assert_int_equal(store_poll(f->store, &changed), 0);
    assert_true(changed);
    assert_int_equal(store_poll(f->store, &changed), 0);
    assert_false(changed);
    free(fixture_add_row(f, "/r/1.jpg"));
    assert_int_equal(store_poll(f->store, &changed), 0);
    assert_false(changed);
    fixture_exec(f, "UPDATE images SET isTagged = 1");
    assert_int_equal(store_poll(f->store, &changed), 0);
    assert_true(changed);
}

/* A database of PictoPy's first versions. */
static void test_older_schema(void **state)
{
    Fixture *f = *state;
    StoreOp ops[3];
    StoreFolders folders;
    char *json;

    fixture_exec(f, "PRAGMA foreign_keys = OFF; DROP TABLE videos; DROP TABLE images;"
                    " DROP TABLE folders; DROP TABLE albums; DROP TABLE video_frames;"
                    " PRAGMA foreign_keys = ON;"
                    "CREATE TABLE folders (folder_id TEXT PRIMARY KEY, parent_folder_id TEXT,"
                    " folder_path TEXT UNIQUE, last_modified_time INTEGER, AI_Tagging BOOLEAN,"
                    " taggingCompleted BOOLEAN);"
                    "CREATE TABLE images (id TEXT PRIMARY KEY, path VARCHAR UNIQUE,"
                    " folder_id INTEGER, thumbnailPath TEXT UNIQUE, metadata TEXT,"
                    " isTagged BOOLEAN, FOREIGN KEY (folder_id) REFERENCES folders (folder_id) ON"
                    " DELETE CASCADE);"
                    "INSERT INTO folders VALUES ('f', NULL, '/r', 1, 1, NULL)");
    ops[0] = fixture_add("/r/a/1.jpg");
    ops[0].has_location = true;
    (void)strcpy(ops[0].captured_at, "2020-01-01T00:00:00");
    ops[1] = fixture_add("/r/1.mp4");
    ops[2] = fixture_op(STORE_OP_FOLDER_MOVE, "/r/a", "/r/b");
    fixture_write(f, ops, 3);
    assert_int_equal(ops[0].result, STORE_OP_RESULT_DONE);
    assert_int_equal(ops[1].result, STORE_OP_RESULT_FAILED);
    assert_int_equal(ops[2].result, STORE_OP_RESULT_DONE);
    for (size_t i = 0; i < 3; i++)
        store_op_done(&ops[i]);
    expect_directory(f, "/r/b", "1.jpg", "");
    assert_int_equal(store_read_folders(f->store, &folders), 0);
    assert_string_equal(folders.items[0].status, "");
    store_folders_done(&folders);
    assert_int_equal(store_folder_status_json(f->store, &json), 0);
    assert_non_null(strstr(json, "\"total_images\": 1"));
    free(json);
    /* PictoPy is upgraded while we run. */
    fixture_exec(f, "ALTER TABLE folders ADD COLUMN indexing_status TEXT DEFAULT 'completed'");
    assert_int_equal(store_read_folders(f->store, &folders), 0);
    assert_string_equal(folders.items[0].status, "completed");
    store_folders_done(&folders);
}

static int count_work(void *count)
{
    (*(int *)count)++;
    return 0;
}

/* What is below a subdirectory is jumped over, not read: SQLite's own steps are counted. */
static void test_skips(void **state)
{
    Fixture *f = *state;
    int work = 0;

    free(fixture_add_row(f, "/r/1.jpg"));
    fixture_exec(f, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
                    " INSERT INTO images (id, path) SELECT i, '/r/sub/' || i || '.jpg' FROM n");
    assert_int_equal(store_open(f->store), 0);
    sqlite3_progress_handler(f->store->database.handle, 1, count_work, &work);
    expect_directory(f, "/r", "1.jpg", "sub");
    sqlite3_progress_handler(f->store->database.handle, 0, NULL, NULL);
    assert_in_range(work, 1, 2000);
}

/* How fast a whole library is read; a number for people, not a limit. */
static void test_speed(void **state)
{
    Fixture *f = *state;
    uint64_t begin;

    fixture_exec(f, "PRAGMA foreign_keys = OFF");
    fixture_exec(f, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
                    " INSERT INTO images (id, path, folder_id, metadata) SELECT i,"
                    " printf('/r/%04d/%d.jpg', i / 10, i), 'f',"
                    " '{\"file_size\": 1, \"file_mtime\": 2}' FROM n");
    begin = clock_now();
    assert_int_equal(store_read_begin(f->store), 0);
    for (int i = 0; i < 1000; i++) {
        StoreDirectory d;
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/%04d", i);
        assert_int_equal(store_read_directory(f->store, path, &d), 0);
        assert_int_equal(d.n_entries, 10);
        store_directory_done(&d);
    }
    store_read_end(f->store);
    print_message("1000 directories of 10 files: %llu us\n",
                  (unsigned long long)(clock_now() - begin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(test_skips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_speed, setup, teardown),
    };

    return cmocka_run_group_tests_name("store read", tests, NULL, NULL);
}
