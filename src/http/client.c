/* A client as small as can be, for `pictopy-sync status`: one GET, one answer, end of connection.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "http/address.h"
#include "http/server.h"
#include "util/error.h"
#include "util/text.h"

#define CLIENT_TIMEOUT_SEC 5
#define ANSWER_MAX         (64 * 1024 * 1024) /* a list of some 200,000 folders */

static int connect_to(const HttpAddress *address, int *ret_fd)
{
    struct timeval timeout = {.tv_sec = CLIENT_TIMEOUT_SEC};
    CLEANUP_CLOSE int fd =
        socket(address->ip.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

    if (fd < 0)
        return -errno;
    /* The time-out for sending is also that of connect(2) (socket(7)). */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
        return -errno;
    if (connect(fd, &address->ip.any, address->length) < 0)
        return -errno;
    *ret_fd = STEAL_FD(fd);
    return 0;
}

/* localhost may be served on either address. */
static int connect_any(const HttpAddress *address, int *ret_fd)
{
    HttpAddress v6 = http_address_with(address, address->port, true);
    int r = connect_to(address, ret_fd);

    if (r == -ECONNREFUSED && address->is_localhost && connect_to(&v6, ret_fd) == 0)
        return 0;
    return r;
}

static int send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            length -= (size_t)n;
        }
    }
    return 0;
}

static int receive_all(int fd, Text *answer)
{
    char buffer[16 * 1024];

    while (answer->length <= ANSWER_MAX) {
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (n == 0)
            return answer->failed ? -ENOMEM : 0;
        text_append_bytes(answer, buffer, (size_t)n);
    }
    return -EMSGSIZE;
}

/* The length that the header promises; SIZE_MAX when it does not say. */
static size_t promised_length(const char *header, const char *end)
{
    static const char name[] = "\r\nContent-Length:";
    const char *line = strcasestr(header, name);

    return line && line < end ? strtoul(line + strlen(name), NULL, 10) : SIZE_MAX;
}

/* "HTTP/1.1 200 …": the number; 0 when it is not that. */
static int parse_status(const char *answer)
{
    int status = 0;

    if (strncmp(answer, "HTTP/1.1 ", 9) != 0 && strncmp(answer, "HTTP/1.0 ", 9) != 0)
        return 0;
    for (int i = 9; i < 12; i++) {
        if (answer[i] < '0' || answer[i] > '9')
            return 0;
        status = status * 10 + (answer[i] - '0');
    }
    return answer[12] == ' ' ? status : 0;
}

static int split_answer(const Text *answer, int *ret_status, char **ret_body)
{
    const char *end = answer->length > 0 ? strstr(answer->data, "\r\n\r\n") : NULL;
    size_t length, promised;
    int status = end ? parse_status(answer->data) : 0;
    char *body;

    if (status == 0)
        return -EPROTO;
    length = answer->length - (size_t)(end + 4 - answer->data);
    promised = promised_length(answer->data, end);
    if (promised != SIZE_MAX && promised != length)
        return -EPROTO; /* cut off */
    body = strndup(end + 4, length);
    if (!body)
        return -ENOMEM;
    *ret_status = status;
    *ret_body = body;
    return 0;
}

static int http_request(const char *method, const char *listen, const char *path, int *ret_status,
                        char **ret_body)
{
    CLEANUP(text_done) Text request = {0};
    CLEANUP(text_done) Text answer = {0};
    CLEANUP_CLOSE int fd = -1;
    HttpAddress address;
    int r;

    if (http_address_parse(listen, &address) || address.port == 0)
        return -EINVAL;
    r = connect_any(&address, &fd);
    if (r < 0)
        return r;
    text_printf(&request,
                "%s %s HTTP/1.1\r\nHost: localhost:%u\r\nContent-Length: 0\r\n"
                "Connection: close\r\n\r\n",
                method, path, address.port);
    if (request.failed)
        return -ENOMEM;
    r = send_all(fd, request.data, request.length);
    if (r == 0)
        r = receive_all(fd, &answer);
    return r < 0 ? r : split_answer(&answer, ret_status, ret_body);
}

/*
 * http_get() - asks a running daemon
 * @listen: its http.listen
 * @path: the path, with a query if need be
 * @ret_status: the status code
 * @ret_body: the body, zero-terminated; the caller frees
 *
 * Blocks, a few seconds at most while nothing comes. Returns 0 with any status, -ECONNREFUSED when
 * nobody listens, -EINVAL for an address or port that cannot be asked, -EPROTO for an answer that
 * is not HTTP, another negative errno for what else failed.
 */
int http_get(const char *listen, const char *path, int *ret_status, char **ret_body)
{
    return http_request("GET", listen, path, ret_status, ret_body);
}

/* http_post() - the same for a POST without a body */
int http_post(const char *listen, const char *path, int *ret_status, char **ret_body)
{
    return http_request("POST", listen, path, ret_status, ret_body);
}
