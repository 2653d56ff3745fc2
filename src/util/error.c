/* Tracing of fatal errors: the debug log shows the way that a negative result climbed. */

#include "util/error.h"

#include <string.h>

#include "util/log.h"

/*
 * error_trace_at() - leave a line in the debug log for a fatal result
 * @r: the result; only a negative errno is logged
 * @file, @line, @function: the place, filled in by error_trace()
 *
 * May be called from any thread; errno is kept.
 *
 * Return: r, so that it can stand in a return statement.
 */
int error_trace_at(int r, const char *file, int line, const char *function)
{
    int saved = errno;

    if (r < 0)
        log_debug("%s (%s:%d): %s", function, file, line, strerrordesc_np(-r) ?: "unknown error");
    errno = saved;
    return r;
}
