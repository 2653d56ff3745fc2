#pragma once
/* Google Takeout sidecars: a JSON file beside a photo or video that says what the export lost. */

#include <stdbool.h>
#include <stddef.h>

#include "media/datetime.h"

#define SIDECAR_SIZE_MAX ((size_t)1 << 20)

typedef struct SidecarFacts {
    char date[DATETIME_TEXT_SIZE]; /* "" = none */
    bool has_location;
    double latitude;
    double longitude;
} SidecarFacts;

/* Is there anything usable in it? Then ret_facts is written. */
bool sidecar_read(const char *json, size_t size, SidecarFacts *ret_facts);
