/* Opening files for the workers, and the copies that are made of those on remote file systems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/mailbox.h"
#include "util/cleanup.h"
#include "volume/copy.h"
#include "volume/directory.h"
#include "volume/open.h"
#include "volume/volume.h"

static Loop *loop;
static Mailbox *mailbox;
static Worker *worker;
static Volume volume; /* what the thread keeps */
static bool is_done;

static int setup(void **state UNUSED)
{
    is_done = false;
    if (loop_create(&loop) < 0 || mailbox_create(loop, 16, &mailbox) < 0)
        return -1;
    return worker_create("test", &volume, mailbox, &worker);
}

static int teardown(void **state UNUSED)
{
    (void)worker_free(worker, 1000000);
    mailbox_free(mailbox);
    loop_free(loop);
    sidecars_done(&volume.sidecars);
    return 0;
}

static void wait_done(void)
{
    while (!is_done)
        assert_true(loop_run_once(loop, 10000) >= 0);
    is_done = false;
}

/* ---- copies ---- */

typedef struct CopyJob {
    WorkerJob job;
    int fd;
    uint64_t max;
    int result;
    FileStamp stamp;
    int copy;
} CopyJob;

static void copy_run(WorkerJob *job, void *context UNUSED)
{
    CopyJob *copy = CONTAINER_OF(job, CopyJob, job);

    copy->result = copy_to_memory(job, copy->fd, copy->max, &copy->stamp, &copy->copy);
}

static void copy_done(WorkerJob *job UNUSED)
{
    is_done = true;
}

static CopyJob copy(int fd, uint64_t max)
{
    CopyJob job = {.job = {.run = copy_run, .done = copy_done}, .fd = fd, .max = max, .copy = -1};

    worker_submit(worker, &job.job);
    wait_done();
    return job;
}

static int make_file(const void *data, size_t size)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    return fd;
}

static void test_copy(void **state UNUSED)
{
    size_t size = ((size_t)2 << 20) + 5; /* several pieces */
    CLEANUP_FREE char *data = malloc(size);
    CLEANUP_FREE char *again = malloc(size);
    CLEANUP_CLOSE int fd = -1;
    struct stat st;
    CopyJob job;

    memset(data, 'x', size);
    data[size - 1] = 'y';
    fd = make_file(data, size);
    assert_int_equal(fstat(fd, &st), 0);
    job = copy(fd, size);
    assert_int_equal(job.result, 0);
    assert_int_equal(job.stamp.size, size);
    assert_int_equal(job.stamp.ino, st.st_ino);
    assert_int_equal(job.stamp.mtime_ns, directory_stamp(&st).mtime_ns);
    assert_int_equal(pread(job.copy, again, size, 0), (ssize_t)size);
    assert_memory_equal(data, again, size);
    assert_int_equal(pwrite(job.copy, "z", 1, 0), -1); /* sealed */
    assert_int_equal(ftruncate(job.copy, 0), -1);
    (void)close(job.copy);
}

static void test_copy_of_nothing_and_too_much(void **state UNUSED)
{
    CLEANUP_CLOSE int empty = make_file("", 0);
    CLEANUP_CLOSE int large = make_file("12345", 5);
    CopyJob job = copy(empty, 100);
    struct stat st;

    assert_int_equal(job.result, 0);
    assert_int_equal(job.stamp.size, 0);
    (void)close(job.copy);
    job = copy(large, 4);
    assert_int_equal(job.result, 0);
    assert_int_equal(job.stamp.size, 5);
    assert_int_equal(fstat(job.copy, &st), 0);
    assert_int_equal(st.st_size, 0);
    (void)close(job.copy);
}

static void test_copy_fails(void **state UNUSED)
{
    CLEANUP_CLOSE int directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int proc = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CopyJob job = copy(-1, 100);

    assert_int_equal(job.result, -EBADF);
    job = copy(directory, UINT64_MAX);
    assert_int_equal(job.result, -EISDIR);
    assert_int_equal(job.copy, -1);
    job = copy(proc, 100); /* its size is always 0 */
    assert_int_equal(job.result, 0);
    (void)close(job.copy);
}

static void test_is_remote(void **state UNUSED)
{
    CLEANUP_CLOSE int fd = make_file("x", 1);

    assert_false(directory_is_remote(fd));
    assert_true(directory_is_remote(-1)); /* cannot be told */
}

/* ---- opening ---- */

static void open_done(WorkerJob *job UNUSED)
{
    is_done = true;
}

static void run_open(OpenJob *job, const char *directory, const char *name)
{
    struct stat st;

    assert_int_equal(stat(directory, &st), 0);
    open_job_init(job, open_done);
    job->directory = strdup(directory);
    job->name = strdup(name);
    job->dev = st.st_dev;
    job->ino = st.st_ino;
    job->copy = true;
    job->copy_max = 100;
    worker_submit(worker, &job->job);
    wait_done();
}

static void write_file(int dir_fd, const char *name, const char *text)
{
    CLEANUP_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* A local file is handed over itself, with its sidecar. */
static void test_open(void **state UNUSED)
{
    char directory[] = "/tmp/test-open-XXXXXX";
    CLEANUP_CLOSE int dir_fd = -1;
    char text[8] = "";
    OpenJob job;

    assert_non_null(mkdtemp(directory));
    dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_file(dir_fd, "a.jpg", "photo");
    write_file(dir_fd, "a.jpg.supplemental.json", "side");
    run_open(&job, directory, "a.jpg");
    assert_int_equal(job.error, 0);
    assert_false(job.remote || job.copied);
    assert_int_equal(read(job.fd, text, sizeof(text)), 5);
    assert_int_equal(read(job.sidecar_fd, text, sizeof(text)), 4);
    open_job_done(&job, worker);
    run_open(&job, directory, "b.jpg");
    assert_int_equal(job.error, ENOENT);
    open_job_done(&job, worker);
    run_open(&job, directory, ".");
    assert_int_equal(job.error, ESTALE); /* not a regular file */
    open_job_done(&job, worker);
    (void)unlinkat(dir_fd, "a.jpg", 0);
    (void)unlinkat(dir_fd, "a.jpg.supplemental.json", 0);
    (void)rmdir(directory);
}

/* Closed by the other thread, in its time. */
static void test_close_elsewhere(void **state UNUSED)
{
    int fd = make_file("x", 1);
    CopyJob after;

    close_job_submit(worker, fd);
    after = copy(-1, 0); /* jobs run one after the other */
    assert_int_equal(after.result, -EBADF);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_copy),       TEST(test_copy_of_nothing_and_too_much),
        TEST(test_copy_fails), TEST(test_is_remote),
        TEST(test_open),       TEST(test_close_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
