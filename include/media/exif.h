#pragma once
/* The few facts of an EXIF block that rows and thumbnails need. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/datetime.h"

typedef struct ExifFacts {
    unsigned orientation;          /* 1 … 8; 1 when there is none */
    char date[DATETIME_TEXT_SIZE]; /* "" = none that parses */
    bool has_location;
    double latitude;
    double longitude;
} ExifFacts;

/* tiff: the TIFF structure, without "Exif\0\0" in front; NULL and 0 when there is none. */
void exif_facts_read(const uint8_t *tiff, size_t size, ExifFacts *ret_facts);
bool media_location_is_valid(double latitude, double longitude);
