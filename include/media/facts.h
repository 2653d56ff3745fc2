#pragma once
/* What reading a photo or video yields: the facts that PictoPy's rows are made of. */

#include <stdbool.h>
#include <stdint.h>

#include "util/file_stamp.h"
#include "util/media_kind.h"

typedef enum DateSource {
    DATE_SOURCE_UNKNOWN,
    DATE_SOURCE_FILESYSTEM,
    DATE_SOURCE_EXIF,
    DATE_SOURCE_SIDECAR,
    DATE_SOURCE_CONTAINER,
} DateSource;

/* A plain struct without pointers: a worker process sends it as it is. */
typedef struct MediaFacts {
    MediaKind kind;
    FileStamp stamp;      /* fstat(2) of the descriptor that was read */
    uint64_t fingerprint; /* XXH3 of the content, see media/fingerprint.h */
    uint32_t width;       /* as stored in the file, before orientation */
    uint32_t height;
    char item_type[16]; /* "image/jpeg", "image/png", "video/mp4", … */
    DateSource date_source;
    char date_created[32]; /* ISO 8601 local time; "" = unknown */
    bool has_location;
    double latitude;
    double longitude;
    double duration;          /* seconds; negative = unknown */
    double fps;               /* negative = unknown */
    uint32_t thumbnail_width; /* after orientation */
    uint32_t thumbnail_height;
    uint64_t thumbnail_size; /* bytes of the JPEG; 0 = none was made (videos) */
} MediaFacts;

/* captured_at of the row: date_created when its source is trusted, else NULL. Borrowed. */
const char *media_facts_captured_at(const MediaFacts *facts);
