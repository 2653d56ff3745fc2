#pragma once
/*
 * A thread with a queue of jobs. The loop submits a job, the thread runs it, and the job comes back
 * to the loop through a mailbox. A job belongs to the worker from worker_submit() until its done()
 * is called in the loop's thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "loop/mailbox.h"

typedef struct Worker Worker;
typedef struct WorkerJob WorkerJob;

typedef enum WorkerPriority {
    WORKER_PRIORITY_HIGH, /* live changes */
    WORKER_PRIORITY_LOW,  /* scans; each job is short, a long scan is many jobs */
} WorkerPriority;

struct WorkerJob {
    MailboxItem item;
    Worker *worker; /* while it belongs to one */
    WorkerPriority priority;
    bool cancelled;                             /* the worker stopped before running it */
    void (*run)(WorkerJob *job, void *context); /* in the worker's thread */
    void (*done)(WorkerJob *job);               /* in the loop's thread, always called */
};

/* context is handed to each run(); name is the thread's name (at most 15 bytes).
 * The mailbox must have room for every job that can be under way. */
int worker_create(const char *name, void *context, Mailbox *mailbox, Worker **ret_worker);
/* No new jobs start; those not run come back cancelled. Does not wait. */
void worker_stop(Worker *worker);
/* Stops, waits at most timeout_us for the running job to end. A thread that does not end in time
 * (a dead network mount) is detached and its Worker leaked on purpose. Returns true when joined. */
bool worker_free(Worker *worker, uint64_t timeout_us);
/* The same for one without jobs, at once; false: it has not ended yet, to be tried again. */
bool worker_try_free(Worker *worker);

void worker_submit(Worker *worker, WorkerJob *job);
size_t worker_backlog(const Worker *worker); /* submitted and not yet done */
/* In a long run(): it is still at work, and not hung. */
void worker_alive(WorkerJob *job);
/* Microseconds since the current job began or was last alive; 0 when idle. For "hung". */
uint64_t worker_busy_for(Worker *worker);
