/* Built without libavformat: videos are listed, their size and length stay unknown. */

#include "media/video.h"

#include "util/cleanup.h"

void video_init(void)
{
}

void video_facts_read(const ByteSource *source UNUSED, VideoFacts *ret_facts)
{
    *ret_facts = (VideoFacts){.duration = -1, .fps = -1};
}
