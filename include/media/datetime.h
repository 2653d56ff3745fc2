#pragma once
/* Dates as PictoPy writes them: ISO 8601, local wall-clock time, no zone. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATETIME_TEXT_SIZE 32

bool datetime_parse_exif(const char *bytes, size_t size, char ret_text[DATETIME_TEXT_SIZE]);
bool datetime_parse_quicktime(const char *bytes, size_t size, char ret_text[DATETIME_TEXT_SIZE]);
bool datetime_from_epoch(int64_t seconds, char ret_text[DATETIME_TEXT_SIZE]);
bool datetime_from_mtime(int64_t mtime_ns, char ret_text[DATETIME_TEXT_SIZE]);
/* Is it a date of the form that the functions above write? */
bool datetime_is_valid(const char *text);
/* Between 1990 and two days from now: what a clock that was set would say. */
bool datetime_is_plausible(const char *text);
