#pragma once
/* The dates inside an MP4 or QuickTime file (ISO base media boxes). */

#include "media/byte_source.h"
#include "media/datetime.h"

typedef struct MovieDates {
    char recorded[DATETIME_TEXT_SIZE]; /* com.apple.quicktime.creationdate; "" = none */
    char created[DATETIME_TEXT_SIZE];  /* the movie header's, in local time; "" = none */
} MovieDates;

void movie_dates_read(const ByteSource *source, MovieDates *ret_dates);
