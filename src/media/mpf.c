/*
 * Pillow, and so PictoPy, calls a JPEG file that declares more than one picture "image/mpo" and not
 * "image/jpeg"; one whose second picture is a gain map stays JPEG. Phones write such files. Only
 * the item_type depends on it: the first picture is decoded like any other.
 */

#include "media/mpf.h"

#include <string.h>

#define TAG_NUMBER_OF_IMAGES 0xb001
#define TAG_ENTRIES          0xb002
#define ENTRY_SIZE           12
#define IMAGE_ENTRY_SIZE     16

typedef struct MpfReader {
    const uint8_t *data;
    size_t size;
    bool big_endian;
} MpfReader;

static uint32_t get(const MpfReader *reader, size_t offset, unsigned n_bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < n_bytes; i++) {
        unsigned shift = 8 * (reader->big_endian ? n_bytes - 1 - i : i);

        value |= (uint32_t)reader->data[offset + i] << shift;
    }
    return value;
}

/* The number of pictures that the index declares and has room for; 0 when it is broken. */
static uint32_t read_index(const MpfReader *reader)
{
    uint32_t n_images = 0;
    uint32_t entries_size = 0;
    size_t offset = get(reader, 4, 4);
    uint32_t n;

    if (offset > reader->size - 2)
        return 0;
    n = get(reader, offset, 2);
    offset += 2;
    for (; n > 0 && offset + ENTRY_SIZE <= reader->size; n--, offset += ENTRY_SIZE) {
        uint32_t tag = get(reader, offset, 2);

        if (tag == TAG_NUMBER_OF_IMAGES)
            n_images = get(reader, offset + 8, 4);
        else if (tag == TAG_ENTRIES)
            entries_size = get(reader, offset + 4, 4);
    }
    return n_images <= entries_size / IMAGE_ENTRY_SIZE ? n_images : 0;
}

/* mpf_look() - app is the segment's number: 1 for APP1. */
void mpf_look(MpfFinder *finder, int app, const uint8_t *data, size_t size)
{
    static const char gain_map[] = " hdrgm:Version=\"";
    MpfReader reader;

    if (app == 1 && memmem(data, size, gain_map, sizeof(gain_map) - 1))
        finder->gain_map = true;
    if (app != 2 || size < 4 + 10 || memcmp(data, "MPF\0", 4) != 0)
        return;
    reader = (MpfReader){data + 4, size - 4, memcmp(data + 4, "MM\0*", 4) == 0};
    finder->n_images = read_index(&reader);
}

bool mpf_is_several(const MpfFinder *finder)
{
    return finder->n_images > 1 && !finder->gain_map;
}
