/*
 * The worker process. It holds one socket and, while it works, the descriptors of one file; it
 * opens nothing, so whoever takes it over through a crafted photo gets no further than that photo,
 * and the pool kills and replaces it at the first sign of trouble.
 */

#include "media/pool.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "media/protocol.h"
#include "media/task.h"
#include "media/video.h"
#include "util/error.h"

/* Address space, bytes. The sanitizers map terabytes of shadow: no limit for them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WORKER_MEMORY_MAX RLIM_INFINITY
#else
#define WORKER_MEMORY_MAX ((rlim_t)4 << 30)
#endif
#define WORKER_FILES_MAX 32

static void limit(__rlimit_resource_t resource, rlim_t value)
{
    struct rlimit wanted = {value, value};
    struct rlimit now;

    if (getrlimit(resource, &now) == 0 && now.rlim_max < value)
        wanted.rlim_cur = wanted.rlim_max = now.rlim_max;
    (void)setrlimit(resource, &wanted);
}

/* Last chance to look at files: from here on only what comes through the socket. */
static void prepare(void)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_AS, WORKER_MEMORY_MAX);
    limit(RLIMIT_NOFILE, WORKER_FILES_MAX);
    /* Sent to the whole group by a terminal or a service manager: the pool decides when to go. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    tzset();
    video_init();
}

/* The wall around the worker (seccomp, landlock) goes up here, once everything is loaded. */
static void wall(void)
{
}

/* Whoever has answered gets the next job, so all that may hang comes before: close(2) on FUSE asks
 * the file system too. */
static int serve(int socket, const JobMessage *job, const int *fds, size_t n_fds)
{
    CLEANUP_CLOSE int thumbnail = -1;
    AnswerMessage message;
    MediaAnswer answer;

    task_run(job, fds[0], n_fds > 1 ? fds[1] : -1, &answer, &thumbnail);
    for (size_t i = 0; i < n_fds; i++)
        (void)close(fds[i]);
    protocol_init_answer(&message, job, &answer);
    return protocol_send(socket, &message, sizeof(message), &thumbnail, thumbnail >= 0);
}

static int say_hello(int socket)
{
    MessageHeader hello;

    protocol_init_hello(&hello);
    return protocol_send(socket, &hello, sizeof(hello), NULL, 0);
}

/* media_worker_main() - see the header. Failure is a protocol error, and the pool hears of it by
 * the end of the process. */
int media_worker_main(int fd)
{
    int fds[PROTOCOL_FDS_MAX];
    JobMessage job = {};
    size_t n_fds;

    prepare();
    wall();
    if (say_hello(fd) < 0)
        return EXIT_FAILURE;
    for (;;) {
        ssize_t n = protocol_receive(fd, &job, sizeof(job), fds, &n_fds);

        if (n == 0)
            return EXIT_SUCCESS;
        if (n < 0)
            return EXIT_FAILURE;
        if (!protocol_is_job(&job, (size_t)n, n_fds)) {
            for (size_t i = 0; i < n_fds; i++)
                (void)close(fds[i]);
            return EXIT_FAILURE;
        }
        if (serve(fd, &job, fds, n_fds) < 0)
            return EXIT_FAILURE;
    }
}
