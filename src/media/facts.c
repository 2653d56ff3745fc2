#include "media/facts.h"

#include <stddef.h>

/* media_facts_captured_at() - the captured_at column. A file time must never reach it: Memories are
 * made of these dates. */
const char *media_facts_captured_at(const MediaFacts *facts)
{
    switch (facts->date_source) {
    case DATE_SOURCE_EXIF:
    case DATE_SOURCE_SIDECAR:
    case DATE_SOURCE_CONTAINER:
        return facts->date_created[0] != '\0' ? facts->date_created : NULL;
    case DATE_SOURCE_UNKNOWN:
    case DATE_SOURCE_FILESYSTEM:
        break;
    }
    return NULL;
}
