/* Time, and the text form of durations. */

#include "util/clock.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *suffix;
    uint64_t us;
} clock_units[] = {
    {"us", 1},
    {"ms", CLOCK_US_PER_MS},
    {"s", CLOCK_US_PER_SEC},
    {"", CLOCK_US_PER_SEC},
    {"min", 60 * CLOCK_US_PER_SEC},
    {"h", 3600 * CLOCK_US_PER_SEC},
    {"d", 86400 * CLOCK_US_PER_SEC},
};

/* clock_now() - microseconds since boot, suspends included (CLOCK_BOOTTIME); never goes back */
uint64_t clock_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * CLOCK_US_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* clock_until() - so many microseconds from now, for pthread_cond_clockwait(3) with CLOCK_MONOTONIC
 */
struct timespec clock_until(uint64_t us)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(us / CLOCK_US_PER_SEC);
    until.tv_nsec += (long)(us % CLOCK_US_PER_SEC * 1000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return until;
}

/*
 * clock_parse_duration() - read a duration such as "250ms"
 * @text: a whole number and, with or without a space between, one of us ms s min h d; a bare number
 *        means seconds. No sign, no decimals.
 * @ret_us: microseconds
 *
 * Return: false when it is no duration or more than 2^64 microseconds.
 */
bool clock_parse_duration(const char *text, uint64_t *ret_us)
{
    uint64_t value = 0;

    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text); text++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    while (*text == ' ')
        text++;
    for (size_t i = 0; i < sizeof(clock_units) / sizeof(clock_units[0]); i++)
        if (strcmp(text, clock_units[i].suffix) == 0 &&
            !__builtin_mul_overflow(value, clock_units[i].us, &value)) {
            *ret_us = value;
            return true;
        }
    return false;
}
