#pragma once
/* Several pictures in one JPEG file (CIPA DC-007 Multi-Picture Format). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Looks at the application segments of a file, one after another. */
typedef struct MpfFinder {
    uint32_t n_images;
    bool gain_map; /* Ultra HDR: the second picture is no picture */
} MpfFinder;

void mpf_look(MpfFinder *finder, int app, const uint8_t *data, size_t size);
bool mpf_is_several(const MpfFinder *finder);
