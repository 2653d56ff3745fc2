/* The boxes of MP4 and QuickTime files, with offsets and sizes of anyone's choosing. */
#include <assert.h>
#include <stdint.h>

#include "media/movie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ByteSource source = {.fd = -1, .data = data, .size = size};
    MovieDates dates;

    movie_dates_read(&source, &dates);
    assert(dates.recorded[0] == '\0' || datetime_is_valid(dates.recorded));
    assert(dates.created[0] == '\0' || datetime_is_valid(dates.created));
    return 0;
}
