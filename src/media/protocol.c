/*
 * The messages between pool and workers, and the checks that stand between a worker and the daemon.
 * A worker decodes hostile bytes and may be under their control: its answer is taken apart field by
 * field, and one field that cannot be makes the whole answer invalid.
 */

#include "media/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "media/datetime.h"
#include "media/exif.h"
#include "util/error.h"

#define PROTOCOL_MAGIC UINT32_C(0x504d0002) /* "PM", version 2 */

#define VIDEO_SIDE_MAX  65536u
#define NUMBER_MAX      1e9 /* seconds, frames a second */
#define THUMBNAIL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Room for the control message, aligned as cmsg(3) wants it. */
typedef union ControlBuffer {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(PROTOCOL_FDS_MAX * sizeof(int))];
} ControlBuffer;

/* protocol_send() - one message with n_fds (at most PROTOCOL_FDS_MAX) descriptors, which stay the
 * caller's. */
int protocol_send(int socket, const void *message, size_t size, const int *fds, size_t n_fds)
{
    struct iovec iov = {(void *)(uintptr_t)message, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ControlBuffer control = {};
    ssize_t n;

    if (n_fds > 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    do
        n = sendmsg(socket, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? error_errno() : 0;
}

static void take_fds(struct msghdr *msg, int ret_fds[PROTOCOL_FDS_MAX], size_t *ret_n_fds)
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (n < PROTOCOL_FDS_MAX)
                ret_fds[n++] = fd;
            else
                (void)close(fd);
        }
    }
    *ret_n_fds = n;
}

ssize_t protocol_receive(int socket, void *message, size_t size, int ret_fds[PROTOCOL_FDS_MAX],
                         size_t *ret_n_fds)
{
    struct iovec iov = {message, size};
    ControlBuffer control = {};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    *ret_n_fds = 0;
    do
        n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    take_fds(&msg, ret_fds, ret_n_fds);
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (size_t i = 0; i < *ret_n_fds; i++)
            (void)close(ret_fds[i]);
        *ret_n_fds = 0;
        return -EBADMSG;
    }
    return n;
}

static MessageHeader header_of(MessageType type)
{
    return (MessageHeader){PROTOCOL_MAGIC, type};
}

static bool has_header(const void *message, size_t size, size_t expected_size, MessageType type)
{
    MessageHeader header;

    if (size != expected_size)
        return false;
    memcpy(&header, message, sizeof(header));
    return header.magic == PROTOCOL_MAGIC && header.type == (uint32_t)type;
}

void protocol_init_hello(MessageHeader *message)
{
    *message = header_of(MESSAGE_HELLO);
}

/* protocol_init_job() - the rest is the caller's to fill in. */
void protocol_init_job(JobMessage *message)
{
    *message = (JobMessage){.header = header_of(MESSAGE_JOB)};
}

bool protocol_is_hello(const void *message, size_t size, size_t n_fds)
{
    return n_fds == 0 && has_header(message, size, sizeof(MessageHeader), MESSAGE_HELLO);
}

/* protocol_is_job() - the pool is trusted; this catches a program of another version. */
bool protocol_is_job(const void *message, size_t size, size_t n_fds)
{
    JobMessage job;

    if (!has_header(message, size, sizeof(job), MESSAGE_JOB))
        return false;
    memcpy(&job, message, sizeof(job));
    return n_fds == (job.has_sidecar ? 2u : 1u);
}

FileStamp protocol_job_stamp(const JobMessage *job)
{
    return (FileStamp){
        .dev = job->dev, .ino = job->ino, .size = job->size, .mtime_ns = job->mtime_ns};
}

/* protocol_init_answer() - the worker's side; the strings of answer are zero-terminated. */
void protocol_init_answer(AnswerMessage *message, const JobMessage *job, const MediaAnswer *answer)
{
    const MediaFacts *facts = &answer->facts;

    *message = (AnswerMessage){
        .header = header_of(MESSAGE_ANSWER),
        .id = job->id,
        .status = answer->status,
        .date_source = facts->date_source,
        .has_location = facts->has_location,
        .width = facts->width,
        .height = facts->height,
        .thumbnail_width = facts->thumbnail_width,
        .thumbnail_height = facts->thumbnail_height,
        .thumbnail_size = facts->thumbnail_size,
        .dev = facts->stamp.dev,
        .ino = facts->stamp.ino,
        .size = facts->stamp.size,
        .mtime_ns = facts->stamp.mtime_ns,
        .fingerprint = facts->fingerprint,
        .latitude = facts->latitude,
        .longitude = facts->longitude,
        .duration = facts->duration,
        .fps = facts->fps,
    };
    memcpy(message->item_type, facts->item_type, sizeof(message->item_type));
    memcpy(message->date_created, facts->date_created, sizeof(message->date_created));
    memcpy(message->error, answer->error.text, sizeof(message->error));
}

static bool is_terminated(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static bool is_photo_type(const char *item_type)
{
    return strcmp(item_type, "image/jpeg") == 0 || strcmp(item_type, "image/png") == 0 ||
           strcmp(item_type, "image/mpo") == 0;
}

static bool check_photo(const AnswerMessage *m, const JobMessage *job, size_t n_fds)
{
    return n_fds == 1 && is_photo_type(m->item_type) && m->width > 0 && m->height > 0 &&
           (uint64_t)m->width * m->height <= job->max_pixels && m->thumbnail_width > 0 &&
           m->thumbnail_width <= job->thumbnail_size && m->thumbnail_height > 0 &&
           m->thumbnail_height <= job->thumbnail_size && m->thumbnail_size > 0 &&
           m->thumbnail_size <= PROTOCOL_THUMBNAIL_MAX;
}

static bool check_video(const AnswerMessage *m, size_t n_fds)
{
    return n_fds == 0 && m->item_type[0] == '\0' && m->width <= VIDEO_SIDE_MAX &&
           m->height <= VIDEO_SIDE_MAX && m->thumbnail_width == 0 && m->thumbnail_height == 0 &&
           m->thumbnail_size == 0;
}

/* A date has a source, and the other way round. */
static bool check_date(const AnswerMessage *m)
{
    if (m->date_source > DATE_SOURCE_CONTAINER)
        return false;
    if (m->date_source == DATE_SOURCE_UNKNOWN)
        return m->date_created[0] == '\0';
    return datetime_is_valid(m->date_created);
}

static bool check_location(const AnswerMessage *m)
{
    if (m->has_location > 1)
        return false;
    return !m->has_location || media_location_is_valid(m->latitude, m->longitude);
}

static bool check_facts(const AnswerMessage *m, const JobMessage *job, size_t n_fds)
{
    return check_date(m) && check_location(m) && m->duration <= NUMBER_MAX &&
           m->fps <= NUMBER_MAX && m->size <= INT64_MAX &&
           (job->kind == MEDIA_KIND_VIDEO ? check_video(m, n_fds) : check_photo(m, job, n_fds));
}

static FileStamp stamp_of(const AnswerMessage *m)
{
    return (FileStamp){.dev = m->dev, .ino = m->ino, .size = m->size, .mtime_ns = m->mtime_ns};
}

/* Of a copy it is known what a worker has to say. */
static bool check_stamp(const AnswerMessage *m, const JobMessage *job)
{
    return !job->has_stamp || (m->dev == job->dev && m->ino == job->ino && m->size == job->size &&
                               m->mtime_ns == job->mtime_ns);
}

static MediaFacts facts_of(const AnswerMessage *m, const JobMessage *job)
{
    MediaFacts facts = {
        .kind = job->kind,
        .stamp = stamp_of(m),
        .fingerprint = m->fingerprint,
        .width = m->width,
        .height = m->height,
        .date_source = m->date_source,
        .has_location = m->has_location,
        .latitude = m->has_location ? m->latitude : 0,
        .longitude = m->has_location ? m->longitude : 0,
        .duration = m->duration >= 0 ? m->duration : -1,
        .fps = m->fps >= 0 ? m->fps : -1,
        .thumbnail_width = m->thumbnail_width,
        .thumbnail_height = m->thumbnail_height,
        .thumbnail_size = m->thumbnail_size,
    };

    memcpy(facts.item_type, m->item_type, sizeof(facts.item_type));
    memcpy(facts.date_created, m->date_created, sizeof(facts.date_created));
    return facts;
}

/* It goes to logs and to /problems: printable ASCII, which is all that workers have to say. */
static void copy_error(MediaError *error, const AnswerMessage *m)
{
    size_t i;

    for (i = 0; m->error[i] != '\0'; i++)
        error->text[i] = m->error[i] >= ' ' && m->error[i] <= '~' ? m->error[i] : '?';
    error->text[i] = '\0';
}

/*
 * protocol_parse_answer() - see the header
 *
 * n_fds is the number of descriptors that came with it; protocol_is_thumbnail() looks at them. Of a
 * failure only the stamp and the reason are taken.
 */
int protocol_parse_answer(const void *message, size_t size, size_t n_fds, const JobMessage *job,
                          MediaAnswer *ret_answer)
{
    AnswerMessage m;
    MediaAnswer answer = {};

    if (!has_header(message, size, sizeof(m), MESSAGE_ANSWER))
        return PROTOCOL_E_INVALID;
    memcpy(&m, message, sizeof(m));
    if (m.id != job->id || m.status > MEDIA_STATUS_CHANGED || !check_stamp(&m, job) ||
        !is_terminated(m.item_type, sizeof(m.item_type)) ||
        !is_terminated(m.date_created, sizeof(m.date_created)) ||
        !is_terminated(m.error, sizeof(m.error)))
        return PROTOCOL_E_INVALID;
    answer.status = m.status;
    copy_error(&answer.error, &m);
    if (answer.status == MEDIA_STATUS_OK) {
        if (!check_facts(&m, job, n_fds))
            return PROTOCOL_E_INVALID;
        answer.facts = facts_of(&m, job);
    } else {
        if (n_fds > 0)
            return PROTOCOL_E_INVALID;
        answer.facts = (MediaFacts){.kind = job->kind, .stamp = stamp_of(&m)};
    }
    *ret_answer = answer;
    return 0;
}

/* protocol_is_thumbnail() - only a memfd has seals (fcntl(2)), so fd cannot lead to anything that
 * blocks or changes when it is read. */
bool protocol_is_thumbnail(int fd, uint64_t size)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & THUMBNAIL_SEALS) == THUMBNAIL_SEALS && fstat(fd, &st) == 0 &&
           S_ISREG(st.st_mode) && st.st_size >= 0 && (uint64_t)st.st_size == size;
}
