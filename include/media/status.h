#pragma once
/* How reading a file ended, and why, in words for people. */

#include "util/cleanup.h"

typedef enum MediaStatus {
    MEDIA_STATUS_OK,
    MEDIA_STATUS_UNDECODABLE, /* not a photo after all, or damaged: error says what */
    MEDIA_STATUS_TOO_LARGE,   /* more pixels or bytes than allowed */
    MEDIA_STATUS_UNREADABLE,  /* read(2) failed: try again */
    MEDIA_STATUS_CHANGED,     /* size or mtime changed while it was read: try again */
    MEDIA_STATUS_CRASHED,     /* two workers died on it, or one gave a wrong answer */
    MEDIA_STATUS_TIMEOUT,
    MEDIA_STATUS_CANCELLED, /* the pool is going down, or no worker can be started */
} MediaStatus;

#define MEDIA_ERROR_SIZE 256

/* A reason for people: one line of UTF-8, no path in it; "" when there is nothing to say. */
typedef struct MediaError {
    char text[MEDIA_ERROR_SIZE];
} MediaError;

MediaStatus media_fail(MediaError *error, MediaStatus status, const char *format, ...)
    FORMAT_PRINTF(3, 4);
MediaStatus media_fail_memory(MediaError *error);
