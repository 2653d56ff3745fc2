/*
 * What the service manager is told (sd_notify(3)). Without NOTIFY_SOCKET every call does nothing,
 * so the daemon runs the same from a terminal. The variable stays in the environment, because
 * sd_notify() looks it up each time; whoever starts a child process leaves it out there.
 *
 * Loop's thread only.
 */

#include "service/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"
#include "util/path.h"

static bool ready;        /* READY=1 is what the manager heard last */
static char *last_status; /* what it heard as STATUS= */

static void notify(const char *state)
{
    int r = sd_notify(0, state);

    if (r < 0)
        log_debug("Cannot notify the service manager, ignoring: %s", strerrordesc_np(-r));
}

/* service_under_systemd() - is there a service manager that wants to be told? */
bool service_under_systemd(void)
{
    const char *socket = getenv("NOTIFY_SOCKET");

    return socket && *socket;
}

/* service_ready() - READY=1, once after the start and once after each reload */
void service_ready(void)
{
    if (ready)
        return;
    ready = true;
    notify("READY=1");
}

/*
 * service_status() - the line that `systemctl status` shows; sent only when it changed
 *
 * Control bytes and bytes that are not UTF-8, for which systemd would drop the whole message, are
 * escaped. Returns whether it was sent.
 */
bool service_status(const char *format, ...)
{
    CLEANUP_FREE char *text = NULL, *line = NULL, *state = NULL;
    va_list args;
    int n;

    if (!service_under_systemd())
        return false;
    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        text = NULL;
        return false;
    }
    line = path_escape(text);
    if (!line || (last_status && strcmp(last_status, line) == 0))
        return false;
    if (asprintf(&state, "STATUS=%s", line) < 0) {
        state = NULL;
        return false;
    }
    notify(state);
    free(last_status);
    last_status = STEAL_PTR(line);
    return true;
}

/* service_reloading() - the configuration is being read again; service_ready() ends it */
void service_reloading(void)
{
    CLEANUP_FREE char *state = NULL;
    struct timespec now = {0};

    /* Type=notify-reload wants to know that this is newer than its own request. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (asprintf(&state, "RELOADING=1\nMONOTONIC_USEC=%llu",
                 (unsigned long long)now.tv_sec * CLOCK_US_PER_SEC +
                     (unsigned long long)now.tv_nsec / 1000) < 0) {
        state = NULL;
        return;
    }
    ready = false;
    notify(state);
}

/* service_stopping() - STOPPING=1 */
void service_stopping(void)
{
    notify("STOPPING=1");
}

/* service_main_pid() - MAINPID=: another process is the main one from now on */
void service_main_pid(pid_t pid)
{
    CLEANUP_FREE char *state = NULL;

    if (asprintf(&state, "MAINPID=%ld", (long)pid) < 0) {
        state = NULL;
        return;
    }
    notify(state);
}

/* service_extend_timeout() - the start (or stop) may take that much longer from now, microseconds
 */
void service_extend_timeout(uint64_t us)
{
    CLEANUP_FREE char *state = NULL;

    if (asprintf(&state, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)us) < 0) {
        state = NULL;
        return;
    }
    notify(state);
}

static void feed(Timer *timer)
{
    Watchdog *watchdog = CONTAINER_OF(timer, Watchdog, timer);

    notify("WATCHDOG=1");
    if (timer_arm_in(timer, watchdog->interval) < 0)
        log_error("Cannot feed the watchdog any more: out of memory");
}

/*
 * watchdog_init() - starts to feed the service manager's watchdog, if it has one for us
 * @watchdog: the caller's; ended with watchdog_done()
 * @timers: the loop's, so that a loop that hangs is noticed
 *
 * WATCHDOG_USEC is the longest silence that is forgiven; we speak twice as often. Returns 0, or a
 * negative errno when the timer cannot be armed.
 */
int watchdog_init(Watchdog *watchdog, Timers *timers)
{
    uint64_t limit = 0;
    int r = sd_watchdog_enabled(0, &limit);

    if (r < 0)
        log_warning("WATCHDOG_USEC cannot be understood, ignoring: %s", strerrordesc_np(-r));
    *watchdog = (Watchdog){.interval = r > 0 ? limit / 2 : 0};
    timer_init(&watchdog->timer, timers, feed);
    return watchdog->interval > 0 ? error_trace(timer_arm_in(&watchdog->timer, watchdog->interval))
                                  : 0;
}

/* watchdog_done() - stops feeding it */
void watchdog_done(Watchdog *watchdog)
{
    timer_disarm(&watchdog->timer);
}
