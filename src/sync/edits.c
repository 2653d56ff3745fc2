/*
 * Edits
 *
 * A file of a row was read again. Is it another content, or was it only touched, or did only its
 * thumbnail or its sidecar need it? What AI found in it is kept unless it is another one; the store
 * then tells a change of pixels from one of metadata, see store/retag.c.
 */
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "sync/engine-private.h"

/* What the row itself says of its file, when nothing else is known: that the backend read it, or
 * that the state database is lost. Its older versions note no mtime. */
static bool is_as_row_says(const MediaTask *task)
{
    const FileStamp *now = &task->media.facts.stamp;
    json_t *object = task->metadata ? json_loads(task->metadata, 0, NULL) : NULL;
    const json_t *size = json_object_get(object, "file_size");
    const json_t *mtime = json_object_get(object, "file_mtime");
    bool same = size && json_number_value(size) == (double)now->size &&
                (!mtime || json_number_value(mtime) == (double)file_stamp_seconds(now));

    json_decref(object);
    return same;
}

static bool is_same_content(const MediaTask *task)
{
    const MediaFacts *facts = &task->media.facts;

    if (task->has_fingerprint)
        return task->fingerprint == facts->fingerprint;
    if (task->has_stamp)
        return file_stamp_same_content(&task->stamp, &facts->stamp);
    return is_as_row_says(task);
}

/*
 * edit_describe() - tells the operation that updates a row what has become of the file
 *
 * The thumbnail of a content that is known is not written again.
 */
void edit_describe(MediaTask *task, StoreOp *op)
{
    Engine *engine = task->engine;
    bool same = is_same_content(task);

    if (same && task->has_fingerprint && task->thumbnail && task->media.thumbnail_fd >= 0) {
        (void)close(STEAL_FD(task->media.thumbnail_fd)); /* touched */
        engine->counters.thumbnails_kept++;
    }
    op->old_thumbnail = STEAL_PTR(task->thumbnail);
    op->retag =
        !same && task->media.kind == MEDIA_KIND_PHOTO && engine->config->sync_retag_modified;
}
