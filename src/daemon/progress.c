#include "daemon/progress.h"

#include <stdio.h>

#include "service/notify.h"
#include "util/clock.h"
#include "util/log.h"

#define REDRAW      (200 * CLOCK_US_PER_MS)
#define BAR_WIDTH   30
#define BAR_LEAST   20                     /* photos: fewer are not worth a bar */
#define RATE_LEAST  (1 * CLOCK_US_PER_SEC) /* a rate of less than that is a guess */
#define DURATION    24                     /* bytes for "12 min" */
#define SECONDS(us) ((double)(us) / (double)CLOCK_US_PER_SEC)

void progress_init(ProgressView *view)
{
    *view = (ProgressView){.terminal = log_on_terminal()};
}

void progress_clear(ProgressView *view)
{
    if (view->drawn)
        (void)fputs("\r\033[K", stderr);
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

/* One write, since standard error has no buffer: a message of another thread comes before or after
 * it, and erases it when it comes after. */
static void draw(ProgressView *view, const EngineProgress *progress, uint64_t now)
{
    double rate = (double)progress->photos_done / SECONDS(now - view->begun);
    uint64_t left = progress->photos_total - progress->photos_done;
    int full = (int)(progress->photos_done * BAR_WIDTH / progress->photos_total);
    char speed[2 * DURATION + 16] = "", duration[DURATION];

    if (now >= view->begun + RATE_LEAST && progress->photos_done > 0) {
        print_duration((double)left / rate, duration);
        (void)snprintf(speed, sizeof(speed), ", %.0f/s, %s left", rate, duration);
    }
    (void)fprintf(stderr, "\r\033[K[%.*s%.*s] %llu of %llu photos%s", full,
                  "##############################", BAR_WIDTH - full,
                  "..............................", (unsigned long long)progress->photos_done,
                  (unsigned long long)progress->photos_total, speed);
    view->drawn = true;
    view->shown = now;
}

static void import_ended(ProgressView *view, uint64_t now)
{
    char duration[DURATION];

    progress_clear(view);
    if (view->begun > 0 && view->total >= BAR_LEAST) {
        print_duration(SECONDS(now - view->begun), duration);
        log_notice("%llu photos and videos read in %s", (unsigned long long)view->total, duration);
    }
    view->begun = 0;
}

static void show_bar(ProgressView *view, const EngineProgress *progress)
{
    uint64_t now = clock_now();

    if (progress->photos_total == 0) {
        import_ended(view, now);
        return;
    }
    if (view->begun == 0)
        view->begun = now;
    view->total = progress->photos_total;
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
