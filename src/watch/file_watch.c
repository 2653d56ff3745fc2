/*
 * Watching one file
 *
 * PictoPy's database is written by other processes at any time, and asking SQLite every second
 * would wake an idle machine. Its directory is watched instead, on an inotify descriptor of its own
 * (what is asked for here, IN_MODIFY, is never asked for in a library). A commit in any journal
 * mode writes the file itself or one whose name begins with its name (-journal, -wal).
 *
 * A writer that goes on for long makes many events: after each the descriptor is left alone for a
 * moment, and then read to its end at once.
 */
#include "watch/file_watch.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/path.h"
#include "watch/event.h"

#define FILE_WATCH_MASK                                                                            \
    (IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define PAUSE_US (250 * CLOCK_US_PER_MS)

/* Reads all that is queued; true when some of it is about the file. */
static bool drain(FileWatch *watch)
{
    char buffer[8192] __attribute__((aligned(8)));
    size_t length = strlen(watch->name);
    bool concerned = false;
    ssize_t n;

    while ((n = read(watch->fd, buffer, sizeof(buffer))) > 0 || (n < 0 && errno == EINTR)) {
        size_t offset = 0;
        Event event;

        while (n > 0 && event_next(buffer, (size_t)n, &offset, &event) > 0) {
            concerned |= event.name[0] == '\0' || strncmp(event.name, watch->name, length) == 0;
            if (event.mask & (IN_IGNORED | IN_MOVE_SELF))
                __atomic_store_n(&watch->wd, -1, __ATOMIC_RELAXED);
        }
    }
    return concerned;
}

static void look(FileWatch *watch)
{
    if (!drain(watch))
        return;
    watch->paused = true;
    (void)loop_modify(&watch->source, 0);
    if (timer_arm_in(&watch->timer, PAUSE_US) < 0)
        watch->paused = false;
    watch->changed(watch);
}

static void dispatch(LoopSource *source, uint32_t events UNUSED)
{
    look(CONTAINER_OF(source, FileWatch, source));
}

static void pause_over(Timer *timer)
{
    FileWatch *watch = CONTAINER_OF(timer, FileWatch, timer);

    watch->paused = false;
    (void)loop_modify(&watch->source, EPOLLIN);
    look(watch);
}

/*
 * file_watch_init() - prepare to watch a file; nothing is watched before file_watch_attach()
 * @path: of the file; borrowed
 * @changed: called in the loop: at once after a quiet time, then at most four times a second
 *
 * 0 or a negative errno of inotify_init1(2).
 */
int file_watch_init(FileWatch *watch, Loop *loop, Timers *timers, const char *path,
                    void (*changed)(FileWatch *watch))
{
    int r;

    *watch = (FileWatch){.wd = -1, .name = (char *)path_name(path), .changed = changed};
    timer_init(&watch->timer, timers, pause_over);
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0)
        return error_errno();
    r = loop_add(loop, &watch->source, watch->fd, EPOLLIN, dispatch);
    if (r < 0) {
        (void)close(watch->fd);
        watch->fd = -1;
    }
    return error_trace(r);
}

/* file_watch_done() - end it; one that is zeroed or was not made is left alone */
void file_watch_done(FileWatch *watch)
{
    if (!watch->changed)
        return;
    timer_disarm(&watch->timer);
    loop_remove(&watch->source);
    if (watch->fd >= 0)
        (void)close(watch->fd);
    watch->fd = -1;
    watch->changed = NULL;
}

/*
 * file_watch_attach() - watch the directory, unless it is watched already
 *
 * Any thread. When it fails (the directory is missing, the limit of watches is reached)
 * file_watch_works() says so and the caller asks by the clock.
 */
void file_watch_attach(FileWatch *watch, const char *path)
{
    CLEANUP_FREE char *directory = path_parent(path);
    int wd;

    if (watch->fd < 0 || file_watch_works(watch) || !directory)
        return;
    wd = inotify_add_watch(watch->fd, directory, FILE_WATCH_MASK);
    __atomic_store_n(&watch->wd, wd, __ATOMIC_RELAXED);
}

bool file_watch_works(const FileWatch *watch)
{
    return __atomic_load_n(&watch->wd, __ATOMIC_RELAXED) >= 0;
}
