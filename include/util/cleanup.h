#pragma once
/* Attributes that free a variable when it leaves its scope, so that early returns stay safe. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* unused: clang warns of a variable that is only there to be cleaned up. */
#define CLEANUP(fn)              __attribute__((cleanup(fn), unused))
#define WARN_UNUSED              __attribute__((warn_unused_result))
#define FORMAT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED                   __attribute__((unused))

/* Defines fn##_p(), the cleanup attribute's form of a destructor that accepts NULL. */
#define CLEANUP_DEFINE(type, fn)                                                                   \
    static inline void fn##_p(type *p)                                                             \
    {                                                                                              \
        if (*p)                                                                                    \
            (void)fn(*p);                                                                          \
    }

static inline void cleanup_free_p(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close_p(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

CLEANUP_DEFINE(FILE *, fclose)
CLEANUP_DEFINE(DIR *, closedir)

#define CLEANUP_FREE  CLEANUP(cleanup_free_p)
#define CLEANUP_CLOSE CLEANUP(cleanup_close_p)

/* Takes the value out of a variable that would be cleaned up, and leaves NULL or -1 behind. */
#define STEAL_PTR(p)                                                                               \
    __extension__({                                                                                \
        __typeof__(p) steal_ptr_ = (p);                                                            \
        (p) = NULL;                                                                                \
        steal_ptr_;                                                                                \
    })
#define STEAL_FD(fd)                                                                               \
    __extension__({                                                                                \
        int steal_fd_ = (fd);                                                                      \
        (fd) = -1;                                                                                 \
        steal_fd_;                                                                                 \
    })
