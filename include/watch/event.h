#pragma once
/* Decoding of inotify(7) records. */

#include <stddef.h>
#include <stdint.h>
#include <sys/inotify.h>

/* What every directory is watched for: what may change a row, never OPEN, ACCESS or MODIFY. */
#define EVENT_WATCH_MASK                                                                           \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF |       \
     IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK)

typedef struct Event {
    int wd;
    uint32_t mask;
    uint32_t cookie;
    const char *name; /* "" when the event is about the directory itself; borrowed */
} Event;

/* Takes the record at *offset and steps behind it. Returns 1 for a record, 0 at the end, -EBADMSG
 * for one that does not fit into the buffer. */
int event_next(const char *buffer, size_t size, size_t *offset, Event *ret_event);
