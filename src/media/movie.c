/*
 * Dates of MP4 and QuickTime files, out of the boxes (ISO/IEC 14496-12; QuickTime File Format).
 *
 * libavformat reads them too, but differently from PictoPy: it takes movie header times before 1970
 * for Unix times, fills in dates from other places, and knows Matroska's. So the few boxes are
 * walked here, the way PictoPy's reader does: moov/mvhd, and moov/meta with its keys and ilst.
 * Offsets and sizes come from the file: each is checked against the box around it, and the number
 * of boxes that are looked at is bounded.
 */

#include "media/movie.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define BOXES_MAX     4096 /* siblings that are walked through */
#define KEYS_MAX      512
#define KEY_SIZE_MAX  256
#define DATE_SIZE_MAX 128
/* From 1904-01-01 to 1970-01-01, seconds. */
#define EPOCH_1904_OFFSET INT64_C(2082844800)
#define EPOCH_MAX         INT64_C(253402300799) /* the end of year 9999 */

typedef struct Box {
    uint32_t type;
    uint64_t start; /* of the payload */
    uint64_t end;
} Box;

#define BOX_TYPE(a, b, c, d)                                                                       \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static uint64_t big_endian(const uint8_t *bytes, unsigned n)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* Reads exactly size bytes at offset. */
static bool read_exactly(const ByteSource *source, uint64_t offset, void *buffer, size_t size)
{
    return byte_source_read(source, offset, buffer, size) == (ssize_t)size;
}

/* The box at offset, which must fit below end. */
static bool read_box(const ByteSource *source, uint64_t offset, uint64_t end, Box *ret_box)
{
    uint8_t header[16];
    uint64_t header_size = 8;
    uint64_t size;

    if (end - offset < 8 || !read_exactly(source, offset, header, 8))
        return false;
    size = big_endian(header, 4);
    if (size == 1) {
        if (end - offset < 16 || !read_exactly(source, offset, header, 16))
            return false;
        size = big_endian(header + 8, 8);
        header_size = 16;
    } else if (size == 0) {
        size = end - offset;
    }
    if (size < header_size || size > end - offset)
        return false;
    *ret_box = (Box){(uint32_t)big_endian(header + 4, 4), offset + header_size, offset + size};
    return true;
}

/* The first box of that type among those from start to end. */
static bool find_box(const ByteSource *source, uint64_t start, uint64_t end, uint32_t type,
                     Box *ret_box)
{
    Box box;

    for (unsigned i = 0; i < BOXES_MAX && start < end; i++) {
        if (!read_box(source, start, end, &box))
            return false;
        if (box.type == type) {
            *ret_box = box;
            return true;
        }
        start = box.end;
    }
    return false;
}

/* Seconds since 1904, UTC, in 32 or (version 1) 64 bits; 0 is a clock that was never set. */
static void read_header_date(const ByteSource *source, const Box *moov, MovieDates *dates)
{
    char text[DATETIME_TEXT_SIZE];
    uint8_t bytes[12];
    uint64_t seconds;
    Box mvhd;
    unsigned n;

    if (!find_box(source, moov->start, moov->end, BOX_TYPE('m', 'v', 'h', 'd'), &mvhd) ||
        !read_exactly(source, mvhd.start, bytes, 5))
        return;
    n = bytes[0] == 1 ? 8 : 4;
    if (!read_exactly(source, mvhd.start, bytes, 4 + n))
        return;
    seconds = big_endian(bytes + 4, n);
    if (seconds == 0 || seconds > (uint64_t)(EPOCH_MAX + EPOCH_1904_OFFSET))
        return;
    if (datetime_from_epoch((int64_t)seconds - EPOCH_1904_OFFSET, text) &&
        datetime_is_plausible(text))
        memcpy(dates->created, text, sizeof(text));
}

/* QuickTime writes meta as a plain container, ISO puts version and flags first: where "hdlr" stands
 * tells which it is. */
static uint64_t meta_children(const ByteSource *source, const Box *meta)
{
    uint8_t head[12];

    if (read_exactly(source, meta->start, head, sizeof(head)) && memcmp(head + 4, "hdlr", 4) != 0 &&
        memcmp(head + 8, "hdlr", 4) == 0)
        return meta->start + 4;
    return meta->start;
}

/* The number, from 1, of the key that names the creation date; 0 when it is not there. */
static uint32_t find_key(const ByteSource *source, const Box *keys)
{
    static const char name[] = "com.apple.quicktime.creationdate";
    uint8_t entry[8 + sizeof(name) - 1];
    uint64_t offset = keys->start + 8;
    uint64_t count;

    if (!read_exactly(source, keys->start, entry, 8))
        return 0;
    count = big_endian(entry + 4, 4);
    for (uint32_t i = 1; i <= count && i <= KEYS_MAX && offset < keys->end; i++) {
        uint64_t size;

        if (!read_exactly(source, offset, entry, 8))
            return 0;
        size = big_endian(entry, 4);
        if (size == sizeof(entry) && read_exactly(source, offset, entry, sizeof(entry)) &&
            memcmp(entry + 8, name, sizeof(name) - 1) == 0)
            return i;
        offset += size > 8 ? size : 8;
    }
    return 0;
}

/* The value of a key: item number index of ilst, in its box "data", behind type and locale. */
static void read_recorded_date(const ByteSource *source, const Box *ilst, uint32_t index,
                               MovieDates *dates)
{
    char text[DATETIME_TEXT_SIZE];
    char value[DATE_SIZE_MAX];
    size_t size;
    Box item;
    Box data;

    if (!find_box(source, ilst->start, ilst->end, index, &item) ||
        !find_box(source, item.start, item.end, BOX_TYPE('d', 'a', 't', 'a'), &data) ||
        data.end - data.start <= 8 || data.end - data.start - 8 > sizeof(value))
        return;
    size = (size_t)(data.end - data.start - 8);
    if (read_exactly(source, data.start + 8, value, size) &&
        datetime_parse_quicktime(value, size, text) && datetime_is_plausible(text))
        memcpy(dates->recorded, text, sizeof(text));
}

/* movie_dates_read() - never fails: dates that are not there or make no sense are "". */
void movie_dates_read(const ByteSource *source, MovieDates *ret_dates)
{
    Box moov, meta, keys, ilst;
    uint64_t children;
    uint32_t index;

    *ret_dates = (MovieDates){};
    if (!find_box(source, 0, source->size, BOX_TYPE('m', 'o', 'o', 'v'), &moov))
        return;
    read_header_date(source, &moov, ret_dates);
    if (!find_box(source, moov.start, moov.end, BOX_TYPE('m', 'e', 't', 'a'), &meta))
        return;
    children = meta_children(source, &meta);
    if (!find_box(source, children, meta.end, BOX_TYPE('k', 'e', 'y', 's'), &keys) ||
        !find_box(source, children, meta.end, BOX_TYPE('i', 'l', 's', 't'), &ilst))
        return;
    index = find_key(source, &keys);
    if (index > 0)
        read_recorded_date(source, &ilst, index, ret_dates);
}
