/*
 * EXIF, with libexif.
 *
 * PictoPy reads with Pillow, and its rules are followed to the letter, odd ones included: a date is
 * looked for in the EXIF sub-IFD, then in IFD0; one that does not parse makes room for the next
 * candidate; a hemisphere other than N or E turns the sign; a location needs three numbers each.
 */

#include "media/exif.h"

#include <libexif/exif-data.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/photo.h"
#include "util/cleanup.h"

#define IFD_ENTRY_SIZE 12
#define TIFF_TYPE_IFD  13 /* not in libexif's list */

static const uint8_t exif_header[6] = {'E', 'x', 'i', 'f', 0, 0};

/* media_location_is_valid() - finite, and on this planet. */
bool media_location_is_valid(double latitude, double longitude)
{
    return latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180;
}

static const ExifEntry *find_entry(const ExifData *data, ExifIfd ifd, ExifTag tag)
{
    const ExifEntry *entry = exif_content_get_entry(data->ifd[ifd], tag);

    return entry && entry->data && entry->size > 0 ? entry : NULL;
}

/* Text, whatever it calls itself: some cameras write dates as undefined bytes. */
static bool read_date(const ExifData *data, ExifIfd ifd, ExifTag tag, char ret[DATETIME_TEXT_SIZE])
{
    const ExifEntry *entry = find_entry(data, ifd, tag);

    if (!entry || (entry->format != EXIF_FORMAT_ASCII && entry->format != EXIF_FORMAT_UNDEFINED &&
                   entry->format != EXIF_FORMAT_BYTE))
        return false;
    return datetime_parse_exif((const char *)entry->data, entry->size, ret);
}

static uint32_t get(const uint8_t *bytes, ExifByteOrder order, unsigned n)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < n; i++)
        value = value << 8 | bytes[order == EXIF_BYTE_ORDER_MOTOROLA ? i : n - 1 - i];
    return value;
}

/*
 * Is there a proper pointer to that sub-IFD in IFD0: one whole number? libexif follows whatever is
 * there; Pillow fails on a pointer that calls itself text, so PictoPy sees no sub-IFD behind it.
 * (Photoshop Elements 7 wrote such files.)
 */
static bool has_sub_ifd(const uint8_t *tiff, size_t size, ExifByteOrder order, ExifTag tag)
{
    size_t offset = size >= 8 ? get(tiff + 4, order, 4) : size;
    uint32_t n;

    if (offset >= size || size - offset < 2)
        return false;
    n = get(tiff + offset, order, 2);
    for (offset += 2; n > 0 && offset + IFD_ENTRY_SIZE <= size; n--, offset += IFD_ENTRY_SIZE) {
        const uint8_t *entry = tiff + offset;
        uint32_t type = get(entry + 2, order, 2);

        if (get(entry, order, 2) == (uint32_t)tag)
            return get(entry + 4, order, 4) == 1 &&
                   (type == EXIF_FORMAT_SHORT || type == EXIF_FORMAT_LONG ||
                    type == EXIF_FORMAT_SSHORT || type == EXIF_FORMAT_SLONG ||
                    type == TIFF_TYPE_IFD);
    }
    return false;
}

static void find_date(const ExifData *data, bool has_exif_ifd, ExifFacts *facts)
{
    static const ExifTag tags[] = {EXIF_TAG_DATE_TIME_ORIGINAL, EXIF_TAG_DATE_TIME_DIGITIZED,
                                   EXIF_TAG_DATE_TIME};

    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if ((has_exif_ifd && read_date(data, EXIF_IFD_EXIF, tags[i], facts->date)) ||
            read_date(data, EXIF_IFD_0, tags[i], facts->date))
            return;
}

/* One number of an entry; NAN for a rational without a value and for formats that are no number. */
static double number_at(const ExifEntry *entry, ExifByteOrder order, size_t i)
{
    const uint8_t *p = entry->data + i * exif_format_get_size(entry->format);

    switch (entry->format) {
    case EXIF_FORMAT_RATIONAL: {
        ExifRational v = exif_get_rational(p, order);

        return v.denominator ? (double)v.numerator / (double)v.denominator : NAN;
    }
    case EXIF_FORMAT_SRATIONAL: {
        ExifSRational v = exif_get_srational(p, order);

        return v.denominator ? (double)v.numerator / (double)v.denominator : NAN;
    }
    case EXIF_FORMAT_LONG:
        return (double)exif_get_long(p, order);
    case EXIF_FORMAT_SLONG:
        return (double)exif_get_slong(p, order);
    case EXIF_FORMAT_SHORT:
        return (double)exif_get_short(p, order);
    case EXIF_FORMAT_SSHORT:
        return (double)exif_get_sshort(p, order);
    case EXIF_FORMAT_BYTE:
        return (double)*p;
    default:
        return NAN;
    }
}

/* Degrees, minutes, seconds to degrees, in the order of operations of PictoPy's reader, so that the
 * last bit agrees. */
static double read_angle(const ExifData *data, ExifTag tag)
{
    const ExifEntry *entry = find_entry(data, EXIF_IFD_GPS, tag);
    ExifByteOrder order = exif_data_get_byte_order((ExifData *)(uintptr_t)data);
    size_t size;

    if (!entry)
        return NAN;
    size = exif_format_get_size(entry->format);
    if (size == 0 || entry->components < 3 || entry->size < 3 * size)
        return NAN;
    return number_at(entry, order, 0) + number_at(entry, order, 1) / 60.0 +
           number_at(entry, order, 2) / 3600.0;
}

/* The sign that a hemisphere gives: 1 for positive, -1 for any other letter, 0 when it is missing.
 */
static int read_hemisphere(const ExifData *data, ExifTag tag, char positive)
{
    const ExifEntry *entry = find_entry(data, EXIF_IFD_GPS, tag);
    size_t size;
    const char *p;

    if (!entry || (entry->format != EXIF_FORMAT_ASCII && entry->format != EXIF_FORMAT_BYTE &&
                   entry->format != EXIF_FORMAT_UNDEFINED))
        return 0;
    p = (const char *)entry->data;
    size = strnlen(p, entry->size);
    if (size == 0)
        return 0;
    while (size > 0 && (*p == ' ' || *p == '\t')) {
        p++;
        size--;
    }
    while (size > 0 && (p[size - 1] == ' ' || p[size - 1] == '\t'))
        size--;
    return size == 1 && *p == positive ? 1 : -1;
}

static void find_location(const ExifData *data, ExifFacts *facts)
{
    int north = read_hemisphere(data, (ExifTag)EXIF_TAG_GPS_LATITUDE_REF, 'N');
    int east = read_hemisphere(data, (ExifTag)EXIF_TAG_GPS_LONGITUDE_REF, 'E');
    double latitude = read_angle(data, (ExifTag)EXIF_TAG_GPS_LATITUDE);
    double longitude = read_angle(data, (ExifTag)EXIF_TAG_GPS_LONGITUDE);

    if (north == 0 || east == 0)
        return;
    latitude = north < 0 ? -latitude : latitude;
    longitude = east < 0 ? -longitude : longitude;
    if (!media_location_is_valid(latitude, longitude)) /* false for NAN too */
        return;
    facts->has_location = true;
    facts->latitude = latitude;
    facts->longitude = longitude;
}

static unsigned find_orientation(const ExifData *data)
{
    const ExifEntry *entry = find_entry(data, EXIF_IFD_0, EXIF_TAG_ORIENTATION);
    ExifByteOrder order = exif_data_get_byte_order((ExifData *)(uintptr_t)data);
    unsigned value;

    if (!entry || entry->format != EXIF_FORMAT_SHORT || entry->size < 2)
        return 1;
    value = exif_get_short(entry->data, order);
    return value >= 1 && value <= 8 ? value : 1;
}

static void cleanup_exif(ExifData **data)
{
    exif_data_unref(*data);
}

/* libexif wants the header of the JPEG segment in front, and takes its size as an unsigned int. */
static ExifData *load(const uint8_t *tiff, size_t size)
{
    CLEANUP(cleanup_exif) ExifData *data = exif_data_new();
    CLEANUP_FREE uint8_t *block = malloc(sizeof(exif_header) + size);

    if (!data || !block)
        return NULL;
    memcpy(block, exif_header, sizeof(exif_header));
    memcpy(block + sizeof(exif_header), tiff, size);
    /* What is wrong in the file must not be "repaired", nor made up where it is missing. */
    exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
    exif_data_unset_option(data, EXIF_DATA_OPTION_IGNORE_UNKNOWN_TAGS);
    exif_data_set_option(data, EXIF_DATA_OPTION_DONT_CHANGE_MAKER_NOTE);
    exif_data_load_data(data, block, (unsigned)(sizeof(exif_header) + size));
    return STEAL_PTR(data);
}

/* exif_facts_read() - never fails: what cannot be read is not there. */
void exif_facts_read(const uint8_t *tiff, size_t size, ExifFacts *ret_facts)
{
    CLEANUP(cleanup_exif) ExifData *data = NULL;
    ExifByteOrder order;

    *ret_facts = (ExifFacts){.orientation = 1};
    if (size == 0 || size > PHOTO_EXIF_SIZE_MAX)
        return;
    data = load(tiff, size);
    if (!data)
        return;
    order = exif_data_get_byte_order(data);
    ret_facts->orientation = find_orientation(data);
    find_date(data, has_sub_ifd(tiff, size, order, EXIF_TAG_EXIF_IFD_POINTER), ret_facts);
    if (has_sub_ifd(tiff, size, order, EXIF_TAG_GPS_INFO_IFD_POINTER))
        find_location(data, ret_facts);
}
