#include "daemon/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "service/notify.h"
#include "util/clock.h"

#define REDRAW    (200 * CLOCK_US_PER_MS)
#define BAR_WIDTH 30
#define BAR_LEAST 20 /* photos: fewer are not worth a bar */

void progress_init(ProgressView *view)
{
    *view = (ProgressView){.terminal = isatty(STDERR_FILENO)};
}

void progress_clear(ProgressView *view)
{
    if (view->drawn)
        (void)fputs("\r\033[K", stderr);
    view->drawn = false;
}

static void draw(ProgressView *view, const EngineProgress *progress, uint64_t now)
{
    double seconds = (double)(now - view->begun) / (double)CLOCK_US_PER_SEC;
    double rate = seconds > 0 ? (double)progress->photos_done / seconds : 0;
    uint64_t left = progress->photos_total - progress->photos_done;
    unsigned full = (unsigned)(progress->photos_done * BAR_WIDTH / progress->photos_total);
    char bar[BAR_WIDTH + 1];

    for (unsigned i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "\r\033[K[%s] %llu of %llu photos, %.0f/s, %.0f s left", bar,
                  (unsigned long long)progress->photos_done,
                  (unsigned long long)progress->photos_total, rate,
                  rate > 0 ? (double)left / rate : 0.0);
    (void)fflush(stderr);
    view->drawn = true;
    view->shown = now;
}

static void show_bar(ProgressView *view, const EngineProgress *progress)
{
    uint64_t now = clock_now();

    if (progress->photos_total == 0) {
        view->begun = 0;
        progress_clear(view);
        return;
    }
    if (view->begun == 0)
        view->begun = now;
    if (view->terminal && progress->photos_total >= BAR_LEAST && now >= view->shown + REDRAW)
        draw(view, progress, now);
}

/* progress_show() - bring STATUS= and the bar up to date */
void progress_show(ProgressView *view, const EngineProgress *progress)
{
    show_bar(view, progress);
    if (!progress->database_connected)
        service_status("Waiting for the database");
    else if (!progress->ready)
        service_status("Starting: %llu folders watched",
                       (unsigned long long)progress->folders_watched);
    else if (progress->photos_total > 0)
        service_status("Importing: %llu of %llu photos", (unsigned long long)progress->photos_done,
                       (unsigned long long)progress->photos_total);
    else if (progress->roots_offline > 0)
        service_status("Watching %llu folders; %llu root(s) offline",
                       (unsigned long long)progress->folders_watched,
                       (unsigned long long)progress->roots_offline);
    else
        service_status("Watching %llu folders%s", (unsigned long long)progress->folders_watched,
                       progress->in_sync ? "; in sync" : "");
}
