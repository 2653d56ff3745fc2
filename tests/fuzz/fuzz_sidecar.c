/* Sidecars, and old metadata: any text gives valid facts, and valid JSON that stays as it is when
 * it is composed again. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/exif.h"
#include "media/metadata.h"
#include "media/sidecar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sidecar(const char *text, size_t size)
{
    SidecarFacts facts;

    if (!sidecar_read(text, size, &facts))
        return;
    assert(facts.date[0] != '\0' || facts.has_location);
    assert(facts.date[0] == '\0' || datetime_is_valid(facts.date));
    assert(!facts.has_location || media_location_is_valid(facts.latitude, facts.longitude));
}

static void check_metadata(const char *old)
{
    const MediaFacts facts = {.kind = MEDIA_KIND_PHOTO, .item_type = "image/png"};
    char *once, *twice;
    json_t *json;

    assert(metadata_compose(&facts, "/a/b.png", old, &once) == 0);
    json = json_loads(once, JSON_ALLOW_NUL, NULL);
    assert(json_is_object(json));
    assert(strcmp(json_string_value(json_object_get(json, "file_location")), "/a/b.png") == 0);
    json_decref(json);
    assert(metadata_compose(&facts, "/a/b.png", once, &twice) == 0);
    assert(strcmp(once, twice) == 0);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    assert(text);
    memcpy(text, data, size);
    text[size] = '\0';
    check_sidecar(text, size);
    check_metadata(text);
    free(text);
    return 0;
}
