#pragma once
/* Size, length and frame rate of a video. */

#include "media/byte_source.h"

typedef struct VideoFacts {
    uint32_t width; /* as shown, rotation applied; 0 = unknown */
    uint32_t height;
    double duration; /* seconds, rounded to 3 decimals; negative = unknown */
    double fps;      /* likewise */
} VideoFacts;

/* What cannot be found out stays unknown: a video is listed even if nothing can read it. */
void video_facts_read(const ByteSource *source, VideoFacts *ret_facts);
/* Silences the libraries; once, at the start of the process. */
void video_init(void);
