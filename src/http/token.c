/*
 * The shutdown token: whoever starts the service writes a secret into a file that only the user can
 * read, and names it in each request to end the service. The file is read at every request, because
 * it is written anew with each start of the app.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/handlers.h"
#include "util/log.h"

#define TOKEN_HEADER   "X-Shutdown-Token"
#define TOKEN_SIZE_MAX 1024

typedef struct Token {
    char bytes[TOKEN_SIZE_MAX + 1];
    size_t length;
} Token;

/* Reads until the buffer is full or the file ends; -1 on error. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t total = 0;

    while (total < size) {
        ssize_t n = read(fd, buffer + total, size - total);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        total += (size_t)n;
    }
    return (ssize_t)total;
}

/* The token's usual place is the shared /tmp, where anybody could have put a file of that name
 * first: only one of our own user's or root's counts. O_NONBLOCK, or a FIFO would hang the thread.
 * Returns NULL, or why there is no token. */
static const char *token_read(const char *file, Token *token)
{
    CLEANUP_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return strerrordesc_np(errno);
    if (!S_ISREG(st.st_mode))
        return "not a regular file";
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return "it belongs to another user";
    n = read_all(fd, token->bytes, sizeof(token->bytes));
    if (n < 0)
        return strerrordesc_np(errno);
    if (n > TOKEN_SIZE_MAX)
        return "it is too long";
    while (n > 0 && (token->bytes[n - 1] == '\n' || token->bytes[n - 1] == '\r'))
        n--;
    if (n == 0)
        return "it is empty";
    token->length = (size_t)n;
    return NULL;
}

/* Takes the same time wherever the first difference is. Only the length shows. */
static bool token_equals(const Token *token, const char *given)
{
    size_t length = strlen(given);
    volatile unsigned char difference = length != token->length;

    for (size_t i = 0; i < token->length; i++)
        difference =
            (unsigned char)(difference | (token->bytes[i] ^ given[length > 0 ? i % length : 0]));
    return difference == 0;
}

/*
 * http_token_check() - may this request end the daemon?
 * @file: where the token is; "" when none is asked for
 * @request: the request
 * @response: when false is returned: 401 without a token, 403 with a wrong one (or with several),
 *            503 when the file cannot be read, which must not mean that any token does
 */
bool http_token_check(const char *file, const HttpRequest *request, HttpResponse *response)
{
    const char *given = http_request_header(request, TOKEN_HEADER);
    const char *problem;
    Token token = {.length = 0};

    if (!*file)
        return true;
    if (!given) {
        http_response_detail(response, 401, "The %s header is missing", TOKEN_HEADER);
        return false;
    }
    problem = token_read(file, &token);
    if (problem) {
        log_warning("Cannot read the shutdown token %s: %s", file, problem);
        http_response_detail(response, 503, "The shutdown token cannot be read");
        return false;
    }
    if (http_request_count(request, TOKEN_HEADER) > 1 || !token_equals(&token, given)) {
        http_response_detail(response, 403, "Wrong shutdown token");
        return false;
    }
    return true;
}
