/*
 * The pool with real worker processes: this program, started again. Workers are found in /proc and
 * sent signals, as a crash or a hang would hit them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "loop/spawner.h"
#include "media/pool.h"
#include "media/protocol.h"
#include "pictures.h"
#include "util/clock.h"
#include "util/log.h"

#define SECONDS CLOCK_US_PER_SEC

typedef struct Fixture {
    Loop *loop;
    Timers *timers;
    MediaPool *pool;
} Fixture;

typedef struct TestJob {
    MediaJob job;
    bool is_done;
    MediaPool *submit_again; /* in done(): once more, to this pool */
    int again_fd;
} TestJob;

static const MediaPoolOptions options = {
    .program = "/proc/self/exe",
    .n_workers = 1,
    .thumbnail_size = 100,
    .thumbnail_quality = 75,
    .timeout_us = 60 * SECONDS,
    .max_pixels = 1000000,
    .max_file_size = 10000000,
};

static Fixture make_fixture(const MediaPoolOptions *pool_options)
{
    Fixture f;

    assert_int_equal(loop_create(&f.loop), 0);
    assert_int_equal(timers_create(f.loop, &f.timers), 0);
    assert_int_equal(media_pool_create(f.loop, f.timers, pool_options, &f.pool), 0);
    return f;
}

static void fixture_done(Fixture *f)
{
    media_pool_free(f->pool);
    timers_free(f->timers);
    loop_free(f->loop);
}

static void on_done(MediaJob *job)
{
    TestJob *test = CONTAINER_OF(job, TestJob, job);

    assert_false(test->is_done);
    test->is_done = true;
    if (test->submit_again) {
        test->is_done = false;
        job->fd = test->again_fd;
        job->sidecar_fd = -1;
        if (job->thumbnail_fd >= 0)
            (void)close(job->thumbnail_fd);
        media_pool_submit(STEAL_PTR(test->submit_again), job);
    }
}

static int make_file(const void *data, size_t size)
{
    int fd = memfd_create("photo", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    return fd;
}

static int make_photo(void)
{
    CLEANUP(bytes_done) Bytes bytes = make_jpeg(&(JpegSpec){.width = 200, .height = 100});

    return make_file(bytes.data, bytes.size);
}

static void submit(Fixture *f, TestJob *test, MediaKind kind, int fd)
{
    *test = (TestJob){.job = {.kind = kind, .fd = fd, .sidecar_fd = -1, .done = on_done}};
    media_pool_submit(f->pool, &test->job);
    assert_false(test->is_done);
}

static void run_until_done(Fixture *f, const TestJob *test)
{
    uint64_t limit = clock_now() + 30 * SECONDS;

    while (!test->is_done) {
        assert_true(loop_run_once(f->loop, 1000) >= 0);
        assert_true(clock_now() < limit);
    }
}

/* Runs the loop until the pool has started its worker and given it the job. */
static void run_until_started(Fixture *f)
{
    uint64_t limit = clock_now() + 30 * SECONDS;

    while (media_pool_counters(f->pool)->photos_decoded == 0) {
        assert_true(loop_run_once(f->loop, 1000) >= 0);
        assert_true(clock_now() < limit);
    }
}

static pid_t child_of(const char *thread)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP(fclose_p) FILE *file = NULL;
    int pid = 0;

    assert_true(asprintf(&path, "/proc/self/task/%s/children", thread) > 0);
    file = fopen(path, "re");
    return file && fscanf(file, "%d", &pid) == 1 ? pid : 0;
}

/* The only child of this process, whichever thread made it. */
static pid_t find_worker(void)
{
    CLEANUP(closedir_p) DIR *threads = opendir("/proc/self/task");
    pid_t pid = 0;

    assert_non_null(threads);
    for (struct dirent *d; pid == 0 && (d = readdir(threads));)
        pid = child_of(d->d_name);
    assert_true(pid > 0);
    return pid;
}

static int count_fds(void)
{
    CLEANUP(closedir_p) DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir))
        n++;
    return n;
}

static void check_thumbnail(TestJob *test)
{
    assert_int_equal(test->job.status, MEDIA_STATUS_OK);
    assert_true(test->job.thumbnail_fd >= 0);
    assert_true(protocol_is_thumbnail(test->job.thumbnail_fd, test->job.facts.thumbnail_size));
    (void)close(test->job.thumbnail_fd);
}

static void test_photo(void **state)
{
    Fixture f = make_fixture(&options);
    const MediaCounters *counters = media_pool_counters(f.pool);
    TestJob test;
    int before = count_fds();

    (void)state;
    assert_int_equal(media_pool_workers(f.pool), 0);
    submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
    assert_int_equal(media_pool_backlog(f.pool), 1);
    run_until_done(&f, &test);
    assert_int_equal(media_pool_backlog(f.pool), 0);
    assert_int_equal(media_pool_workers(f.pool), 1);
    assert_int_equal(test.job.fd, -1);
    assert_int_equal(test.job.facts.width, 200);
    assert_int_equal(test.job.facts.thumbnail_width, 100);
    assert_string_equal(test.job.error, "");
    check_thumbnail(&test);
    assert_int_equal(counters->photos_decoded, 1);
    assert_int_equal(counters->failures, 0);
    assert_int_equal(counters->photo_us.count, 1);
    assert_true(counters->photo_us.sum > 0);
    assert_int_equal(counters->video_us.count, 0);
    /* the worker's socket and pidfd stay */
    assert_int_equal(count_fds(), before + 2);
    fixture_done(&f);
}

/* The first photo finds a worker that is there already; a second call starts no other. */
static void test_warm(void **state)
{
    MediaPoolOptions two = options;
    Fixture f;
    TestJob test;
    pid_t worker;

    (void)state;
    two.n_workers = 2;
    f = make_fixture(&two);
    assert_int_equal(media_pool_workers(f.pool), 0);
    media_pool_warm(f.pool);
    media_pool_warm(f.pool);
    assert_int_equal(media_pool_workers(f.pool), 1);
    assert_int_equal(media_pool_backlog(f.pool), 0);
    worker = find_worker();
    assert_true(worker > 0);
    submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &test);
    assert_int_equal(test.job.status, MEDIA_STATUS_OK);
    assert_int_equal(close(test.job.thumbnail_fd), 0);
    assert_int_equal(media_pool_workers(f.pool), 1);
    assert_int_equal(find_worker(), worker);
    media_pool_warm(f.pool);
    assert_int_equal(media_pool_workers(f.pool), 1);
    fixture_done(&f);
}

/* One that cannot be started early is tried again when there is work. */
static void test_warm_fails(void **state)
{
    MediaPoolOptions missing = options;
    Fixture f;
    TestJob test;

    (void)state;
    missing.program = "/nonexistent/program";
    f = make_fixture(&missing);
    media_pool_warm(f.pool);
    while (media_pool_workers(f.pool) > 0)
        assert_true(loop_run_once(f.loop, 1000) >= 0);
    media_pool_warm(f.pool); /* its time to wait is not over */
    assert_int_equal(media_pool_workers(f.pool), 0);
    submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &test);
    assert_int_equal(test.job.status, MEDIA_STATUS_CANCELLED);
    fixture_done(&f);
}

static void test_failure(void **state)
{
    Fixture f = make_fixture(&options);
    const MediaCounters *counters = media_pool_counters(f.pool);
    TestJob bad, good;
    pid_t worker;

    (void)state;
    submit(&f, &bad, MEDIA_KIND_PHOTO, make_file("nonsense", 8));
    run_until_done(&f, &bad);
    worker = find_worker();
    assert_int_equal(bad.job.status, MEDIA_STATUS_UNDECODABLE);
    assert_string_equal(bad.job.error, "neither JPEG nor PNG");
    assert_int_equal(bad.job.thumbnail_fd, -1);
    assert_int_equal(counters->failures, 1);
    assert_int_equal(counters->crashes, 0);
    submit(&f, &good, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &good);
    check_thumbnail(&good);
    assert_int_equal(find_worker(), worker); /* the same */
    fixture_done(&f);
}

static void test_video_and_sidecar(void **state)
{
    static const char sidecar[] = "{\"photoTakenTime\": {\"timestamp\": \"1600000000\"}}";
    Fixture f = make_fixture(&options);
    TestJob test = {.job = {.kind = MEDIA_KIND_VIDEO, .done = on_done}};

    (void)state;
    test.job.fd = make_file("not a video", 11);
    test.job.sidecar_fd = make_file(sidecar, sizeof(sidecar) - 1);
    media_pool_submit(f.pool, &test.job);
    run_until_done(&f, &test);
    assert_int_equal(test.job.status, MEDIA_STATUS_OK);
    assert_int_equal(test.job.thumbnail_fd, -1);
    assert_int_equal(test.job.facts.date_source, DATE_SOURCE_SIDECAR);
    assert_string_equal(test.job.facts.date_created, "2020-09-13T12:26:40");
    assert_int_equal(media_pool_counters(f.pool)->videos_read, 1);
    assert_int_equal(media_pool_counters(f.pool)->video_us.count, 1);
    assert_int_equal(media_pool_counters(f.pool)->photos_decoded, 0);
    fixture_done(&f);
}

/* A worker is killed at any moment of its work: the job is done by it or by another. */
static void test_crash(void **state)
{
    Fixture f = make_fixture(&options);
    TestJob test, next;

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
        submit(&f, &next, MEDIA_KIND_PHOTO, make_photo());
        run_until_started(&f);
        (void)kill(find_worker(), SIGKILL);
        run_until_done(&f, &test);
        run_until_done(&f, &next);
        check_thumbnail(&test);
        check_thumbnail(&next);
    }
    assert_int_equal(media_pool_counters(f.pool)->failures, 0);
    fixture_done(&f);
}

/* Stopped before it gets the job, killed with the job in its hands: nothing is left to chance. */
static void test_crash_busy(void **state)
{
    Fixture f = make_fixture(&options);
    const MediaCounters *counters = media_pool_counters(f.pool);
    TestJob first, test;

    (void)state;
    submit(&f, &first, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &first);
    check_thumbnail(&first);
    assert_int_equal(kill(find_worker(), SIGSTOP), 0);
    submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
    assert_int_equal(counters->photos_decoded, 2);
    assert_int_equal(kill(find_worker(), SIGKILL), 0);
    run_until_done(&f, &test);
    check_thumbnail(&test);
    assert_int_equal(counters->crashes, 1);
    assert_int_equal(counters->failures, 0);
    assert_int_equal(counters->photos_decoded, 3);
    fixture_done(&f);
}

static void test_timeout(void **state)
{
    MediaPoolOptions short_options = options;
    Fixture f;
    TestJob first, test, next;

    (void)state;
    short_options.timeout_us = 2 * SECONDS;
    f = make_fixture(&short_options);
    submit(&f, &first, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &first);
    check_thumbnail(&first);
    assert_int_equal(kill(find_worker(), SIGSTOP), 0);
    submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
    submit(&f, &next, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &test);
    assert_int_equal(test.job.status, MEDIA_STATUS_TIMEOUT);
    assert_string_equal(test.job.error, "decoding took longer than 2000 ms");
    assert_int_equal(media_pool_counters(f.pool)->timeouts, 1);
    assert_int_equal(media_pool_counters(f.pool)->crashes, 0);
    run_until_done(&f, &next);
    check_thumbnail(&next);
    fixture_done(&f);
}

/* An idle worker that dies costs nothing; one is started for the next job. */
static void test_idle_death(void **state)
{
    Fixture f = make_fixture(&options);
    TestJob test;

    (void)state;
    for (int i = 0; i < 3; i++) {
        submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
        run_until_done(&f, &test);
        check_thumbnail(&test);
        assert_int_equal(kill(find_worker(), SIGKILL), 0);
        while (media_pool_workers(f.pool) > 0)
            assert_true(loop_run_once(f.loop, 1000) >= 0);
    }
    assert_int_equal(media_pool_counters(f.pool)->crashes, 0);
    assert_int_equal(media_pool_counters(f.pool)->failures, 0);
    fixture_done(&f);
}

/* Running and waiting jobs come back when the pool goes; their descriptors are closed. */
static void test_cancel(void **state)
{
    int before = count_fds();
    Fixture f = make_fixture(&options);
    TestJob jobs[4];

    (void)state;
    submit(&f, &jobs[0], MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &jobs[0]);
    check_thumbnail(&jobs[0]);
    assert_int_equal(kill(find_worker(), SIGSTOP), 0);
    for (unsigned i = 1; i < 4; i++)
        submit(&f, &jobs[i], MEDIA_KIND_PHOTO, make_photo());
    fixture_done(&f);
    for (unsigned i = 1; i < 4; i++) {
        assert_true(jobs[i].is_done);
        assert_int_equal(jobs[i].job.status, MEDIA_STATUS_CANCELLED);
        assert_int_equal(jobs[i].job.fd, -1);
    }
    assert_int_equal(count_fds(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

/* Many jobs, several workers, and a job that is submitted again from done(). */
static void test_many(void **state)
{
    MediaPoolOptions many = options;
    Fixture f;
    TestJob jobs[40];

    (void)state;
    many.n_workers = 3;
    f = make_fixture(&many);
    for (unsigned i = 0; i < 40; i++)
        submit(&f, &jobs[i], MEDIA_KIND_PHOTO, make_photo());
    jobs[7].submit_again = f.pool;
    jobs[7].again_fd = make_photo();
    for (unsigned i = 0; i < 40; i++) {
        run_until_done(&f, &jobs[i]);
        check_thumbnail(&jobs[i]);
    }
    assert_int_equal(media_pool_workers(f.pool), 3);
    assert_int_equal(media_pool_counters(f.pool)->photos_decoded, 41);
    fixture_done(&f);
}

/* A program that cannot be a worker: tried again, not for ever, not without a pause. */
static void check_no_worker(const char *program)
{
    MediaPoolOptions bad = options;
    Fixture f;
    TestJob test, next;
    uint64_t start = clock_now();

    bad.program = program;
    f = make_fixture(&bad);
    submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &test);
    assert_int_equal(test.job.status, MEDIA_STATUS_CANCELLED);
    assert_string_equal(test.job.error, "no decoder can be started");
    assert_true(clock_now() - start > SECONDS); /* 100 + 200 + 400 + 800 ms */
    assert_int_equal(media_pool_counters(f.pool)->photos_decoded, 0);
    submit(&f, &next, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &next);
    assert_int_equal(next.job.status, MEDIA_STATUS_CANCELLED);
    fixture_done(&f);
}

static void test_no_worker(void **state)
{
    (void)state;
    check_no_worker("/nonexistent/program");
}

/*
 * A worker that lies. It says hello, and then: 1: that all is well, and nothing else; 2: that the
 * photo itself is the thumbnail; 3: hello, once more; 4: more than a message can be; 5: nothing, it
 * dies.
 */
static int lie(int socket, int how)
{
    MediaAnswer good = {.facts = {.kind = MEDIA_KIND_PHOTO,
                                  .width = 200,
                                  .height = 100,
                                  .item_type = "image/jpeg",
                                  .thumbnail_width = 100,
                                  .thumbnail_height = 50}};
    char large[4096] = {};
    AnswerMessage answer;
    MessageHeader hello;
    JobMessage job;
    int fds[PROTOCOL_FDS_MAX];
    size_t n_fds;

    protocol_init_hello(&hello);
    (void)protocol_send(socket, &hello, sizeof(hello), NULL, 0);
    (void)protocol_receive(socket, &job, sizeof(job), fds, &n_fds);
    if (how == 2)
        good.facts.thumbnail_size = (uint64_t)lseek(fds[0], 0, SEEK_END);
    protocol_init_answer(&answer, &job, &good);
    if (how == 5)
        (void)raise(SIGKILL);
    if (how == 3)
        (void)protocol_send(socket, &hello, sizeof(hello), NULL, 0);
    else if (how == 4)
        (void)protocol_send(socket, large, sizeof(large), fds, n_fds);
    else
        (void)protocol_send(socket, &answer, sizeof(answer), fds, n_fds);
    (void)pause();
    return 0;
}

static void check_liar(const char *how)
{
    Fixture f = make_fixture(&options);
    TestJob test;
    int before = count_fds();

    (void)setenv("TEST_WORKER_LIES", how, 1);
    submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &test);
    (void)unsetenv("TEST_WORKER_LIES");
    assert_int_equal(test.job.status, MEDIA_STATUS_CRASHED);
    assert_string_equal(test.job.error, "the decoder gave a wrong answer");
    assert_int_equal(test.job.thumbnail_fd, -1);
    while (media_pool_workers(f.pool) > 0)
        assert_true(loop_run_once(f.loop, 1000) >= 0);
    assert_int_equal(count_fds(), before);
    fixture_done(&f);
}

/* A photo that kills every worker: two are enough, and the next photo has a third. */
static void test_deadly(void **state)
{
    Fixture f = make_fixture(&options);
    const MediaCounters *counters = media_pool_counters(f.pool);
    TestJob test, next;

    (void)state;
    (void)setenv("TEST_WORKER_LIES", "5", 1);
    submit(&f, &test, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &test);
    (void)unsetenv("TEST_WORKER_LIES");
    assert_int_equal(test.job.status, MEDIA_STATUS_CRASHED);
    assert_string_equal(test.job.error, "the decoder was killed by signal 9 (Killed)");
    assert_int_equal(test.job.facts.kind, MEDIA_KIND_PHOTO);
    assert_int_equal(test.job.fd, -1);
    assert_int_equal(counters->crashes, 2);
    assert_int_equal(counters->failures, 1);
    submit(&f, &next, MEDIA_KIND_PHOTO, make_photo());
    run_until_done(&f, &next);
    check_thumbnail(&next);
    fixture_done(&f);
}

static void test_liar(void **state)
{
    (void)state;
    check_liar("1");
    check_liar("2");
    check_liar("3");
    check_liar("4");
}

static void no_log(const LogRecord *record UNUSED)
{
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_photo),
        cmocka_unit_test(test_warm),
        cmocka_unit_test(test_warm_fails),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_video_and_sidecar),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_crash_busy),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_idle_death),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_no_worker),
        cmocka_unit_test(test_deadly),
        cmocka_unit_test(test_liar),
    };

    if (argc == 2 && strcmp(argv[1], "media-worker") == 0)
        return getenv("TEST_WORKER_LIES") ? lie(3, atoi(getenv("TEST_WORKER_LIES")))
                                          : media_worker_main(3);
    (void)setenv("TZ", "UTC", 1);
    log_set_sink(no_log);
    if (spawner_init() < 0)
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
