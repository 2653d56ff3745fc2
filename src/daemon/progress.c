/*
 * How far the daemon is
 *
 * One line for the service manager (STATUS=): what it is doing now, then what is not as it should
 * be. It is sent when it differs, and not more often than five times a second. On a terminal the
 * first import is a bar instead.
 */
#include "daemon/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "service/notify.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

#define BAR_WIDTH   30
#define BAR_LEAST   20                     /* photos: fewer are not worth a bar */
#define RATE_LEAST  (1 * CLOCK_US_PER_SEC) /* a rate of less than that is a guess */
#define DURATION    24                     /* bytes for "12 min" */
#define SPEED       (2 * DURATION + 16)    /* bytes for ", 120/s, 12 min left" */
#define SECONDS(us) ((double)(us) / (double)CLOCK_US_PER_SEC)

static const char erase[] = "\r\033[K";

void progress_init(ProgressView *view)
{
    *view = (ProgressView){.terminal = log_on_terminal()};
}

void progress_clear(ProgressView *view)
{
    if (view->drawn)
        log_draw_stderr(erase, strlen(erase));
    view->drawn = false;
}

/* "40 s", "12 min", "3 h 5 min": as exact as it is worth. */
static void print_duration(double seconds, char text[DURATION])
{
    unsigned minutes = (unsigned)(seconds / 60 + 0.5);

    if (seconds < 10)
        (void)snprintf(text, DURATION, "%.1f s", seconds);
    else if (seconds < 100)
        (void)snprintf(text, DURATION, "%.0f s", seconds);
    else if (minutes < 100)
        (void)snprintf(text, DURATION, "%u min", minutes);
    else
        (void)snprintf(text, DURATION, "%u h %u min", minutes / 60, minutes % 60);
}

/* How fast the import is and how long it will take; "" while that would be a guess. */
static void print_speed(const ProgressView *view, const EngineProgress *progress, uint64_t now,
                        char text[SPEED])
{
    double rate = (double)progress->photos_done / SECONDS(now - view->begun);
    uint64_t left = progress->photos_total - progress->photos_done;
    char duration[DURATION];

    text[0] = '\0';
    if (view->begun == 0 || now < view->begun + RATE_LEAST || progress->photos_done == 0)
        return;
    print_duration((double)left / rate, duration);
    (void)snprintf(text, SPEED, ", %.0f/s, %s left", rate, duration);
}

/* ---- the bar ---- */

/* One write: a message of another thread comes before or after it, and erases it when it comes
 * after. */
static void draw(ProgressView *view, const EngineProgress *progress, uint64_t now)
{
    int full = (int)(progress->photos_done * BAR_WIDTH / progress->photos_total);
    CLEANUP(text_done) Text bar = {0};
    char speed[SPEED];

    print_speed(view, progress, now, speed);
    text_printf(&bar, "%s[%.*s%.*s] %" PRIu64 " of %" PRIu64 " photos%s", erase, full,
                "##############################", BAR_WIDTH - full,
                "..............................", progress->photos_done, progress->photos_total,
                speed);
    if (!bar.failed)
        log_draw_stderr(bar.data, bar.length);
    view->drawn = true;
    view->shown = now;
}

static void import_ended(ProgressView *view, uint64_t now)
{
    char duration[DURATION];

    progress_clear(view);
    if (view->begun > 0 && view->total >= BAR_LEAST) {
        print_duration(SECONDS(now - view->begun), duration);
        log_notice("%" PRIu64 " photos and videos read in %s", view->total, duration);
    }
    view->begun = 0;
}

static void show_bar(ProgressView *view, const EngineProgress *progress, uint64_t now)
{
    if (progress->photos_total == 0) {
        import_ended(view, now);
        return;
    }
    if (view->begun == 0)
        view->begun = now;
    view->total = progress->photos_total;
    if (view->terminal && progress->photos_total >= BAR_LEAST &&
        now >= view->shown + PROGRESS_INTERVAL)
        draw(view, progress, now);
}

/* ---- the line ---- */

static void append_work(const ProgressView *view, const EngineProgress *progress, uint64_t now,
                        Text *out)
{
    char speed[SPEED];

    if (!progress->ready) {
        text_printf(out, "Starting: watching %" PRIu64 " folders so far",
                    progress->folders_watched);
    } else if (progress->photos_total > 0) {
        print_speed(view, progress, now, speed);
        text_printf(out, "Importing: %" PRIu64 " of %" PRIu64 " photos%s", progress->photos_done,
                    progress->photos_total, speed);
    } else if (progress->scanning) {
        text_printf(out, "Comparing: %" PRIu64 " folders so far", progress->folders_scanned);
    } else {
        text_printf(out, "Watching %" PRIu64 " folders", progress->folders_watched);
    }
}

/* What the reader may want to do something about; all of it is in /watcher/status too. */
static void append_trouble(const EngineProgress *progress, Text *out)
{
    if (progress->limit_reached)
        text_printf(out, "; limit of watches reached: %" PRIu64 " of %" PRIu64,
                    progress->folders_watched, progress->watch_limit);
    if (progress->folders_polled > 0)
        text_printf(out, "; %" PRIu64 " polled", progress->folders_polled);
    if (progress->roots_offline > 0)
        text_printf(out, "; %" PRIu64 " root(s) offline", progress->roots_offline);
    if (progress->roots_hung > 0)
        text_printf(out, "; %" PRIu64 " root(s) do not answer", progress->roots_hung);
}

/*
 * progress_line() - what is going on, in one line
 * @now: clock_now()
 * @out: appended to
 */
void progress_line(const ProgressView *view, const EngineProgress *progress, uint64_t now,
                   Text *out)
{
    if (!progress->database_connected) {
        text_append(out, "Waiting for the database");
        return;
    }
    append_work(view, progress, now, out);
    append_trouble(progress, out);
    if (progress->in_sync)
        text_append(out, "; in sync");
}

/*
 * progress_show() - bring STATUS= and the bar up to date
 *
 * Returns false when it is too early for another line: the caller comes again.
 */
bool progress_show(ProgressView *view, const EngineProgress *progress)
{
    CLEANUP(text_done) Text line = {0};
    uint64_t now = clock_now();

    show_bar(view, progress, now);
    if (view->told > 0 && now < view->told + PROGRESS_INTERVAL)
        return false;
    progress_line(view, progress, now, &line);
    if (!line.failed && service_status("%s", line.data))
        view->told = now;
    return true;
}
