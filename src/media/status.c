/* Results with a reason. */

#include "media/status.h"

#include <stdarg.h>
#include <stdio.h>

/* media_fail() - notes a reason and returns status, so that a caller can say it in one line. The
 * text is cut when it is too long. */
MediaStatus media_fail(MediaError *error, MediaStatus status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return status;
}

/* media_fail_memory() - running out of memory on one file is that file's problem: its worker has an
 * address space limit, so the system as a whole is not short. */
MediaStatus media_fail_memory(MediaError *error)
{
    return media_fail(error, MEDIA_STATUS_TOO_LARGE, "needs more memory than a worker may use");
}
