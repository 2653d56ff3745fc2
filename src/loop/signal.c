/*
 * Signals as a loop source. They are blocked in every thread, so that no handler ever interrupts
 * anything, and read from a signalfd(2).
 */

#include "loop/signal.h"

#include <pthread.h>
#include <sys/signalfd.h>

#include "util/error.h"

static void signal_set(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
}

/*
 * signal_block() - block what the signal source reads, and ignore SIGPIPE
 *
 * Call it before any thread is started: threads inherit the mask, and a thread without it would be
 * killed in the loop's stead. Child processes get a clean slate from child_spawn().
 *
 * Return: 0 or a negative errno.
 */
int signal_block(void)
{
    sigset_t set;
    int r;

    signal_set(&set);
    r = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (r != 0)
        return error_trace(-r);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return error_errno();
    return 0;
}

static void signal_dispatch(LoopSource *loop_source, uint32_t events UNUSED)
{
    SignalSource *source = CONTAINER_OF(loop_source, SignalSource, source);
    struct signalfd_siginfo info;

    /* One a round: received() may end the source. */
    if (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        source->received(source, (int)info.ssi_signo);
}

/*
 * signal_source_init() - receive SIGTERM, SIGINT and SIGHUP in the loop
 * @received: called with the signal's number
 *
 * Return: 0 or a negative errno.
 */
int signal_source_init(SignalSource *source, Loop *loop,
                       void (*received)(SignalSource *source, int signo))
{
    CLEANUP_CLOSE int fd = -1;
    sigset_t set;
    int r;

    signal_set(&set);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return error_errno();
    *source = (SignalSource){.fd = fd, .received = received};
    r = loop_add(loop, &source->source, fd, EPOLLIN, signal_dispatch);
    if (r < 0)
        return error_trace(r);
    (void)STEAL_FD(fd);
    return 0;
}

/* signal_source_done() - stop receiving; the signals stay blocked. Also for a zeroed source. */
void signal_source_done(SignalSource *source)
{
    if (!source->source.loop)
        return;
    loop_remove(&source->source);
    (void)close(source->fd);
    source->fd = -1;
}
