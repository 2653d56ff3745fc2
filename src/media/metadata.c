/*
 * The metadata column. PictoPy's reader makes a JSON object with its keys in a fixed order; other
 * parts of PictoPy, or other programs, may have added keys of their own, which stay, behind ours.
 *
 * Numbers are written as Python writes them: the fewest digits that give the same double back.
 */

#include "media/metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "media/datetime.h"
#include "util/path.h"
#include "util/text.h"

static const char *const photo_keys[] = {"name",      "date_created",  "date_source", "width",
                                         "height",    "file_location", "file_size",   "file_mtime",
                                         "item_type", "latitude",      "longitude",   NULL};
static const char *const video_keys[] = {
    "name",     "date_created", "date_source",   "file_modified", "width",     "height",
    "duration", "fps",          "file_location", "file_size",     "item_type", NULL};

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

static void put_key(Text *out, const char *key)
{
    text_printf(out, "%s\"%s\": ", out->length == 0 ? "{" : ", ", key);
}

/* Any JSON value; one that jansson cannot write (text that is not UTF-8) marks the text failed. */
static void put_json(Text *out, const json_t *value)
{
    CLEANUP_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

    if (text)
        text_append(out, text);
    else
        out->failed = true;
}

static void put_string(Text *out, const char *key, const char *string)
{
    CLEANUP(cleanup_json) json_t *value = json_string(string);

    put_key(out, key);
    if (value)
        put_json(out, value);
    else
        out->failed = true;
}

static void put_date(Text *out, const char *key, const char *date)
{
    if (date[0] != '\0') {
        put_string(out, key, date);
        return;
    }
    put_key(out, key);
    text_append(out, "null");
}

static void put_integer(Text *out, const char *key, int64_t number)
{
    put_key(out, key);
    text_printf(out, "%" PRId64, number);
}

static void put_double(Text *out, const char *key, double number)
{
    char digits[40];
    int precision = 15;

    do
        (void)snprintf(digits, sizeof(digits), "%.*g", precision, number);
    while (strtod(digits, NULL) != number && ++precision <= 17);
    put_key(out, key);
    text_append(out, digits);
    if (!strpbrk(digits, ".e"))
        text_append(out, ".0");
}

static void put_double_or_null(Text *out, const char *key, double number)
{
    if (number >= 0) {
        put_double(out, key, number);
        return;
    }
    put_key(out, key);
    text_append(out, "null");
}

static const char *date_source_name(DateSource source)
{
    switch (source) {
    case DATE_SOURCE_EXIF:
        return "exif";
    case DATE_SOURCE_SIDECAR:
        return "sidecar";
    case DATE_SOURCE_CONTAINER:
        return "container";
    case DATE_SOURCE_FILESYSTEM:
        return "filesystem";
    case DATE_SOURCE_UNKNOWN:
        break;
    }
    return "unknown";
}

/* By the name, as PictoPy does it (Python's mimetypes with Debian's /etc/mime.types). */
static const char *video_item_type(const char *path)
{
    const char *extension = path_extension(path_name(path));

    if (strcasecmp(extension, "mov") == 0)
        return "video/quicktime";
    if (strcasecmp(extension, "webm") == 0)
        return "video/webm";
    if (strcasecmp(extension, "mp4") == 0 || strcasecmp(extension, "m4v") == 0)
        return "video/mp4";
    return "video/unknown";
}

static void put_photo(Text *out, const MediaFacts *facts, const char *path)
{
    put_string(out, "name", path_name(path));
    put_date(out, "date_created", facts->date_created);
    put_string(out, "date_source", date_source_name(facts->date_source));
    put_integer(out, "width", facts->width);
    put_integer(out, "height", facts->height);
    put_string(out, "file_location", path);
    put_integer(out, "file_size", (int64_t)facts->stamp.size);
    put_integer(out, "file_mtime", file_stamp_seconds(&facts->stamp));
    put_string(out, "item_type", facts->item_type);
    if (!facts->has_location)
        return;
    put_double(out, "latitude", facts->latitude);
    put_double(out, "longitude", facts->longitude);
}

static void put_video(Text *out, const MediaFacts *facts, const char *path)
{
    char modified[DATETIME_TEXT_SIZE] = "";

    (void)datetime_from_mtime(facts->stamp.mtime_ns, modified);
    put_string(out, "name", path_name(path));
    put_date(out, "date_created", facts->date_created);
    put_string(out, "date_source", date_source_name(facts->date_source));
    put_date(out, "file_modified", modified);
    put_integer(out, "width", facts->width);
    put_integer(out, "height", facts->height);
    put_double_or_null(out, "duration", facts->duration);
    put_double_or_null(out, "fps", facts->fps);
    put_string(out, "file_location", path);
    put_integer(out, "file_size", (int64_t)facts->stamp.size);
    put_string(out, "item_type", video_item_type(path));
}

static bool contains(const char *const *keys, const char *key)
{
    for (; *keys; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

/* What others have put there. A reader's key that has no value now (a location) goes. */
static void put_others(Text *out, const char *old_json, const char *const *own_keys)
{
    CLEANUP(cleanup_json)
    json_t *old = old_json ? json_loads(old_json, JSON_ALLOW_NUL, NULL) : NULL;
    const char *key;
    json_t *value;

    json_object_foreach(old, key, value)
    {
        CLEANUP(cleanup_json) json_t *name = NULL;

        if (contains(own_keys, key))
            continue;
        name = json_string(key);
        text_append(out, ", ");
        if (name)
            put_json(out, name);
        else
            out->failed = true;
        text_append(out, ": ");
        put_json(out, value);
    }
}

/*
 * metadata_compose() - see the header
 *
 * Returns 0; -ENOMEM, or the same for a path that is not UTF-8, which has no place in JSON: callers
 * skip those files long before.
 */
int metadata_compose(const MediaFacts *facts, const char *path, const char *old_json,
                     char **ret_json)
{
    bool video = facts->kind == MEDIA_KIND_VIDEO;
    Text out = {};
    int r;

    if (video)
        put_video(&out, facts, path);
    else
        put_photo(&out, facts, path);
    put_others(&out, old_json, video ? video_keys : photo_keys);
    text_append(&out, "}");
    r = text_steal(&out, ret_json);
    text_done(&out);
    return r;
}
