/*
 * Dates. PictoPy writes them with Python's datetime.isoformat(), parses EXIF's with strptime() and
 * makes file times with datetime.fromtimestamp(). What those accept, and how they round, is
 * repeated here.
 */

#include "media/datetime.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EARLIEST_PLAUSIBLE "1990-01-01T00:00:00"
#define FUTURE_TOLERANCE   (2 * 24 * 3600) /* seconds */

/* A text that is being parsed; pos never passes end. */
typedef struct Scanner {
    const char *pos;
    const char *end;
} Scanner;

typedef struct Parts {
    unsigned year, month, day, hour, minute, second;
} Parts;

/* What Python's str.strip() and \s take as white space below U+0100. */
static bool is_space(char c)
{
    unsigned char u = (unsigned char)c;

    return u == ' ' || (u >= 0x09 && u <= 0x0d) || (u >= 0x1c && u <= 0x1f) || u == 0x85 ||
           u == 0xa0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static Scanner stripped(const char *bytes, size_t size)
{
    Scanner s = {bytes, bytes + size};

    while (s.pos < s.end && is_space(*s.pos))
        s.pos++;
    while (s.pos < s.end && is_space(s.end[-1]))
        s.end--;
    return s;
}

static bool take_char(Scanner *s, char c)
{
    if (s->pos == s->end || *s->pos != c)
        return false;
    s->pos++;
    return true;
}

static bool take_spaces(Scanner *s)
{
    const char *start = s->pos;

    while (s->pos < s->end && is_space(*s->pos))
        s->pos++;
    return s->pos > start;
}

/* A number of at most max_digits digits; one with fewer than min_digits does not count. */
static bool take_number(Scanner *s, unsigned min_digits, unsigned max_digits, unsigned min,
                        unsigned max, unsigned *ret_value)
{
    unsigned value = 0;
    unsigned digits = 0;

    while (digits < max_digits && s->pos < s->end && is_digit(*s->pos)) {
        value = value * 10 + (unsigned)(*s->pos++ - '0');
        digits++;
    }
    if (digits < min_digits || value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

static bool take_date(Scanner *s, char separator, Parts *parts)
{
    if (!take_number(s, 4, 4, 1, 9999, &parts->year) || !take_char(s, separator) ||
        !take_number(s, 1, 2, 1, 12, &parts->month) || !take_char(s, separator))
        return false;
    /* strptime's %d alone takes a day with a leading space */
    if (s->end - s->pos >= 2 && s->pos[0] == ' ' && is_digit(s->pos[1])) {
        s->pos++;
        return take_number(s, 1, 1, 1, 9, &parts->day);
    }
    return take_number(s, 1, 2, 1, 31, &parts->day);
}

static bool take_time(Scanner *s, Parts *parts)
{
    return take_number(s, 1, 2, 0, 23, &parts->hour) && take_char(s, ':') &&
           take_number(s, 1, 2, 0, 59, &parts->minute) && take_char(s, ':') &&
           take_number(s, 1, 2, 0, 59, &parts->second);
}

static unsigned days_of_month(unsigned year, unsigned month)
{
    static const unsigned days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month];
}

static bool write_parts(const Parts *p, char ret_text[DATETIME_TEXT_SIZE])
{
    if (p->day > days_of_month(p->year, p->month))
        return false;
    (void)snprintf(ret_text, DATETIME_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u", p->year % 10000,
                   p->month % 100, p->day % 100, p->hour % 100, p->minute % 100, p->second % 100);
    return true;
}

/*
 * datetime_parse_exif() - "YYYY:MM:DD HH:MM:SS" to ISO 8601
 *
 * As PictoPy does it: Pillow takes one terminating zero off, white space is stripped, the rest is
 * cut at the first zero, and all of it has to match. A field may lack its leading zero.
 */
bool datetime_parse_exif(const char *bytes, size_t size, char ret_text[DATETIME_TEXT_SIZE])
{
    const char *zero;
    Parts parts;
    Scanner s;

    if (size > 0 && bytes[size - 1] == '\0')
        size--;
    s = stripped(bytes, size);
    zero = memchr(s.pos, '\0', (size_t)(s.end - s.pos));
    if (zero)
        s.end = zero;
    if (!take_date(&s, ':', &parts) || !take_spaces(&s) || !take_time(&s, &parts) || s.pos != s.end)
        return false;
    return write_parts(&parts, ret_text);
}

/* Python's %z: Z, or a sign and hours and minutes, and perhaps seconds, with or without colons. */
static bool take_zone(Scanner *s)
{
    unsigned ignored;

    if (take_char(s, 'Z'))
        return true;
    if (!take_char(s, '+') && !take_char(s, '-'))
        return false;
    if (!take_number(s, 2, 2, 0, 23, &ignored))
        return false;
    (void)take_char(s, ':');
    if (!take_number(s, 2, 2, 0, 59, &ignored))
        return false;
    if (s->pos == s->end)
        return true;
    (void)take_char(s, ':');
    return take_number(s, 2, 2, 0, 59, &ignored);
}

/*
 * datetime_parse_quicktime() - "2025-08-07T13:02:02+0530" to ISO 8601
 *
 * The zone is dropped: what is kept is the time that the clock showed where the video was made, as
 * EXIF has it for photos. A fraction is dropped too.
 */
bool datetime_parse_quicktime(const char *bytes, size_t size, char ret_text[DATETIME_TEXT_SIZE])
{
    unsigned fraction;
    Parts parts;
    Scanner s;

    while (size > 0 && bytes[size - 1] == '\0')
        size--;
    s = stripped(bytes, size);
    if (!take_date(&s, '-', &parts) || !take_char(&s, 'T') || !take_time(&s, &parts))
        return false;
    if (take_char(&s, '.')) {
        if (!take_number(&s, 1, 6, 0, 999999, &fraction) || !take_zone(&s))
            return false;
    } else if (s.pos != s.end && !take_zone(&s)) {
        return false;
    }
    return s.pos == s.end && write_parts(&parts, ret_text);
}

/*
 * datetime_from_epoch() - Unix seconds to local wall-clock time
 *
 * The zone is the process's (TZ or /etc/localtime; tzset(3) must have run before files are out of
 * reach). False outside the years 1 to 9999, which Python's datetime has not.
 */
bool datetime_from_epoch(int64_t seconds, char ret_text[DATETIME_TEXT_SIZE])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    Parts parts;

    if (!localtime_r(&t, &tm) || tm.tm_year < 1 - 1900 || tm.tm_year > 9999 - 1900)
        return false;
    parts = (Parts){
        .year = (unsigned)(tm.tm_year + 1900),
        .month = (unsigned)tm.tm_mon + 1,
        .day = (unsigned)tm.tm_mday,
        .hour = (unsigned)tm.tm_hour,
        .minute = (unsigned)tm.tm_min,
        .second = tm.tm_sec > 59 ? 59 : (unsigned)tm.tm_sec,
    };
    return write_parts(&parts, ret_text);
}

/*
 * datetime_from_mtime() - a file time as PictoPy writes it
 *
 * datetime.fromtimestamp(os.stat(path).st_mtime).isoformat(): st_mtime is a double made as
 * seconds + 1e-9 * nanoseconds, which holds about 0.2 microseconds today; fromtimestamp() rounds
 * its fraction to whole microseconds, half to even; isoformat() leaves out a fraction of zero. The
 * same steps in the same order give the same digits.
 */
bool datetime_from_mtime(int64_t mtime_ns, char ret_text[DATETIME_TEXT_SIZE])
{
    int64_t ns = mtime_ns % 1000000000;
    int64_t s = mtime_ns / 1000000000;
    double whole;
    double us;
    size_t length;

    if (ns < 0) {
        ns += 1000000000;
        s--;
    }
    us = rint(modf((double)s + 1e-9 * (double)ns, &whole) * 1e6);
    if (us >= 1e6) {
        us -= 1e6;
        whole += 1;
    } else if (us < 0) {
        us += 1e6;
        whole -= 1;
    }
    if (!datetime_from_epoch((int64_t)whole, ret_text))
        return false;
    length = strlen(ret_text);
    if (us > 0)
        (void)snprintf(ret_text + length, DATETIME_TEXT_SIZE - length, ".%06u", (unsigned)us);
    return true;
}

/* datetime_is_valid() - for text that comes from elsewhere: YYYY-MM-DDTHH:MM:SS, and perhaps a
 * fraction of six digits. */
bool datetime_is_valid(const char *text)
{
    char again[DATETIME_TEXT_SIZE];
    Scanner s = {text, text + strlen(text)};
    unsigned fraction;
    Parts parts;

    if (!take_date(&s, '-', &parts) || !take_char(&s, 'T') || !take_time(&s, &parts) ||
        !write_parts(&parts, again) || strncmp(again, text, strlen(again)) != 0)
        return false;
    if (take_char(&s, '.') && !take_number(&s, 6, 6, 0, 999999, &fraction))
        return false;
    return s.pos == s.end;
}

/* datetime_is_plausible() - a container can carry 0, or a clock that was never set. text is a valid
 * date without a fraction; ISO dates compare as text. */
bool datetime_is_plausible(const char *text)
{
    char horizon[DATETIME_TEXT_SIZE];

    return strcmp(text, EARLIEST_PLAUSIBLE) >= 0 &&
           datetime_from_epoch((int64_t)time(NULL) + FUTURE_TOLERANCE, horizon) &&
           strcmp(text, horizon) <= 0;
}
