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
 * Memory is still shared, so only the descriptor for a child has to travel through a socket
 * (unix(7), SCM_RIGHTS). A child dies with this thread (PR_SET_PDEATHSIG means the thread,
 * prctl(2)), which ends with the process.
 */

#include "loop/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/error.h"

#define CHILD_FD        3
#define CHILD_EXIT_EXEC 127 /* as a shell's */

typedef struct SpawnRequest {
    const char *path;
    char *const *argv;
    bool has_fd; /* it is in the socket */
    pid_t parent;
    bool is_done;
    pid_t result; /* or a negative errno */
} SpawnRequest;

typedef struct Spawner {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a request came, or is done; is_ready was set */
    SpawnRequest *request;  /* borrowed, or NULL */
    bool is_ready;
    int error; /* positive errno of the thread's start; it has ended then */
    int ours;  /* the loop's end of the socket */
    /* Stays open in the other table too: its number must never be another file's there, which
     * would lead ThreadSanitizer astray. It takes the process for one table. */
    int its;
    pid_t owner; /* a process that was forked off has no such thread */
} Spawner;

static Spawner *spawner; /* never freed */

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
    if (fd == CHILD_FD) /* dup2() would do nothing, and leave CLOEXEC on it */
        fd = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FD + 1);
    if (request->has_fd && dup2(fd, CHILD_FD) < 0)
        _exit(CHILD_EXIT_EXEC);
    if (close_range(request->has_fd ? CHILD_FD + 1 : CHILD_FD, ~0U, 0) < 0)
        _exit(CHILD_EXIT_EXEC);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execv(request->path, request->argv);
    _exit(CHILD_EXIT_EXEC);
}

/* recvmsg(2) and close(2) past ThreadSanitizer, which would mix up the tables. -1 at failure. */
static int receive_fd(int socket)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {};
    char byte;
    struct iovec iov = {&byte, sizeof(byte)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    int fd = -1;

    if (syscall(SYS_recvmsg, socket, &msg, MSG_CMSG_CLOEXEC) == (long)sizeof(byte) &&
        CMSG_FIRSTHDR(&msg))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
    return fd;
}

static int close_between(int first, int last)
{
    return first <= last && close_range((unsigned)first, (unsigned)last, 0) < 0 ? errno : 0;
}

/* 0 or a positive errno: the table becomes the thread's own, with one socket in it. */
static int keep_only(int socket)
{
    int error = unshare(CLONE_FILES) < 0 ? errno : 0;

    if (error == 0)
        error = close_between(STDERR_FILENO + 1, socket - 1);
    return error == 0 ? close_between(socket + 1, INT_MAX) : error;
}

static pid_t serve(const SpawnRequest *request, int socket)
{
    int fd = request->has_fd ? receive_fd(socket) : -1;
    pid_t pid;

    if (request->has_fd && fd < 0)
        return -EMFILE;
    pid = fork();
    if (pid == 0)
        child_exec(request, fd);
    if (pid < 0)
        pid = -errno;
    if (fd >= 0)
        (void)close_between(fd, fd);
    return pid;
}

static void *spawner_main(void *argument)
{
    Spawner *self = argument;
    int error = keep_only(self->its);

    (void)pthread_mutex_lock(&self->lock);
    self->error = error;
    self->is_ready = true;
    (void)pthread_cond_signal(&self->changed);
    while (error == 0) { /* NOLINT(bugprone-infinite-loop): it lives as long as the process */
        SpawnRequest *request = STEAL_PTR(self->request);

        if (!request) {
            (void)pthread_cond_wait(&self->changed, &self->lock);
            continue;
        }
        request->result = serve(request, self->its); /* the other side only waits */
        request->is_done = true;
        (void)pthread_cond_signal(&self->changed);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* With all signals blocked: no handler runs here, nor in a child. */
static int start_thread(Spawner *self)
{
    pthread_attr_t detached;
    sigset_t all, old;
    pthread_t thread;
    int r;

    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &old);
    r = pthread_create(&thread, &detached, spawner_main, self);
    if (r == 0)
        (void)pthread_setname_np(thread, "spawner");
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&detached);
    return -r;
}

/* Waits until the thread has a table of its own. 0 or a negative errno. */
static int start(Spawner *self)
{
    int r;

    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->changed, NULL);
    r = start_thread(self);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&self->lock);
    while (!self->is_ready)
        (void)pthread_cond_wait(&self->changed, &self->lock);
    (void)pthread_mutex_unlock(&self->lock);
    return -self->error;
}

int spawner_init(void)
{
    Spawner *self;
    int fds[2];
    int r;

    if (spawner && spawner->owner == getpid())
        return 0;
    self = calloc(1, sizeof(*self));
    if (!self || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
        free(self);
        return error_errno();
    }
    self->ours = fds[0];
    self->its = fds[1];
    self->owner = getpid();
    r = start(self);
    if (r < 0)
        return error_trace(r); /* the thread may still hold its lock: it is left as it is */
    spawner = self;
    return 0;
}

static int send_fd(int socket, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {};
    char byte = 0;
    struct iovec iov = {&byte, sizeof(byte)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    do
        n = sendmsg(socket, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* spawner_spawn() - see the header; waits for the fork, not for the program. */
pid_t spawner_spawn(const char *path, char *const argv[], int fd)
{
    SpawnRequest request = {.path = path, .argv = argv, .has_fd = fd >= 0, .parent = getpid()};
    int r = spawner_init();

    if (r == 0 && fd >= 0)
        r = send_fd(spawner->ours, fd);
    if (r < 0)
        return error_trace(r);
    (void)pthread_mutex_lock(&spawner->lock);
    spawner->request = &request;
    (void)pthread_cond_signal(&spawner->changed);
    while (!request.is_done)
        (void)pthread_cond_wait(&spawner->changed, &spawner->lock);
    (void)pthread_mutex_unlock(&spawner->lock);
    return request.result;
}
