/*
 * What a worker does with a file. A photo is read into memory once, and everything (fingerprint,
 * pixels, EXIF) comes from there; a video is read in pieces. The file's size and mtime must be the
 * same before and after, or what was read is of no use.
 */

#include "media/task.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "media/fingerprint.h"
#include "media/movie.h"
#include "media/photo.h"
#include "media/sidecar.h"
#include "media/video.h"
#include "util/error.h"

typedef struct Task {
    const JobMessage *job;
    int fd;
    SidecarFacts sidecar; /* empty when there is none */
    MediaFacts facts;
    MediaError error;
    int thumbnail;
} Task;

static MediaStatus fail_read(Task *task, int error)
{
    return media_fail(&task->error, MEDIA_STATUS_UNREADABLE, "reading failed: %s",
                      strerrordesc_np(error));
}

/* File systems can hold times that 64 bits of nanoseconds cannot (beyond the year 2262). */
static int64_t to_nanoseconds(const struct timespec *time)
{
    int64_t ns;

    if (__builtin_mul_overflow((int64_t)time->tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)time->tv_nsec, &ns))
        return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static MediaStatus read_stamp(Task *task, FileStamp *ret_stamp)
{
    struct stat st;

    if (fstat(task->fd, &st) < 0)
        return fail_read(task, errno);
    if (!S_ISREG(st.st_mode))
        return media_fail(&task->error, MEDIA_STATUS_UNREADABLE, "not a regular file");
    *ret_stamp = (FileStamp){
        .dev = st.st_dev,
        .ino = st.st_ino,
        .size = (uint64_t)st.st_size,
        .mtime_ns = to_nanoseconds(&st.st_mtim),
    };
    return MEDIA_STATUS_OK;
}

/* At the end of reading: is it still the file that it was? */
static MediaStatus check_unchanged(Task *task)
{
    FileStamp now = {0};
    MediaStatus status;

    if (task->job->has_stamp) /* whoever made the copy has looked */
        return MEDIA_STATUS_OK;
    status = read_stamp(task, &now);
    if (status != MEDIA_STATUS_OK)
        return status;
    if (!file_stamp_same_content(&now, &task->facts.stamp))
        return media_fail(&task->error, MEDIA_STATUS_CHANGED, "changed while it was read");
    return MEDIA_STATUS_OK;
}

/* All of a file in memory. */
typedef struct Content {
    uint8_t *data;
    size_t size;
    bool is_mapped;
} Content;

static void content_done(Content *content)
{
    if (content->is_mapped)
        (void)munmap(content->data, content->size);
    else
        free(content->data);
}

/* A sealed copy cannot shrink under the reader, which would mean SIGBUS (mmap(2)). */
static MediaStatus map_whole(Task *task, Content *ret_content)
{
    size_t size = (size_t)task->facts.stamp.size;
    struct stat st;
    void *data;

    if (fstat(task->fd, &st) < 0 || (uint64_t)st.st_size != size)
        return media_fail(&task->error, MEDIA_STATUS_UNREADABLE, "not all of it was copied");
    data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, task->fd, 0);
    if (data == MAP_FAILED)
        return fail_read(task, errno);
    *ret_content = (Content){data, size, true};
    return MEDIA_STATUS_OK;
}

static MediaStatus read_whole(Task *task, Content *ret_content)
{
    size_t size = (size_t)task->facts.stamp.size;
    ByteSource source = {.fd = task->fd, .size = size};
    CLEANUP_FREE uint8_t *data = malloc(size);
    MediaStatus status;
    ssize_t n;

    if (!data)
        return media_fail_memory(&task->error);
    n = byte_source_read(&source, 0, data, size);
    if (n < 0)
        return fail_read(task, (int)-n);
    status = check_unchanged(task);
    if (status != MEDIA_STATUS_OK)
        return status;
    if ((size_t)n < size) /* cut and restored in between, or a file system that lies */
        return media_fail(&task->error, MEDIA_STATUS_CHANGED, "shorter than its size");
    *ret_content = (Content){STEAL_PTR(data), size, false};
    return MEDIA_STATUS_OK;
}

/* A sidecar that cannot be read is one that is not there. */
static void read_sidecar(Task *task, int fd)
{
    CLEANUP_FREE char *text = malloc(SIDECAR_SIZE_MAX + 1);
    ByteSource source = {.fd = fd, .size = SIDECAR_SIZE_MAX + 1};
    ssize_t n;

    if (fd < 0 || !text)
        return;
    n = byte_source_read(&source, 0, text, SIDECAR_SIZE_MAX + 1);
    if (n > 0)
        (void)sidecar_read(text, (size_t)n, &task->sidecar);
}

/* Takes a date if there is one and none was taken yet. */
static void offer_date(Task *task, const char *date, DateSource source)
{
    if (task->facts.date_source != DATE_SOURCE_UNKNOWN || date[0] == '\0')
        return;
    (void)snprintf(task->facts.date_created, sizeof(task->facts.date_created), "%s", date);
    task->facts.date_source = source;
}

static void offer_mtime(Task *task)
{
    char date[DATETIME_TEXT_SIZE] = "";

    (void)datetime_from_mtime(task->facts.stamp.mtime_ns, date);
    offer_date(task, date, DATE_SOURCE_FILESYSTEM);
}

static void offer_location(Task *task, bool has_location, double latitude, double longitude)
{
    if (task->facts.has_location || !has_location)
        return;
    task->facts.has_location = true;
    task->facts.latitude = latitude;
    task->facts.longitude = longitude;
}

/* A memfd that nobody can change any more: the daemon checks the seals. */
static int make_memfd(const uint8_t *data, size_t size)
{
    CLEANUP_CLOSE int fd = memfd_create("thumbnail", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t done = 0;

    if (fd < 0)
        return -errno;
    while (done < size) {
        ssize_t n = pwrite(fd, data + done, size - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    return STEAL_FD(fd);
}

static MediaStatus keep_photo(Task *task, const Photo *photo)
{
    MediaFacts *facts = &task->facts;
    int fd = make_memfd(photo->thumbnail, photo->thumbnail_bytes);

    if (fd < 0)
        return media_fail(&task->error, MEDIA_STATUS_UNREADABLE, "no room for the thumbnail: %s",
                          strerrordesc_np(-fd));
    task->thumbnail = fd;
    facts->width = photo->size.width;
    facts->height = photo->size.height;
    (void)snprintf(facts->item_type, sizeof(facts->item_type), "%s", photo->item_type);
    facts->thumbnail_width = photo->thumbnail_size.width;
    facts->thumbnail_height = photo->thumbnail_size.height;
    facts->thumbnail_size = photo->thumbnail_bytes;
    offer_date(task, photo->exif.date, DATE_SOURCE_EXIF);
    offer_date(task, task->sidecar.date, DATE_SOURCE_SIDECAR);
    offer_mtime(task);
    offer_location(task, photo->exif.has_location, photo->exif.latitude, photo->exif.longitude);
    offer_location(task, task->sidecar.has_location, task->sidecar.latitude,
                   task->sidecar.longitude);
    return MEDIA_STATUS_OK;
}

static MediaStatus read_photo(Task *task)
{
    const JobMessage *job = task->job;
    PhotoOptions options = {job->thumbnail_size, job->thumbnail_quality, job->max_pixels};
    CLEANUP(content_done) Content content = {};
    CLEANUP(photo_done) Photo photo = {};
    ByteSource source = {.fd = -1};
    MediaStatus status;

    if (task->facts.stamp.size > job->max_file_size)
        return media_fail(&task->error, MEDIA_STATUS_TOO_LARGE, "%" PRIu64 " bytes are too many",
                          task->facts.stamp.size);
    status = job->has_stamp ? map_whole(task, &content) : read_whole(task, &content);
    if (status != MEDIA_STATUS_OK)
        return status;
    source.data = content.data;
    source.size = content.size;
    if (fingerprint_read(&source, &task->facts.fingerprint) < 0)
        return media_fail_memory(&task->error);
    status = photo_read(content.data, content.size, &options, &photo, &task->error);
    return status == MEDIA_STATUS_OK ? keep_photo(task, &photo) : status;
}

static MediaStatus read_video(Task *task)
{
    ByteSource source = {.fd = task->fd, .size = task->facts.stamp.size};
    MediaFacts *facts = &task->facts;
    MovieDates dates;
    VideoFacts video;
    int r = fingerprint_read(&source, &facts->fingerprint);

    if (r < 0)
        return fail_read(task, -r);
    video_facts_read(&source, &video);
    movie_dates_read(&source, &dates);
    facts->width = video.width;
    facts->height = video.height;
    facts->duration = video.duration;
    facts->fps = video.fps;
    offer_date(task, dates.recorded, DATE_SOURCE_CONTAINER);
    offer_date(task, task->sidecar.date, DATE_SOURCE_SIDECAR);
    offer_date(task, dates.created, DATE_SOURCE_CONTAINER);
    offer_mtime(task);
    return check_unchanged(task);
}

static MediaStatus read_file(Task *task)
{
    MediaStatus status = read_stamp(task, &task->facts.stamp);

    if (task->job->has_stamp)
        task->facts.stamp = protocol_job_stamp(task->job);
    if (status != MEDIA_STATUS_OK)
        return status;
    if (task->facts.stamp.size == 0)
        return media_fail(&task->error, MEDIA_STATUS_UNDECODABLE, "the file is empty");
    return task->job->kind == MEDIA_KIND_VIDEO ? read_video(task) : read_photo(task);
}

/* task_run() - see the header; never fails, the answer says how it went. */
void task_run(const JobMessage *job, int fd, int sidecar_fd, MediaAnswer *ret_answer,
              int *ret_thumbnail)
{
    Task task = {
        .job = job,
        .fd = fd,
        .facts = {.kind = job->kind, .duration = -1, .fps = -1},
        .thumbnail = -1,
    };
    MediaStatus status;

    read_sidecar(&task, sidecar_fd);
    status = read_file(&task);
    *ret_answer = (MediaAnswer){status, task.facts, task.error};
    *ret_thumbnail = task.thumbnail;
}
