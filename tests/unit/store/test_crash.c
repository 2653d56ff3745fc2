/*
 * The process dies in the middle of writing, at each step and at random moments. Whatever it was,
 * after the next store_open() the thumbnails on disk are those that rows name, and giving the same
 * operations again ends well.
 */

#include "fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

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

static StoreStep deadly_step;
static int deadly_count; /* how often the step is survived */

static void die_at_step(StoreStep step)
{
    if (step == deadly_step && deadly_count-- == 0)
        (void)kill(getpid(), SIGKILL);
}

enum { N_OPS = 6 };

/* All that touches thumbnails: two new ones, one replaced, one removed, a folder with one. */
static void make_ops(StoreOp ops[N_OPS], const char *replaced, const char *removed)
{
    ops[0] = fixture_add("/r/new1.jpg");
    ops[1] = fixture_op(STORE_OP_MEDIA_UPDATE, NULL, NULL);
    ops[1].id = strdup(replaced);
    ops[1].media = MEDIA_KIND_PHOTO;
    ops[1].metadata = strdup("{}");
    ops[1].thumbnail_fd = fixture_jpeg("another");
    ops[2] = fixture_remove(removed, MEDIA_KIND_PHOTO);
    ops[3] = fixture_op(STORE_OP_FOLDER_REMOVE, "/r/gone", NULL);
    ops[4] = fixture_add("/r/new2.jpg");
    ops[5] = fixture_add("/nowhere/3.jpg"); /* unregistered: its new thumbnail goes again */
}

/* Runs in a child; true: it was killed. */
static bool write_in_child(Fixture *f, const char *replaced, const char *removed)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        StoreOp ops[N_OPS];
        Store *store;

        make_ops(ops, replaced, removed);
        if (store_create(&f->options, &store) || store_open(store))
            _exit(2);
        store->on_step = die_at_step;
        _exit(store_write(store, ops, N_OPS) ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void recover(Fixture *f)
{
    assert_int_equal(store_create(&f->options, &f->store), 0);
    assert_int_equal(store_open(f->store), 0);
    assert_string_equal(fixture_text(f, "PRAGMA integrity_check"), "ok");
    fixture_assert_thumbnails(f);
}

static void finish(Fixture *f, const char *replaced, const char *removed)
{
    StoreOp ops[N_OPS];

    make_ops(ops, replaced, removed);
    fixture_write(f, ops, N_OPS);
    for (size_t i = 0; i < N_OPS; i++) {
        assert_int_not_equal(ops[i].result, STORE_OP_RESULT_FAILED);
        store_op_done(&ops[i]);
    }
    fixture_assert_thumbnails(f);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 3);
}

/* The child opens the databases itself: connections do not live through a fork(2). */
static void prepare(Fixture *f, char **replaced, char **removed)
{
    *replaced = fixture_add_row(f, "/r/replaced.jpg");
    *removed = fixture_add_row(f, "/r/removed.jpg");
    free(fixture_add_row(f, "/r/gone/1.jpg"));
    f->store = store_free(f->store);
    (void)sqlite3_close(f->db);
    f->db = NULL;
}

static bool die_once(StoreStep step, int count)
{
    char *replaced, *removed;
    Fixture f;
    bool killed;

    fixture_init(&f);
    prepare(&f, &replaced, &removed);
    deadly_step = step;
    deadly_count = count;
    killed = write_in_child(&f, replaced, removed);
    fixture_open_backend(&f);
    recover(&f);
    finish(&f, replaced, removed);
    free(replaced);
    free(removed);
    fixture_done(&f);
    return killed;
}

static void test_each_step(void **state)
{
    (void)state;
    for (StoreStep step = 0; step < STORE_STEP_COUNT; step++) {
        int n = 0;

        while (n < 10 && die_once(step, n))
            n++;
        print_message("step %d: killed %d times\n", (int)step, n);
        assert_true(n > 0 && n < 10);
    }
}

/* Adds and removes photos as fast as it can until it is killed. */
static void child_runs(const StoreOptions *options)
{
    Store *store;

    if (store_create(options, &store))
        _exit(2);
    for (int i = 0;; i++) {
        StoreOp ops[8];

        for (int j = 0; j < 8; j++) {
            char path[64];

            (void)snprintf(path, sizeof(path), "/r/%d/%d-%d.jpg", j % 2, (int)getpid(), i * 8 + j);
            ops[j] = fixture_add(path);
        }
        if (store_write(store, ops, 8) < 0)
            _exit(1);
        for (int j = 0; j < 8; j++) {
            StoreOp op = fixture_remove(ops[j].id, MEDIA_KIND_PHOTO);

            if (j % 3 == 0 && store_write(store, &op, 1) < 0)
                _exit(1);
            store_op_done(&op);
            store_op_done(&ops[j]);
        }
    }
}

static void test_random(void **state)
{
    Fixture *f = *state;
    unsigned seed = 1;

    f->store = store_free(f->store);
    for (int i = 0; i < 40; i++) {
        struct timespec pause = {.tv_nsec = (long)(rand_r(&seed) % 60) * 1000000 + 100000};
        pid_t pid;
        int status;

        (void)sqlite3_close(f->db);
        f->db = NULL;
        pid = fork();
        if (pid == 0)
            child_runs(&f->options);
        (void)nanosleep(&pause, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        fixture_open_backend(f);
        recover(f);
        f->store = store_free(f->store);
    }
    print_message("killed 40 times, %ld photos\n", fixture_count(f, "SELECT count(*) FROM images"));
}

/* "init" beside a running daemon must not remove what the daemon has just announced. */
static void test_second_process(void **state)
{
    Fixture *f = *state;
    char path[256];
    int status;
    pid_t pid;

    (void)snprintf(path, sizeof(path), "%s/thumbnail_12345678-1234-4123-8123-123456789abc.jpg",
                   f->thumbnails);
    (void)mkdir(f->thumbnails, 0700);
    (void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(store_open(f->store), 0);
    state_announce(&f->store->state, path);
    pid = fork();
    if (pid == 0) {
        Store *store;

        _exit(store_create(&f->options, &store) || store_open(store) || access(path, F_OK) < 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(store_open(f->store), 0); /* the daemon itself, when it starts anew */
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_step),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_process, setup, teardown),
    };

    return cmocka_run_group_tests_name("store crash", tests, NULL, NULL);
}
