/*
 * The spawner: a thread that does nothing but fork.
 *
 * fork(2) copies the table of open descriptors, and the child has to close what it must not have,
 * itself or in execve(2). close(2) of a file on FUSE asks the file system and waits for the answer
 * (FUSE_FLUSH): as long as the daemon has one file of a dead mount open, every new process would
 * hang before it ran its program. unshare(2) gives a thread a table of its own. This thread's is
 * made and emptied at the start, when nothing can hang yet, and never holds more than its socket
 * and, for a moment, the descriptor for a new process.
 *
 * Requests are pointers, since memory is still shared; only the descriptor has to travel through
 * the socket (unix(7), SCM_RIGHTS). A child dies with this thread (PR_SET_PDEATHSIG means the
 * thread, prctl(2)), which ends with the process.
 */

#include "loop/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/error.h"

#define SPAWNER_FD      3 /* the socket, in the thread's table */
#define CHILD_FD        3
#define CHILD_EXIT_EXEC 127 /* as a shell's */

typedef struct SpawnRequest {
    const char *path;
    char *const *argv;
    pid_t parent;
    pid_t result; /* or a negative errno; written before the answer */
} SpawnRequest;

static int spawner = -1; /* the loop's end of the socket */
static pid_t owner;      /* a process that was forked off has no such thread */

/*
 * In the child. The daemon has other threads, whose locks may be held for ever in this copy of its
 * memory: only async-signal-safe calls are allowed until exec (signal-safety(7)).
 */
static _Noreturn void child_exec(const SpawnRequest *request, int fd)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    int null;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != request->parent)
        _exit(CHILD_EXIT_EXEC); /* the parent died before the call */
    for (int signo = 1; signo < NSIG; signo++)
        (void)sigaction(signo, &plain, NULL); /* refused for SIGKILL, SIGSTOP and libc's own */
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(CHILD_EXIT_EXEC);
    if (fd >= 0 && dup2(fd, CHILD_FD) < 0)
        _exit(CHILD_EXIT_EXEC);
    if (close_range(fd >= 0 ? CHILD_FD + 1 : CHILD_FD, ~0U, 0) < 0)
        _exit(CHILD_EXIT_EXEC);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execv(request->path, request->argv);
    _exit(CHILD_EXIT_EXEC);
}

/* A pointer to a request, and perhaps a descriptor. False: nobody asks any more. */
static bool receive_request(SpawnRequest **ret_request, int *ret_fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {};
    struct iovec iov = {ret_request, sizeof(*ret_request)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *c;
    ssize_t n;

    do
        n = recvmsg(SPAWNER_FD, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(*ret_request))
        return false;
    c = CMSG_FIRSTHDR(&msg);
    *ret_fd = -1;
    if (c)
        memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
    return true;
}

/* 0 or a positive errno: the table becomes the thread's own, with one socket in it. */
static int keep_only(int socket)
{
    if (unshare(CLONE_FILES) < 0)
        return errno;
    if (socket != SPAWNER_FD && dup3(socket, SPAWNER_FD, O_CLOEXEC) < 0)
        return errno;
    return close_range(SPAWNER_FD + 1, ~0U, 0) < 0 ? errno : 0;
}

static bool answer(int socket, int error)
{
    return send(socket, &error, sizeof(error), MSG_NOSIGNAL) == (ssize_t)sizeof(error);
}

static void *spawner_main(void *argument)
{
    int socket = (int)(intptr_t)argument;
    int error = keep_only(socket);
    SpawnRequest *request;
    int fd;

    if (error != 0) {
        (void)answer(socket, error);
        return NULL;
    }
    if (!answer(SPAWNER_FD, 0))
        return NULL;
    while (receive_request(&request, &fd)) {
        pid_t pid = fork();

        if (pid == 0)
            child_exec(request, fd);
        request->result = pid < 0 ? -errno : pid;
        if (fd >= 0)
            (void)close(fd);
        if (!answer(SPAWNER_FD, 0))
            break;
    }
    return NULL;
}

/* With all signals blocked: no handler runs here, nor in a child. */
static int start_thread(int socket)
{
    pthread_attr_t detached;
    sigset_t all, old;
    pthread_t thread;
    int r;

    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &old);
    r = pthread_create(&thread, &detached, spawner_main, (void *)(intptr_t)socket);
    if (r == 0)
        (void)pthread_setname_np(thread, "spawner");
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&detached);
    return -r;
}

/* 0 or a negative errno. */
static int receive_answer(int socket)
{
    int error;
    ssize_t n;

    do
        n = recv(socket, &error, sizeof(error), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n == (ssize_t)sizeof(error) ? -error : -ECONNRESET;
}

int spawner_init(void)
{
    CLEANUP_CLOSE int mine = -1;
    CLEANUP_CLOSE UNUSED int its = -1;
    int fds[2];
    int r;

    if (owner == getpid())
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return error_errno();
    mine = fds[0];
    its = fds[1];
    r = start_thread(its);
    if (r == 0)
        r = receive_answer(mine); /* it has its own copy of the other end now */
    if (r < 0)
        return error_trace(r);
    if (spawner >= 0)
        (void)close(spawner);
    spawner = STEAL_FD(mine);
    owner = getpid();
    return 0;
}

static int send_request(const SpawnRequest *request, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {};
    struct iovec iov = {&request, sizeof(request)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    do
        n = sendmsg(spawner, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* spawner_spawn() - see the header; waits for the fork, not for the program. */
pid_t spawner_spawn(const char *path, char *const argv[], int fd)
{
    SpawnRequest request = {.path = path, .argv = argv, .parent = getpid()};
    int r = spawner_init();

    if (r == 0)
        r = send_request(&request, fd);
    if (r == 0)
        r = receive_answer(spawner);
    return r < 0 ? error_trace(r) : request.result;
}
