/*
 * Reading photos and videos
 *
 * A file that is new or modified is opened on its volume's thread, decoded by a worker process, and
 * comes back as facts and a thumbnail, which make an operation for the store. Only a few files of
 * each volume are open at a time; the rest wait as small tasks. What each volume may have under way
 * is its own affair: one that hangs keeps its few files, and the others never notice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define SOON        (20 * CLOCK_US_PER_MS)
#define TRIES_LIMIT 5
#define COPIES_MAX  ((uint64_t)64 << 20) /* bytes of files copied for the workers, a volume */

/* media_task_free() - free a task that is on no list; its change is left alone. Returns NULL */
MediaTask *media_task_free(MediaTask *task)
{
    if (!task)
        return NULL;
    open_job_done(&task->open, task->volume ? task->volume->worker : NULL);
    (void)volume_release(task->volume);
    if (task->media.thumbnail_fd >= 0)
        (void)close(task->media.thumbnail_fd);
    free(task->row_id);
    free(task->folder_id);
    free(task->metadata);
    free(task->thumbnail);
    free(task);
    return NULL;
}

static void task_end(MediaTask *task)
{
    task->volume->n_media--;
    task->volume->n_bytes -= task->seen.size;
    task->engine->n_media--;
    task->engine->media_done++;
    engine_changed(task->engine);
}

static void task_finish(MediaTask *task)
{
    pending_finish(&task->engine->pending, task->change, clock_now());
    (void)media_task_free(task);
}

/* The file is being changed, or cannot be had now: probe it again. */
static void task_again(MediaTask *task, uint64_t delay)
{
    if (task->change->tries++ >= TRIES_LIMIT)
        delay = task->engine->pending.waits[CHANGE_WAIT_CREATE];
    pending_wait(&task->engine->pending, task->change, clock_now() + delay);
    (void)media_task_free(task);
}

/* The row stays as it is, but the file that it was made from is no more: another one has its inode
 * number next, perhaps a copy with the same size and time. */
static void take_inode(const MediaTask *task)
{
    FileStamp stamp = task->stamp;
    StoreRow row = {.id = task->row_id,
                    .folder_id = task->folder_id,
                    .kind = task->media.kind,
                    .has_fingerprint = task->has_fingerprint,
                    .fingerprint = task->fingerprint};

    if (!row.id || !task->has_stamp || file_stamp_same_inode(&stamp, &task->seen))
        return;
    stamp.dev = task->seen.dev;
    stamp.ino = task->seen.ino;
    batch_add_stamp(task->engine, &row, &stamp);
}

/* lasting: it will be no better before the file changes, so until then it is not tried again. */
static void task_problem(MediaTask *task, const char *reason, bool lasting)
{
    CLEANUP_FREE char *dir = task->change->dir->detached ? NULL : node_path_new(task->change->dir);
    CLEANUP_FREE char *path = dir ? path_join(dir, task->change->name) : NULL;
    FileStamp stamp = lasting ? task->seen : (FileStamp){0};

    if (lasting && task->media.facts.stamp.ino != 0) {
        stamp.size = task->media.facts.stamp.size;
        stamp.mtime_ns = task->media.facts.stamp.mtime_ns;
    }
    if (path)
        engine_problem(task->engine, path, &stamp, reason);
    if (lasting)
        take_inode(task);
    task_finish(task);
}

/* Its writer may still be at work: nobody has said that the file is complete, and it is young. */
static bool may_be_unfinished(const MediaTask *task)
{
    struct timespec now;
    int64_t age;

    if (task->change->complete || clock_gettime(CLOCK_REALTIME, &now) < 0)
        return false;
    age = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - task->seen.mtime_ns;
    return age >= 0 && age < (int64_t)task->engine->pending.waits[CHANGE_WAIT_CREATE] * 1000;
}

static void task_write(MediaTask *task)
{
    Engine *engine = task->engine;
    Change *change = task->change;
    Write *write = batch_new(task->row_id ? STORE_OP_MEDIA_UPDATE : STORE_OP_MEDIA_ADD, change->dir,
                             change->name);

    if (!write) {
        task_again(task, CLOCK_US_PER_SEC);
        return;
    }
    if (task->row_id)
        edit_describe(task, &write->op);
    write->op.media = task->media.kind;
    write->op.id = STEAL_PTR(task->row_id);
    write->change = change;
    write->task = task;
    pending_set_state(&engine->pending, change, CHANGE_STATE_WRITING);
    batch_add(engine, write);
}

static void decoded(MediaJob *job)
{
    MediaTask *task = CONTAINER_OF(job, MediaTask, media);

    task_end(task);
    if (job->remote)
        close_job_submit(task->volume->worker, STEAL_FD(job->fd));
    task->volume = volume_release(task->volume);
    switch (job->status) {
    case MEDIA_STATUS_OK:
        task_write(task);
        return;
    case MEDIA_STATUS_CHANGED:
        task_again(task, task->engine->pending.waits[CHANGE_WAIT_SETTLE]);
        return;
    case MEDIA_STATUS_CANCELLED:
        if (task->engine->stopping)
            task_finish(task);
        else
            task_again(task, CLOCK_US_PER_SEC);
        return;
    default:
        if (may_be_unfinished(task))
            task_again(task, task->engine->pending.waits[CHANGE_WAIT_CREATE]);
        else
            task_problem(task, job->error[0] ? job->error : "cannot be decoded",
                         job->status != MEDIA_STATUS_UNREADABLE &&
                             !(job->status == MEDIA_STATUS_TIMEOUT && job->remote));
        return;
    }
}

/* EBUSY: the copy in memory could not be sealed at this moment, since the kernel still held pages
 * of it (F_SEAL_WRITE in fcntl(2)). */
static void open_failed(MediaTask *task)
{
    int error = task->open.error;

    if (task->open.changed)
        task_again(task, task->engine->pending.waits[CHANGE_WAIT_SETTLE]);
    else if (error == ENOENT || error == ENOTDIR || error == ESTALE || error == ELOOP ||
             error == EMFILE || error == ENFILE || error == EBUSY)
        task_again(task, SOON);
    else
        task_problem(task, strerror(error), error == EACCES || error == EPERM);
}

static void opened(WorkerJob *job)
{
    MediaTask *task = CONTAINER_OF(job, MediaTask, open.job);
    Volume *volume = task->volume;

    volume_answered(task->engine, volume);
    if (job->cancelled || task->engine->stopping) {
        task_end(task);
        task_finish(task);
        return;
    }
    if (task->open.error != 0) {
        task_end(task);
        open_failed(task);
        return;
    }
    volume->media_copied |= task->open.copied;
    task->media.fd = STEAL_FD(task->open.fd);
    task->media.volume = volume;
    task->media.remote = task->open.remote;
    task->media.has_stamp = task->open.copied;
    task->media.stamp = task->open.stamp;
    task->media.sidecar_fd = STEAL_FD(task->open.sidecar_fd);
    task->media.done = decoded;
    media_pool_submit(task->engine->media, &task->media);
}

/* Where the file is now; the task is one of the volume's users. */
static void task_find_volume(MediaTask *task)
{
    Volume *volume = volume_use(volume_of(task->engine, task->change->dir));

    (void)volume_release(task->volume);
    task->volume = volume;
}

/* False when it is over, one way or the other. */
static bool task_start(MediaTask *task)
{
    Engine *engine = task->engine;
    Change *change = task->change;

    task_find_volume(task); /* again: a mount may have changed */
    if (!task->volume) {
        task_finish(task);
        return false;
    }
    open_job_init(&task->open, opened);
    task->open.directory = node_path_new(change->dir);
    task->open.name = strdup(change->name);
    task->open.dev = change->dir->dev;
    task->open.ino = change->dir->ino;
    task->open.follow = change->dir->is_root;
    task->open.copy = task->media.kind == MEDIA_KIND_PHOTO; /* videos are too large */
    task->open.copy_max = engine->config->media_max_file_size;
    if (!task->open.directory || !task->open.name) {
        task_again(task, CLOCK_US_PER_SEC);
        return false;
    }
    engine->n_media++;
    task->volume->n_media++;
    task->volume->n_bytes += task->seen.size;
    volume_submit(engine, task->volume, &task->open.job);
    return true;
}

/*
 * reading_queue() - have the file of a change read
 * @row: the row that it will update, or NULL for a new one
 * @seen: what the probe saw
 *
 * The change is in state MEDIA until its facts are there.
 */
void reading_queue(Engine *engine, Change *change, const StoreRow *row, const FileStamp *seen)
{
    MediaTask *task = calloc(1, sizeof(*task));

    if (!task) {
        pending_wait(&engine->pending, change, clock_now() + CLOCK_US_PER_SEC);
        return;
    }
    change->overtaken = false;
    task->engine = engine;
    task->change = change;
    task->seen = *seen;
    task->open.fd = task->open.sidecar_fd = -1;
    task->media.kind = media_kind_of(change->name);
    task->media.fd = task->media.sidecar_fd = task->media.thumbnail_fd = -1;
    if (row) {
        task->row_id = strdup(row->id);
        task->folder_id = row->folder_id ? strdup(row->folder_id) : NULL;
        task->metadata = row->metadata ? strdup(row->metadata) : NULL;
        task->has_fingerprint = row->has_fingerprint;
        task->fingerprint = row->fingerprint;
        task->has_stamp = row->has_stamp;
        task->stamp = row->stamp;
        task->thumbnail = row->thumbnail_path && row->thumbnail_path[0] != '\0'
                              ? strdup(row->thumbnail_path)
                              : NULL;
    }
    pending_set_state(&engine->pending, change, CHANGE_STATE_MEDIA);
    task_find_volume(task);
    list_append(task->volume ? &task->volume->media_queue : &engine->media_queue, &task->link);
    engine->media_total++;
}

/* Thumbnails wait in memory for the store: when it cannot write, nothing more is decoded. */
static bool may_start(const Engine *engine, const Volume *volume)
{
    bool copies = volume->media_copied || volume->kind == MOUNT_KIND_REMOTE;

    return engine->n_writes < ENGINE_BATCH_MAX &&
           volume->n_media < media_pool_workers(engine->media) * 2 + 2 &&
           !(copies && volume->n_bytes >= COPIES_MAX);
}

static void start_tasks(Engine *engine, Volume *volume)
{
    ListNode *link;

    while (may_start(engine, volume) && (link = list_take(&volume->media_queue)))
        if (!task_start(CONTAINER_OF(link, MediaTask, link)))
            engine->media_done++;
}

/* reading_run() - open the next files, as many of each volume as keep the workers busy */
void reading_run(Engine *engine)
{
    bool waiting = false;

    for (ListNode *link; (link = list_take(&engine->media_queue)); engine->media_done++)
        task_finish(CONTAINER_OF(link, MediaTask, link));
    LIST_FOREACH (link, &engine->volumes.list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        start_tasks(engine, volume);
        waiting |= !list_is_empty(&volume->media_queue);
    }
    if (!waiting && engine->n_media == 0)
        engine->media_done = engine->media_total = 0;
}

static void clear(List *queue)
{
    for (ListNode *link; (link = list_take(queue));)
        task_finish(CONTAINER_OF(link, MediaTask, link));
}

void reading_clear(Engine *engine)
{
    clear(&engine->media_queue);
    LIST_FOREACH (link, &engine->volumes.list)
        clear(&CONTAINER_OF(link, Volume, link)->media_queue);
}
