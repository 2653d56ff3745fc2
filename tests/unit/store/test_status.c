/* GET /folders/status: the text itself. */

#include "fixture.h"

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

static void expect_contains(Fixture *f, const char *words)
{
    char *json;

    assert_int_equal(store_folder_status_json(f->store, &json), 0);
    if (!strstr(json, words))
        fail_msg("%s\ndoes not have\n%s", json, words);
    free(json);
}

static void test_answer(void **state)
{
    Fixture *f = *state;
    char *expected;
    char *json;

    expected = sqlite3_mprintf(
        "{\"status\": \"success\", \"data\": [{\"folder_id\": \"%s\", \"folder_path\": \"/r\", "
        "\"tagging_percentage\": 0.00, \"embedding_percentage\": 0.00, \"total_images\": 0, "
        "\"tagged_images\": 0, \"embedded_images\": 0, \"total_videos\": 0, \"tagged_videos\": 0, "
        "\"embedded_videos\": 0, \"ai_tagging\": false}], \"total_folders\": 1}",
        f->root_id);
    assert_int_equal(store_folder_status_json(f->store, &json), 0);
    assert_string_equal(json, expected);
    sqlite3_free(expected);
    free(json);
}

static void test_counts(void **state)
{
    Fixture *f = *state;

    free(fixture_add_row(f, "/r/1.jpg"));
    free(fixture_add_row(f, "/r/2.jpg"));
    free(fixture_add_row(f, "/r/sub/3.jpg"));
    free(fixture_add_row(f, "/r/1.mp4"));
    expect_contains(f, "\"total_images\": 2, \"tagged_images\": 0, \"embedded_images\": 0, "
                       "\"total_videos\": 1");
    /* The backend's commit makes the kept answer stale. */
    fixture_exec(f, "UPDATE images SET isTagged = 1 WHERE path = '/r/1.jpg';"
                    "UPDATE images SET isEmbedded = 1; UPDATE videos SET isTagged = 1;"
                    "UPDATE folders SET AI_Tagging = 1");
    expect_contains(f, "\"folder_path\": \"/r\", \"tagging_percentage\": 66.67, "
                       "\"embedding_percentage\": 100.00, \"total_images\": 2, "
                       "\"tagged_images\": 1, \"embedded_images\": 2, \"total_videos\": 1, "
                       "\"tagged_videos\": 1, \"embedded_videos\": 1, \"ai_tagging\": true}");
    expect_contains(f, "\"folder_path\": \"/r/sub\", \"tagging_percentage\": 0.00, "
                       "\"embedding_percentage\": 100.00, \"total_images\": 1");
    fixture_exec(f, "INSERT INTO video_frames (video_id, isEmbedded) SELECT id, 1 FROM videos");
    expect_contains(f, "\"embedded_videos\": 1");
    fixture_exec(f, "INSERT INTO video_frames (video_id, isEmbedded) SELECT id, 0 FROM videos");
    expect_contains(f, "\"tagged_videos\": 1, \"embedded_videos\": 0");
    /* And so does our own. */
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/sub", NULL), STORE_OP_RESULT_DONE);
    expect_contains(f, "\"total_folders\": 1}");
}

static void test_no_frames_table(void **state)
{
    Fixture *f = *state;

    free(fixture_add_row(f, "/r/1.mp4"));
    fixture_exec(f, "DROP TABLE video_frames; UPDATE videos SET isTagged = 1");
    expect_contains(f, "\"tagged_videos\": 1, \"embedded_videos\": 0");
}

static void test_error(void **state)
{
    Fixture *f = *state;

    assert_int_equal(unlink(f->database), 0);
    expect_contains(f, "{\"status\": \"error\", \"message\": \"");
    expect_contains(f, "No such file or directory\", \"data\": [], \"total_folders\": 0}");
}

static void test_many(void **state)
{
    Fixture *f = *state;

    fixture_exec(f, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
                    " INSERT INTO folders (folder_id, folder_path) SELECT 'f' || i,"
                    " printf('/q/%05d', i) FROM n");
    fixture_exec(f,
                 "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49999)"
                 " INSERT INTO images (id, path, folder_id, isTagged, metadata) SELECT i,"
                 " printf('/q/%05d/%d.jpg', i / 5, i), 'f' || (i / 5), i % 5 = 0,"
                 " printf('%600d', i) FROM n");
    expect_contains(f, "\"folder_path\": \"/q/09999\", \"tagging_percentage\": 20.00");
    print_message("50,000 photos in 10,000 folders: longest read %llu us\n",
                  (unsigned long long)store_counters(f->store)->read_us_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_frames_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };

    return cmocka_run_group_tests_name("store status", tests, NULL, NULL);
}
