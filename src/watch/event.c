#include "watch/event.h"

#include <errno.h>
#include <string.h>

/*
 * event_next() - decode one record of what read(2) gave
 *
 * The kernel never splits a record and pads the name with zeros (inotify(7)), but a length that
 * points behind the buffer would make us read what is not ours, so every record is checked.
 */
int event_next(const char *buffer, size_t size, size_t *offset, Event *ret_event)
{
    struct inotify_event raw;
    size_t left = size - *offset;

    if (left == 0)
        return 0;
    if (left < sizeof(raw))
        return -EBADMSG;
    memcpy(&raw, buffer + *offset, sizeof(raw));
    if (raw.len > left - sizeof(raw))
        return -EBADMSG;

    ret_event->wd = raw.wd;
    ret_event->mask = raw.mask;
    ret_event->cookie = raw.cookie;
    ret_event->name = "";
    if (raw.len > 0) {
        ret_event->name = buffer + *offset + sizeof(raw);
        if (!memchr(ret_event->name, '\0', raw.len))
            return -EBADMSG;
    }
    *offset += sizeof(raw) + raw.len;
    return 1;
}
