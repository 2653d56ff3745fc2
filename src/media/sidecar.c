/*
 * Google Takeout sidecars. An export strips EXIF from part of its own photos and puts the real
 * values into a JSON file beside them; without it the only date left is that of the copy.
 */

#include "media/sidecar.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/exif.h"
#include "util/cleanup.h"

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

/* Python's int(): a number, cut towards zero, or decimal digits with white space around. */
static bool to_integer(const json_t *value, int64_t *ret_integer)
{
    const char *text = json_string_value(value);
    char *end;
    long long n;

    if (json_is_integer(value)) {
        *ret_integer = json_integer_value(value);
        return true;
    }
    if (json_is_real(value) && fabs(json_real_value(value)) < 1e15) {
        *ret_integer = (int64_t)json_real_value(value);
        return true;
    }
    if (!text)
        return false;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno != 0 || end == text || end[strspn(end, " \t\r\n")] != '\0')
        return false;
    *ret_integer = n;
    return true;
}

static bool to_double(const json_t *value, double *ret_double)
{
    const char *text = json_string_value(value);
    char *end;
    double d;

    if (json_is_number(value)) {
        *ret_double = json_number_value(value);
        return true;
    }
    if (!text)
        return false;
    d = strtod(text, &end);
    if (end == text || end[strspn(end, " \t\r\n")] != '\0')
        return false;
    *ret_double = d;
    return true;
}

/* When the shutter was released, before when it was uploaded. 0 stands for "not known". Years that
 * do not have four digits get lost in PictoPy's reader, so they do not count. */
static void find_date(const json_t *root, SidecarFacts *facts)
{
    static const char *const keys[] = {"photoTakenTime", "creationTime"};
    char date[DATETIME_TEXT_SIZE];

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const json_t *block = json_object_get(root, keys[i]);
        int64_t seconds;

        if (!to_integer(json_object_get(block, "timestamp"), &seconds) || seconds == 0)
            continue;
        if (datetime_from_epoch(seconds, date) && date[0] != '0') {
            memcpy(facts->date, date, sizeof(date));
            return;
        }
    }
}

/* Google's resolved location before the original one; Takeout writes 0/0 for none. */
static void find_location(const json_t *root, SidecarFacts *facts)
{
    static const char *const keys[] = {"geoData", "geoDataExif"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const json_t *block = json_object_get(root, keys[i]);
        double latitude;
        double longitude;

        if (!to_double(json_object_get(block, "latitude"), &latitude) ||
            !to_double(json_object_get(block, "longitude"), &longitude))
            continue;
        if ((fpclassify(latitude) == FP_ZERO && fpclassify(longitude) == FP_ZERO) ||
            !media_location_is_valid(latitude, longitude))
            continue;
        facts->has_location = true;
        facts->latitude = latitude;
        facts->longitude = longitude;
        return;
    }
}

/*
 * sidecar_read() - date and location out of a sidecar's text
 *
 * False when it is not JSON, is too large, belongs to an album (keys "entries" or "albumData") or
 * says nothing usable.
 */
bool sidecar_read(const char *json, size_t size, SidecarFacts *ret_facts)
{
    CLEANUP(cleanup_json) json_t *root = NULL;
    SidecarFacts facts = {};

    if (size > SIDECAR_SIZE_MAX)
        return false;
    root = json_loadb(json, size, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(root) || json_object_get(root, "entries") ||
        json_object_get(root, "albumData"))
        return false;
    find_date(root, &facts);
    find_location(root, &facts);
    if (facts.date[0] == '\0' && !facts.has_location)
        return false;
    *ret_facts = facts;
    return true;
}
