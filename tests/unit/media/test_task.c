/* What a worker does with a file: real descriptors, no process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "media/task.h"
#include "movies.h"
#include "pictures.h"

#define FROM_1904 UINT64_C(2082844800)

static JobMessage make_job(MediaKind kind)
{
    JobMessage job;

    protocol_init_job(&job);
    job.kind = kind;
    job.thumbnail_size = 100;
    job.thumbnail_quality = 75;
    job.max_pixels = 1000000;
    job.max_file_size = 1000000;
    return job;
}

/* An unnamed file with that content and mtime 2023-11-14T22:13:20.25 */
static int make_file(const void *data, size_t size)
{
    const struct timespec times[2] = {{1700000000, 250000000}, {1700000000, 250000000}};
    int fd = memfd_create("file", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    assert_int_equal(futimens(fd, times), 0);
    return fd;
}

static MediaAnswer run(const JobMessage *job, int fd, const char *sidecar, int *ret_thumbnail)
{
    CLEANUP_CLOSE int sidecar_fd = sidecar ? make_file(sidecar, strlen(sidecar)) : -1;
    CLEANUP_CLOSE int own = fd;
    MediaAnswer answer;

    task_run(job, own, sidecar_fd, &answer, ret_thumbnail);
    return answer;
}

static MediaAnswer run_photo(const TiffWriter *tiff, const char *sidecar)
{
    JobMessage job = make_job(MEDIA_KIND_PHOTO);
    CLEANUP(bytes_done)
    Bytes bytes = make_jpeg(
        &(JpegSpec){.width = 200, .height = 100, .exif = tiff->data, .exif_size = tiff->size});
    CLEANUP_CLOSE int thumbnail = -1;
    MediaAnswer answer = run(&job, make_file(bytes.data, bytes.size), sidecar, &thumbnail);

    assert_int_equal(answer.status, MEDIA_STATUS_OK);
    assert_string_equal(answer.error.text, "");
    assert_true(protocol_is_thumbnail(thumbnail, answer.facts.thumbnail_size));
    assert_int_equal(lseek(thumbnail, 0, SEEK_CUR), 0);
    assert_int_equal(answer.facts.stamp.size, bytes.size);
    assert_int_equal(answer.facts.stamp.mtime_ns, 1700000000250000000);
    return answer;
}

static const char sidecar_text[] = "{\"photoTakenTime\": {\"timestamp\": \"1600000000\"},"
                                   " \"geoData\": {\"latitude\": 10.5, \"longitude\": 20.5}}";

static void test_photo(void **state)
{
    const TiffEntry entries[] = {
        {0x8769, 0x9003, 2, "2001:01:01 01:01:01", {}, 0}, {0x8825, 1, 2, "N", {}, 0},
        {0x8825, 2, 5, NULL, {1, 1, 30, 1, 0, 1}, 3},      {0x8825, 3, 2, "E", {}, 0},
        {0x8825, 4, 5, NULL, {2, 1, 0, 1, 0, 1}, 3},
    };
    TiffWriter tiff = make_tiff(false, entries, 5);
    MediaAnswer answer = run_photo(&tiff, sidecar_text);

    (void)state;
    assert_int_equal(answer.facts.kind, MEDIA_KIND_PHOTO);
    assert_int_equal(answer.facts.width, 200);
    assert_int_equal(answer.facts.height, 100);
    assert_int_equal(answer.facts.thumbnail_width, 100);
    assert_int_equal(answer.facts.thumbnail_height, 50);
    assert_string_equal(answer.facts.item_type, "image/jpeg");
    assert_true(answer.facts.fingerprint != 0);
    /* EXIF before the sidecar */
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_EXIF);
    assert_string_equal(answer.facts.date_created, "2001-01-01T01:01:01");
    assert_true(answer.facts.has_location);
    assert_true(answer.facts.latitude == 1.5 && answer.facts.longitude == 2);
}

static MediaAnswer run_copy(size_t size, const Bytes *bytes, int *ret_thumbnail)
{
    JobMessage job = make_job(MEDIA_KIND_PHOTO);

    job.has_stamp = 1;
    job.ino = 77;
    job.size = size;
    job.mtime_ns = 1600000000000000000;
    return run(&job, make_file(bytes->data, bytes->size), NULL, ret_thumbnail);
}

/* What is known of the original counts, not what the copy's own inode says. */
static void test_copy(void **state)
{
    CLEANUP(bytes_done) Bytes bytes = make_jpeg(&(JpegSpec){.width = 200, .height = 100});
    const Bytes nothing = {};
    CLEANUP_CLOSE int thumbnail = -1;
    int none = -1;
    MediaAnswer answer = run_copy(bytes.size, &bytes, &thumbnail);

    (void)state;
    assert_int_equal(answer.status, MEDIA_STATUS_OK);
    assert_int_equal(answer.facts.stamp.ino, 77);
    assert_int_equal(answer.facts.stamp.mtime_ns, 1600000000000000000);
    assert_string_equal(answer.facts.date_created, "2020-09-13T12:26:40");
    assert_int_equal(answer.facts.width, 200);
    answer = run_copy(bytes.size + 1, &bytes, &none);
    assert_int_equal(answer.status, MEDIA_STATUS_UNREADABLE);
    answer = run_copy(1000001, &nothing, &none); /* not copied: the size says enough */
    assert_int_equal(answer.status, MEDIA_STATUS_TOO_LARGE);
    answer = run_copy(0, &nothing, &none);
    assert_int_equal(answer.status, MEDIA_STATUS_UNDECODABLE);
    assert_int_equal(none, -1);
}

/* The sidecar fills in what EXIF does not say, each for itself; the file's time comes last. */
static void test_photo_sources(void **state)
{
    const TiffEntry entry = {0x8769, 0x9003, 2, "2001:01:01 01:01:01", {}, 0};
    TiffWriter dated = make_tiff(false, &entry, 1);
    TiffWriter plain = make_orientation(1);
    MediaAnswer answer = run_photo(&dated, sidecar_text);

    (void)state;
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_EXIF);
    assert_true(answer.facts.latitude == 10.5);
    answer = run_photo(&plain, sidecar_text);
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_SIDECAR);
    assert_string_equal(answer.facts.date_created, "2020-09-13T12:26:40");
    assert_true(answer.facts.longitude == 20.5);
    answer = run_photo(&plain, "{\"albumData\": {}}");
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_FILESYSTEM);
    assert_string_equal(answer.facts.date_created, "2023-11-14T22:13:20.250000");
    assert_false(answer.facts.has_location);
}

static void check_failure(const JobMessage *job, int fd, MediaStatus status, const char *text)
{
    int thumbnail;
    MediaAnswer answer = run(job, fd, NULL, &thumbnail);

    assert_int_equal(answer.status, status);
    assert_int_equal(thumbnail, -1);
    if (!strstr(answer.error.text, text))
        fail_msg("\"%s\" does not say \"%s\"", answer.error.text, text);
}

static void test_failures(void **state)
{
    JobMessage job = make_job(MEDIA_KIND_PHOTO);
    JobMessage video = make_job(MEDIA_KIND_VIDEO);

    (void)state;
    check_failure(&job, make_file("", 0), MEDIA_STATUS_UNDECODABLE, "empty");
    check_failure(&video, make_file("", 0), MEDIA_STATUS_UNDECODABLE, "empty");
    check_failure(&job, make_file("nonsense", 8), MEDIA_STATUS_UNDECODABLE, "neither");
    check_failure(&job, open("/", O_RDONLY | O_CLOEXEC), MEDIA_STATUS_UNREADABLE, "not a regular");
    check_failure(&job, open("/dev/zero", O_RDONLY | O_CLOEXEC), MEDIA_STATUS_UNREADABLE,
                  "not a regular");
    check_failure(&job, -1, MEDIA_STATUS_UNREADABLE, "Bad file descriptor");
    /* written to, but not readable: pread(2) fails */
    check_failure(&job, open("/proc/self/mem", O_RDONLY | O_CLOEXEC), MEDIA_STATUS_UNDECODABLE,
                  "empty");
    job.max_file_size = 7;
    check_failure(&job, make_file("nonsense", 8), MEDIA_STATUS_TOO_LARGE, "8 bytes");
}

/* A descriptor without the right to read, as one of a file that lost its media would fail. */
static void test_unreadable(void **state)
{
    JobMessage job = make_job(MEDIA_KIND_PHOTO);
    JobMessage video = make_job(MEDIA_KIND_VIDEO);
    char name[] = "/tmp/test-task-XXXXXX";
    CLEANUP_CLOSE int fd = mkostemp(name, O_CLOEXEC);

    (void)state;
    assert_int_equal(write(fd, "nonsense", 8), 8);
    check_failure(&job, open(name, O_WRONLY | O_CLOEXEC), MEDIA_STATUS_UNREADABLE, "Bad file");
    check_failure(&video, open(name, O_WRONLY | O_CLOEXEC), MEDIA_STATUS_UNREADABLE, "Bad file");
    assert_int_equal(unlink(name), 0);
}

enum { GROWING_SIZE = 64 << 20 };

/* A writer that does not stop while the file is read. */
typedef struct Writer {
    int fd;
    atomic_bool stop;
} Writer;

static void *keep_writing(void *arg)
{
    Writer *writer = arg;
    off_t size = GROWING_SIZE;

    while (!writer->stop)
        if (ftruncate(writer->fd, ++size) < 0)
            abort();
    return NULL;
}

/* A reader that the writer was never let run beside has seen one state of the file: once more. */
static void check_changed(const JobMessage *job, const Writer *writer)
{
    MediaAnswer answer = {};

    for (int i = 0; i < 1000 && answer.status != MEDIA_STATUS_CHANGED; i++) {
        int thumbnail = -1;

        answer = run(job, dup(writer->fd), NULL, &thumbnail);
        assert_int_equal(thumbnail, -1);
    }
    assert_int_equal(answer.status, MEDIA_STATUS_CHANGED);
    assert_string_equal(answer.error.text, "changed while it was read");
}

static void test_changed(void **state)
{
    Writer writer = {.fd = memfd_create("growing", MFD_CLOEXEC)};
    MediaKind kinds[2] = {MEDIA_KIND_PHOTO, MEDIA_KIND_VIDEO};
    pthread_t thread;
    struct stat st;

    (void)state;
    assert_int_equal(ftruncate(writer.fd, GROWING_SIZE), 0);
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, &writer), 0);
    do
        assert_int_equal(fstat(writer.fd, &st), 0);
    while (st.st_size == GROWING_SIZE);
    for (unsigned i = 0; i < 2; i++) {
        JobMessage job = make_job(kinds[i]);

        job.max_file_size = UINT64_C(4) << 30;
        check_changed(&job, &writer);
    }
    writer.stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(writer.fd);
}

static MediaAnswer run_video(Text file, const char *sidecar)
{
    JobMessage job = make_job(MEDIA_KIND_VIDEO);
    int thumbnail;
    MediaAnswer answer = run(&job, make_file(file.data, file.length), sidecar, &thumbnail);

    text_done(&file);
    assert_int_equal(answer.status, MEDIA_STATUS_OK);
    assert_int_equal(thumbnail, -1);
    assert_string_equal(answer.facts.item_type, "");
    assert_int_equal(answer.facts.thumbnail_size, 0);
    return answer;
}

/* QuickTime's date, the sidecar's, the header's, the file's: in this order. */
static void test_video_dates(void **state)
{
    uint64_t created = FROM_1904 + 1500000000;
    MediaAnswer answer;

    (void)state;
    answer = run_video(make_movie(0, created, "2024-08-07T13:02:02+0530", 0), sidecar_text);
    assert_string_equal(answer.facts.date_created, "2024-08-07T13:02:02");
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_CONTAINER);
    answer = run_video(make_movie(0, created, NULL, 0), sidecar_text);
    assert_string_equal(answer.facts.date_created, "2020-09-13T12:26:40");
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_SIDECAR);
    answer = run_video(make_movie(0, created, NULL, 0), NULL);
    assert_string_equal(answer.facts.date_created, "2017-07-14T02:40:00");
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_CONTAINER);
    answer = run_video(make_movie(0, 0, NULL, 0), NULL);
    assert_string_equal(answer.facts.date_created, "2023-11-14T22:13:20.250000");
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_FILESYSTEM);
}

/* A video that nothing can read is still listed. */
static void test_video_unknown(void **state)
{
    Text file = {};
    MediaAnswer answer;

    (void)state;
    text_append(&file, "this is no video at all");
    answer = run_video(file, NULL);
    assert_int_equal(answer.facts.width, 0);
    assert_int_equal(answer.facts.height, 0);
    assert_true(answer.facts.duration < 0 && answer.facts.fps < 0);
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_FILESYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_photo),       cmocka_unit_test(test_photo_sources),
        cmocka_unit_test(test_copy),        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_unreadable),  cmocka_unit_test(test_changed),
        cmocka_unit_test(test_video_dates), cmocka_unit_test(test_video_unknown),
    };

    (void)setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
