#pragma once
/*
 * What the pool and its workers say to each other: fixed-size messages over a SOCK_SEQPACKET socket
 * pair, descriptors beside them (SCM_RIGHTS, unix(7)).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "media/facts.h"
#include "media/status.h"

#define PROTOCOL_FDS_MAX       2
#define PROTOCOL_THUMBNAIL_MAX (UINT64_C(64) << 20) /* bytes */

typedef enum MessageType {
    MESSAGE_HELLO = 1, /* worker to pool, once: ready */
    MESSAGE_JOB,       /* pool to worker, with the file and perhaps its sidecar */
    MESSAGE_ANSWER,    /* worker to pool, with the thumbnail if there is one */
} MessageType;

/* Also all there is to MESSAGE_HELLO. */
typedef struct MessageHeader {
    uint32_t magic; /* with the version in it: a worker of another build is refused */
    uint32_t type;
} MessageHeader;

typedef struct JobMessage {
    MessageHeader header;
    uint64_t id;
    uint32_t kind; /* MediaKind */
    uint32_t has_sidecar;
    uint32_t thumbnail_size;
    uint32_t thumbnail_quality;
    uint64_t max_pixels;
    uint64_t max_file_size;
    uint32_t has_stamp; /* the file is a sealed copy: the rest is of the original */
    uint32_t padding;
    uint64_t dev;
    uint64_t ino;
    uint64_t size;
    int64_t mtime_ns;
} JobMessage;

FileStamp protocol_job_stamp(const JobMessage *job);

/* MediaFacts without types that have invalid bit patterns (bool, enum): they come from a process
 * that hostile bytes may have taken over. */
typedef struct AnswerMessage {
    MessageHeader header;
    uint64_t id;
    uint32_t status; /* MediaStatus, the first five */
    uint32_t date_source;
    uint32_t has_location;
    uint32_t width;
    uint32_t height;
    uint32_t thumbnail_width;
    uint32_t thumbnail_height;
    uint32_t padding;
    uint64_t thumbnail_size;
    uint64_t dev;
    uint64_t ino;
    uint64_t size;
    int64_t mtime_ns;
    uint64_t fingerprint;
    double latitude;
    double longitude;
    double duration;
    double fps;
    char item_type[16];
    char date_created[32];
    char error[MEDIA_ERROR_SIZE];
} AnswerMessage;

/* An answer that has been checked. */
typedef struct MediaAnswer {
    MediaStatus status;
    MediaFacts facts;
    MediaError error;
} MediaAnswer;

/* 0 or a negative errno. Without waiting when the socket does not wait. */
int protocol_send(int socket, const void *message, size_t size, const int *fds, size_t n_fds);
/*
 * The size of the message, 0 at the end of the connection, or a negative errno (-EBADMSG: it did
 * not fit, and is gone). ret_fds are the caller's to close.
 */
ssize_t protocol_receive(int socket, void *message, size_t size, int ret_fds[PROTOCOL_FDS_MAX],
                         size_t *ret_n_fds);

void protocol_init_hello(MessageHeader *message);
void protocol_init_job(JobMessage *message);
void protocol_init_answer(AnswerMessage *message, const JobMessage *job, const MediaAnswer *answer);

bool protocol_is_hello(const void *message, size_t size, size_t n_fds);
bool protocol_is_job(const void *message, size_t size, size_t n_fds);

#define PROTOCOL_E_INVALID 1
/* Checks all of an answer to job; 0 or PROTOCOL_E_INVALID. */
int protocol_parse_answer(const void *message, size_t size, size_t n_fds, const JobMessage *job,
                          MediaAnswer *ret_answer);
/* Is fd a thumbnail of that size, which nobody can change any more? */
bool protocol_is_thumbnail(int fd, uint64_t size);
