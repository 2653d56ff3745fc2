/*
 * Child processes. A child gets one descriptor to talk through and nothing else of the daemon: no
 * other descriptors, no blocked or ignored signals. It dies with the thread that started it, since
 * PR_SET_PDEATHSIG means that thread and not the process (prctl(2)): so child_spawn() belongs in
 * the loop's thread, which lives as long as the daemon.
 */

#include "loop/child.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "util/error.h"

#define CHILD_FD        3
#define CHILD_EXIT_EXEC 127 /* as a shell's */
#define CHILD_REAP_MS   100

/* Everything the child needs between fork and exec, prepared by the parent. */
typedef struct ChildStart {
    const char *path;
    char *const *argv;
    int fd;
    int null;
    pid_t parent;
} ChildStart;

/*
 * In the child. The daemon has other threads, whose locks may be held for ever in this copy of its
 * memory: only async-signal-safe calls are allowed until exec (signal-safety(7)).
 */
static _Noreturn void child_exec(const ChildStart *start)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    int fd;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != start->parent)
        _exit(CHILD_EXIT_EXEC); /* the parent died before the call */
    for (int signo = 1; signo < NSIG; signo++)
        (void)sigaction(signo, &plain, NULL); /* refused for SIGKILL, SIGSTOP and libc's own */
    /* Above the places that are filled next; without CLOEXEC. */
    fd = start->fd < 0 ? -1 : fcntl(start->fd, F_DUPFD, CHILD_FD + 1);
    if (dup2(start->null, STDIN_FILENO) < 0 || dup2(start->null, STDOUT_FILENO) < 0)
        _exit(CHILD_EXIT_EXEC);
    if (start->fd >= 0 && dup2(fd, CHILD_FD) < 0)
        _exit(CHILD_EXIT_EXEC);
    if (close_range(start->fd >= 0 ? CHILD_FD + 1 : CHILD_FD, ~0U, 0) < 0)
        _exit(CHILD_EXIT_EXEC);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execv(start->path, start->argv);
    _exit(CHILD_EXIT_EXEC);
}

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

/* Forks with all signals blocked, so that no handler of the parent runs in the child. */
static pid_t child_fork(const ChildStart *start)
{
    sigset_t all, old;
    pid_t pid;
    int saved;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &old);
    pid = fork();
    if (pid == 0)
        child_exec(start);
    saved = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return pid;
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
    CLEANUP_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ChildStart start = {.path = path, .argv = argv, .fd = fd, .null = null, .parent = getpid()};
    int r;

    assert(child->pid == 0);
    if (null < 0)
        return error_errno();
    *child = (Child){.pidfd = -1, .exited = exited};
    child->pid = child_fork(&start);
    if (child->pid < 0) {
        child->pid = 0;
        return error_errno();
    }
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
