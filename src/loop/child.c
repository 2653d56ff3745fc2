/*
 * Child processes. A child gets one descriptor to talk through and nothing else of the daemon: no
 * other descriptors, no blocked or ignored signals. It dies with the daemon.
 */

#include "loop/child.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "loop/spawner.h"
#include "util/error.h"

#define CHILD_REAP_MS 100

static void child_forget(Child *child)
{
    loop_remove(&child->source);
    if (child->pidfd >= 0)
        (void)close(child->pidfd);
    child->pidfd = -1;
    child->pid = 0;
}

/* The pidfd is readable: the process has ended. */
static void child_dispatch(LoopSource *source, uint32_t events UNUSED)
{
    Child *child = CONTAINER_OF(source, Child, source);
    int status;

    if (waitpid(child->pid, &status, WNOHANG) != child->pid)
        return;
    child_forget(child);
    child->exited(child, status);
}

/*
 * child_spawn() - start a program
 * @child: zeroed, or used before and not running; the owner's
 * @path: the program, not looked for in PATH
 * @argv: its arguments, argv[0] first, NULL at the end
 * @fd: becomes its descriptor 3, still open here; -1 = none
 * @exited: called in the loop's thread once the process has ended, with its wait status, see
 *          waitpid(2); the child may be spawned again from there
 *
 * The loop's thread only. A program that cannot be run shows as an exit with status 127.
 *
 * Return: 0 or a negative errno of fork(2), pidfd_open(2) and the like.
 */
int child_spawn(Child *child, Loop *loop, const char *path, char *const argv[], int fd,
                void (*exited)(Child *child, int status))
{
    pid_t pid;
    int r;

    assert(child->pid == 0);
    pid = spawner_spawn(path, argv, fd);
    if (pid < 0)
        return error_trace(pid);
    *child = (Child){.pid = pid, .pidfd = -1, .exited = exited};
    /* Only this module waits for it, so the number cannot belong to another process. */
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    r = child->pidfd < 0 ? -errno
                         : loop_add(loop, &child->source, child->pidfd, EPOLLIN, child_dispatch);
    if (r < 0)
        child_done(child);
    return error_trace(r);
}

/* child_kill() - SIGKILL; exited() comes when it is dead. One that is not running is left alone. */
void child_kill(Child *child)
{
    if (child->pid > 0)
        (void)kill(child->pid, SIGKILL);
}

/*
 * child_done() - kill it and forget it, without exited()
 *
 * Waits for its death, which is immediate unless it hangs in the kernel on a dead mount; after
 * 100 ms it is left behind as a zombie-to-be, which init reaps when the daemon has ended.
 */
void child_done(Child *child)
{
    struct pollfd ended = {.fd = child->pidfd, .events = POLLIN};

    if (child->pid == 0)
        return;
    child_kill(child);
    if (child->pidfd >= 0)
        (void)poll(&ended, 1, CHILD_REAP_MS);
    (void)waitpid(child->pid, NULL, WNOHANG);
    child_forget(child);
}
