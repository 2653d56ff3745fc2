#pragma once
/* sd_notify(3): what the service manager is told. Without systemd every call does nothing. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop/timer.h"
#include "util/cleanup.h"

bool service_under_systemd(void); /* NOTIFY_SOCKET was set at start */
void service_ready(void);         /* READY=1, once */
/* Sent only when it changed: then true. */
bool service_status(const char *format, ...) FORMAT_PRINTF(1, 2);
void service_reloading(void); /* RELOADING=1 with MONOTONIC_USEC= */
void service_stopping(void);
void service_main_pid(pid_t pid);
void service_extend_timeout(uint64_t us); /* EXTEND_TIMEOUT_USEC= */

/* Feeds the watchdog from the loop, at half of WATCHDOG_USEC. */
typedef struct Watchdog {
    Timer timer;
    uint64_t interval; /* µs; 0 = no watchdog asked for */
} Watchdog;

int watchdog_init(Watchdog *watchdog, Timers *timers);
void watchdog_done(Watchdog *watchdog);
