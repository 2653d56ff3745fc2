/*
 * The process dies while rows are kept or put back, at each step. Whatever it was, afterwards each
 * photo has its row with all that hangs on it, or gets it when its file comes.
 */

#include "graveyard_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static StoreStep deadly_step;
static int deadly_count; /* how often the step is survived */

static void die_at_step(StoreStep step)
{
    if (step == deadly_step && deadly_count-- == 0)
        (void)kill(getpid(), SIGKILL);
}

enum { N_PHOTOS = 4 };

static const char *const paths[N_PHOTOS] = {"/r/removed.jpg", "/r/d/1.jpg", "/r/d/e/2.jpg",
                                            "/r/back.jpg"};

typedef struct Photos {
    char *ids[N_PHOTOS];
    char *before[N_PHOTOS];
} Photos;

/* Runs in a child; true: it was killed. */
static bool write_in_child(Fixture *f, const Photos *photos, bool singly)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        StoreOp ops[3] = {add_op(paths[3], 3), fixture_remove(photos->ids[0], MEDIA_KIND_PHOTO),
                          fixture_op(STORE_OP_FOLDER_REMOVE, "/r/d", NULL)};
        Store *store;

        if (store_create(&f->options, &store) || store_open(store))
            _exit(2);
        store->on_step = die_at_step;
        if (singly)
            store->grave_batch = 1;
        _exit(store_write(store, ops, 3) ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

/* Four photos with all that can hang on them; the last one is deleted. */
static void prepare(Fixture *f, Photos *photos)
{
    fixture_init(f);
    fixture_exec(f, pictopy_schema);
    for (int i = 0; i < N_PHOTOS; i++) {
        photos->ids[i] = add(f, paths[i], (uint64_t)i);
        decorate(f, photos->ids[i]);
        fixture_exec(f, "UPDATE albums SET cover_image_path = NULL;"
                        "UPDATE memories SET cover_image_id = NULL");
        photos->before[i] = identity(f, photos->ids[i]);
    }
    remove_photo(f, photos->ids[3]);
    f->store = store_free(f->store);
    (void)sqlite3_close(f->db);
    f->db = NULL;
}

static void assert_nothing_lost(Fixture *f, Photos *photos)
{
    for (int i = 0; i < N_PHOTOS; i++) {
        char *after;

        if (fixture_count(f, "SELECT count(*) FROM images WHERE path = %Q", paths[i]) == 0)
            free(add(f, paths[i], (uint64_t)i));
        fixture_assert_path(f, photos->ids[i], paths[i]);
        after = identity(f, photos->ids[i]);
        assert_string_equal(after, photos->before[i]);
        free(after);
    }
}

static bool die_once(StoreStep step, int count, bool singly)
{
    bool killed, more = true;
    Photos photos;
    Fixture f;

    prepare(&f, &photos);
    deadly_step = step;
    deadly_count = count;
    killed = write_in_child(&f, &photos, singly);
    fixture_open_backend(&f);
    assert_int_equal(store_create(&f.options, &f.store), 0);
    assert_int_equal(store_open(f.store), 0);
    assert_nothing_lost(&f, &photos);
    while (more) /* graves of rows that are there are swept, and nothing else */
        assert_int_equal(store_graveyard_sweep(f.store, &more), 0);
    assert_int_equal(graves(&f), 0);
    fixture_assert_thumbnails(&f);
    for (int i = 0; i < N_PHOTOS; i++) {
        free(photos.ids[i]);
        free(photos.before[i]);
    }
    fixture_done(&f);
    return killed;
}

static void die_at_each_step(bool singly)
{
    for (StoreStep step = 0; step < STORE_STEP_COUNT; step++) {
        int n = 0;

        while (n < 20 && die_once(step, n, singly))
            n++;
        print_message("step %d: killed %d times\n", (int)step, n);
        assert_true(n > 0 && n < 20);
    }
}

static void test_each_step(void **state)
{
    (void)state;
    die_at_each_step(false);
}

/* One row at a time. */
static void test_each_step_singly(void **state)
{
    (void)state;
    die_at_each_step(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_step),
        cmocka_unit_test(test_each_step_singly),
    };

    return cmocka_run_group_tests_name("store graveyard crash", tests, NULL, NULL);
}
