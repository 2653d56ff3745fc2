/* Answers of a worker that somebody else controls: what is accepted must be within all bounds. */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "media/datetime.h"
#include "media/exif.h"
#include "media/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ok(const JobMessage *job, const MediaFacts *facts)
{
    assert((uint32_t)facts->kind == job->kind);
    assert(facts->date_source <= DATE_SOURCE_CONTAINER);
    assert(facts->date_created[0] == '\0' || datetime_is_valid(facts->date_created));
    assert(!facts->has_location || media_location_is_valid(facts->latitude, facts->longitude));
    assert(isfinite(facts->duration) && isfinite(facts->fps));
    assert(memchr(facts->item_type, '\0', sizeof(facts->item_type)));
    assert(facts->thumbnail_width <= job->thumbnail_size);
    assert(facts->thumbnail_size <= PROTOCOL_THUMBNAIL_MAX);
}

static void parse(const AnswerMessage *message, size_t size, MediaKind kind, size_t n_fds)
{
    JobMessage job;
    MediaAnswer answer;

    protocol_init_job(&job);
    job.id = 1;
    job.kind = kind;
    job.thumbnail_size = 600;
    job.max_pixels = 1000000;
    if (protocol_parse_answer(message, size, n_fds, &job, &answer) != 0)
        return;
    assert(answer.status <= MEDIA_STATUS_CHANGED);
    for (const char *c = answer.error.text; *c; c++)
        assert(*c >= ' ' && *c <= '~');
    if (answer.status == MEDIA_STATUS_OK)
        check_ok(&job, &answer.facts);
}

/* As it is, and with the parts that chance would hardly hit already right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AnswerMessage message = {};
    JobMessage job;

    memcpy(&message, data, size < sizeof(message) ? size : sizeof(message));
    parse(&message, size < sizeof(message) ? size : sizeof(message), MEDIA_KIND_PHOTO, 1);
    protocol_init_answer(&message, &(JobMessage){.id = 1}, &(MediaAnswer){});
    if (size > sizeof(message) - offsetof(AnswerMessage, status))
        size = sizeof(message) - offsetof(AnswerMessage, status);
    memcpy((uint8_t *)&message + offsetof(AnswerMessage, status), data, size);
    parse(&message, sizeof(message), MEDIA_KIND_PHOTO, 1);
    parse(&message, sizeof(message), MEDIA_KIND_PHOTO, 0);
    parse(&message, sizeof(message), MEDIA_KIND_VIDEO, 0);
    memcpy(&job, &message, sizeof(job));
    (void)protocol_is_job(&job, sizeof(job), 1);
    (void)protocol_is_hello(&message, sizeof(MessageHeader), 0);
    return 0;
}
