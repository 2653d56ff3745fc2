/*
 * The stand-in
 *
 * A process is gone only when its last thread is, and a thread that waits for a dead mount is in
 * uninterruptible sleep: no signal ends it. A service manager that waits for such a process calls
 * the stop a failure after a minute, and cannot start another one meanwhile.
 *
 * So, as soon as there is a volume that may stop to answer, a small process that touches no disk
 * becomes the main one in the manager's eyes (MAINPID=, which is accepted from a running service
 * only, not in a stop). It passes signals on to the daemon and ends when the daemon says so, or is
 * gone. It has to be the manager's own child, or the manager would not hear of its end: so it is an
 * orphan by the time that it is named.
 *
 *     daemon ─▶ starter ─▶ stand-in        the starter ends; the manager inherits the stand-in
 *        ◀── its process id ──┘
 *        ─── exit status ────▶
 *
 * It stays for the life of the daemon. KillMode=process in the units lets a stop end with it.
 */
#include "service/stand_in.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/notify.h"
#include "util/error.h"
#include "util/log.h"

#define STAND_IN_FD 3

/* ---- the daemon's side ---- */

static void reap_starter(StandIn *stand_in)
{
    if (stand_in->starter > 0)
        (void)waitpid(stand_in->starter, NULL, 0); /* it ended before its child said its name */
    stand_in->starter = 0;
}

/* The stand-in says its process id; later only its end is seen. */
static void heard(LoopSource *source, uint32_t events UNUSED)
{
    StandIn *stand_in = CONTAINER_OF(source, StandIn, source);
    pid_t pid;

    if (read(stand_in->socket, &pid, sizeof(pid)) == sizeof(pid)) {
        reap_starter(stand_in);
        service_main_pid(pid);
        return;
    }
    log_warning("the process that stands in for this one has ended");
    loop_remove(&stand_in->source);
}

static int spawn(const char *program, int socket, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    char daemon[24];
    char name[] = "stand-in";
    char *argv[] = {(char *)program, name, daemon, NULL};
    int r;

    (void)snprintf(daemon, sizeof(daemon), "%ld", (long)getpid());
    r = posix_spawn_file_actions_init(&actions);
    if (r != 0)
        return error_trace(-r);
    /* dup2(2) also clears close-on-exec, unless the descriptor is that one already. */
    r = posix_spawn_file_actions_adddup2(&actions, socket, STAND_IN_FD);
    if (r == 0)
        r = posix_spawn(ret_pid, program, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error_trace(-r);
}

/*
 * stand_in_start() - have another process stand in for this one from now on
 * @program: this executable
 *
 * Failure is logged: a stop then takes as long as the manager waits.
 */
void stand_in_start(StandIn *stand_in, Loop *loop, const char *program)
{
    int sockets[2] = {-1, -1};
    int r = 0;

    if (stand_in->socket >= 0 || !service_under_systemd())
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        r = error_errno();
    if (r == 0)
        r = spawn(program, sockets[1], &stand_in->starter);
    if (r == 0)
        r = loop_add(loop, &stand_in->source, sockets[0], EPOLLIN, heard);
    if (sockets[1] >= 0)
        (void)close(sockets[1]);
    if (r < 0) {
        log_warning("no process can stand in for this one (%s), ignoring", strerror(-r));
        if (sockets[0] >= 0)
            (void)close(sockets[0]);
        return;
    }
    stand_in->socket = sockets[0];
}

/* stand_in_done() - the daemon ends: so does the stand-in, with the same exit status */
void stand_in_done(StandIn *stand_in, int code)
{
    if (stand_in->socket < 0)
        return;
    loop_remove(&stand_in->source);
    reap_starter(stand_in);
    (void)send(stand_in->socket, &code, sizeof(code), MSG_NOSIGNAL);
    (void)close(stand_in->socket);
    stand_in->socket = -1;
}

/* ---- the stand-in ---- */

static int signals_open(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    for (int signo = 1; signo < NSIG; signo++)
        if (signo == SIGTERM || signo == SIGINT || signo == SIGHUP || signo == SIGQUIT ||
            signo == SIGABRT || signo == SIGUSR1 || signo == SIGUSR2)
            (void)sigaddset(&set, signo);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* True: the manager has given the daemon up (its watchdog), and so do we. */
static bool pass_on(int signals, pid_t daemon)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof(info)) != sizeof(info))
        return false;
    (void)kill(daemon, (int)info.ssi_signo);
    return info.ssi_signo == SIGABRT;
}

static int stand(int socket, int signals, pid_t daemon)
{
    struct pollfd polled[] = {{.fd = socket, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    int code;

    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return EXIT_FAILURE;
        if (polled[1].revents && pass_on(signals, daemon))
            return EXIT_FAILURE;
        if (polled[0].revents) /* a daemon that is gone without a word has crashed */
            return recv(socket, &code, sizeof(code), 0) == sizeof(code) ? code : EXIT_FAILURE;
    }
}

/*
 * stand_in_main() - the whole life of the stand-in, and of its starter
 * @socket: to the daemon
 * @daemon: its process id
 *
 * Returns the exit status.
 */
int stand_in_main(int socket, pid_t daemon)
{
    int signals = signals_open();
    pid_t starter = getpid();
    pid_t pid;

    if (signals < 0)
        return EXIT_FAILURE;
    pid = fork();
    if (pid != 0)
        return pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    (void)prctl(PR_SET_NAME, "pictopy-standin");
    while (getppid() == starter) /* until then we are not the manager's child */
        (void)poll(NULL, 0, 1);
    pid = getpid();
    if (send(socket, &pid, sizeof(pid), MSG_NOSIGNAL) != sizeof(pid))
        return EXIT_FAILURE;
    return stand(socket, signals, daemon);
}
