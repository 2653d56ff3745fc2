/* civetweb keeps its sockets to itself: it does not say why it could not listen, and it does not
 * wake its threads when it is to stop. Both can be had from outside. */

#include "http/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/cleanup.h"

#define FDS_TRIED 65536

/*
 * http_sockets_probe() - why can this address not be listened on?
 *
 * Tries it, with SO_REUSEADDR as civetweb does, so that connections of an earlier run in TIME_WAIT
 * are no obstacle. Returns 0 when it works now, else the negative errno of what failed.
 */
int http_sockets_probe(const HttpAddress *address)
{
    CLEANUP_CLOSE int fd =
        socket(address->ip.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    int on = 1;

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, &address->ip.any, address->length) < 0 || listen(fd, 1) < 0)
        return -errno;
    return 0;
}

static bool is_on_port(int fd, unsigned port)
{
    HttpAddress own = {0};

    own.length = sizeof(own.ip);
    if (getsockname(fd, &own.ip.any, &own.length) < 0)
        return false;
    if (own.ip.any.sa_family == AF_INET)
        return ntohs(own.ip.v4.sin_port) == port;
    return own.ip.any.sa_family == AF_INET6 && ntohs(own.ip.v6.sin6_port) == port;
}

/*
 * http_sockets_shutdown() - ends all talk on a port of ours
 * @port: the one the server listens on
 *
 * Threads that wait in poll(2) for a client, or for a new one (shutdown(2) of a listening socket),
 * wake up at once. The descriptors stay open and civetweb's. One that it closes meanwhile may be a
 * new file by the time of the shutdown(); only another socket on this very port could be hurt, and
 * those are civetweb's too.
 */
void http_sockets_shutdown(unsigned port)
{
    CLEANUP(closedir_p) DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char *end;
        long fd = strtol(entry->d_name, &end, 10);

        if (end != entry->d_name && *end == '\0' && is_on_port((int)fd, port))
            (void)shutdown((int)fd, SHUT_RDWR);
    }
    /* No descriptor is left for it: then by their numbers. */
    for (int fd = 0; !dir && fd < FDS_TRIED; fd++)
        if (is_on_port(fd, port))
            (void)shutdown(fd, SHUT_RDWR);
}
