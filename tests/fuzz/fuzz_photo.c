/* Photos: any bytes give a thumbnail that decodes, or a reason. EXIF blocks are tried bare, too. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/photo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const PhotoOptions options = {
    .thumbnail_size = 32, .thumbnail_quality = 75, .max_pixels = 1 << 20};

static void check_exif(const ExifFacts *facts)
{
    assert(facts->orientation >= 1 && facts->orientation <= 8);
    assert(facts->date[0] == '\0' || datetime_is_valid(facts->date));
    assert(!facts->has_location || media_location_is_valid(facts->latitude, facts->longitude));
}

static void check_photo(const Photo *photo)
{
    MediaError error = {};
    Photo again;

    check_exif(&photo->exif);
    assert(photo->size.width > 0 && photo->size.height > 0);
    assert(photo->thumbnail_size.width <= 32 && photo->thumbnail_size.height <= 32);
    assert(photo_read(photo->thumbnail, photo->thumbnail_bytes, &options, &again, &error) ==
           MEDIA_STATUS_OK);
    assert(again.size.width == photo->thumbnail_size.width);
    assert(again.size.height == photo->thumbnail_size.height);
    assert(again.exif.orientation == 1);
    photo_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MediaError error = {};
    ExifFacts exif;
    Photo photo;

    if (photo_read(data, size, &options, &photo, &error) == MEDIA_STATUS_OK) {
        check_photo(&photo);
        photo_done(&photo);
    } else {
        assert(error.text[0] != '\0');
    }
    exif_facts_read(data, size, &exif);
    check_exif(&exif);
    return 0;
}
