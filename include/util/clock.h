#pragma once
/* Time: CLOCK_BOOTTIME microseconds for waiting, so that a suspend counts as time that passed and
 * a clock that is set back does not matter. */

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_US_PER_MS  UINT64_C(1000)
#define CLOCK_US_PER_SEC UINT64_C(1000000)

uint64_t clock_now(void); /* microseconds of CLOCK_BOOTTIME */
struct timespec clock_until(uint64_t us);
/* "250ms", "2s", "1min", "6h", "7d", or a bare number of seconds, to microseconds. */
bool clock_parse_duration(const char *text, uint64_t *ret_us);
