#include "daemon/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/error.h"
#include "util/hash.h"
#include "util/path.h"

static int make_directories(const char *path)
{
    CLEANUP_FREE char *copy = strdup(path);

    if (!copy)
        return error_trace(-ENOMEM);
    for (char *at = strchr(copy + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            return error_errno();
        *at = '/';
    }
    return mkdir(copy, 0700) < 0 && errno != EEXIST ? error_errno() : 0;
}

/* A disk that is full or read-only, for now. */
static bool takes_nothing(int error)
{
    return error == EROFS || error == ENOSPC || error == EDQUOT;
}

/*
 * instance_lock() - make sure that no other daemon uses this state directory
 *
 * The directory is made when it is missing. The lock (flock(2)) ends with the process, however it
 * ends. Returns 0 and the descriptor that holds it, INSTANCE_E_RUNNING, or a negative errno.
 *
 * Where nothing can be written there is nothing to be kept apart either: the state is in memory
 * then. An older lock is taken as it is, else there is none and the descriptor is -1.
 */
int instance_lock(const char *state_directory, int *ret_fd)
{
    CLEANUP_FREE char *path = path_join(state_directory, "lock");
    CLEANUP_CLOSE int fd = -1;
    int r = path ? make_directories(state_directory) : -ENOMEM;

    if (r < 0 && !takes_nothing(-r))
        return error_trace(r);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && takes_nothing(errno)) {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
            *ret_fd = -1;
            return 0;
        }
    }
    if (fd < 0)
        return error_errno();
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? INSTANCE_E_RUNNING : error_errno();
    *ret_fd = STEAL_FD(fd);
    return 0;
}

/*
 * instance_claim() - make sure that no other daemon of this machine writes this database
 *
 * The claim is the name of an abstract unix(7) socket made from the database's path: it leaves no
 * file in PictoPy's directory and ends with the process. The database itself cannot be locked by
 * us: closing any descriptor of it would drop SQLite's locks (fcntl(2)). Returns 0 and the
 * descriptor that holds the claim, INSTANCE_E_RUNNING, or a negative errno.
 */
int instance_claim(const char *database_path, int *ret_fd)
{
    CLEANUP_FREE char *real = realpath(database_path, NULL);
    const char *path = real ? real : database_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int length;

    if (fd < 0)
        return error_errno();
    length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "pictopy-sync-%016llx",
                      (unsigned long long)hash_bytes(path, strlen(path), 0));
    if (bind(fd, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) < 0)
        return errno == EADDRINUSE ? INSTANCE_E_RUNNING : error_errno();
    *ret_fd = STEAL_FD(fd);
    return 0;
}
