#pragma once
/* MP4 files made box by box: enough of one for the readers of this layer. */

#include <stdint.h>
#include <string.h>

#include "util/text.h"

static inline void movie_put(Text *out, uint64_t value, unsigned n_bytes)
{
    for (unsigned i = n_bytes; i-- > 0;) {
        const uint8_t byte = (uint8_t)(value >> (8 * i));

        text_append_bytes(out, &byte, 1);
    }
}

/* A box around payload, whose memory is freed. type is four bytes. */
static inline void movie_box(Text *out, const char *type, Text *payload)
{
    movie_put(out, payload->length + 8, 4);
    text_append_bytes(out, type, 4);
    text_append_bytes(out, payload->data, payload->length);
    text_done(payload);
}

/* Seconds since 1904, in 32 bits (version 0) or 64 (version 1). */
static inline void movie_header(Text *out, unsigned version, uint64_t created)
{
    Text mvhd = {};
    unsigned n = version == 1 ? 8 : 4;

    movie_put(&mvhd, (uint64_t)version << 24, 4);
    movie_put(&mvhd, created, n);
    movie_put(&mvhd, created, n);
    movie_put(&mvhd, 1000, 4);
    movie_put(&mvhd, 2000, n);
    for (unsigned i = 0; i < 20; i++)
        movie_put(&mvhd, 0, 4);
    movie_box(out, "mvhd", &mvhd);
}

static inline void movie_key(Text *keys, const char *name)
{
    movie_put(keys, strlen(name) + 8, 4);
    text_append(keys, "mdta");
    text_append(keys, name);
}

/* The creation date is the second of two keys. iso: meta has version and flags. */
static inline void movie_meta(Text *out, const char *date, int iso)
{
    Text meta = {}, handler = {}, keys = {}, ilst = {}, item = {}, data = {};

    if (iso)
        movie_put(&meta, 0, 4);
    for (unsigned i = 0; i < 6; i++)
        movie_put(&handler, 0, 4);
    movie_box(&meta, "hdlr", &handler);
    movie_put(&keys, 0, 4);
    movie_put(&keys, 2, 4);
    movie_key(&keys, "com.apple.quicktime.make");
    movie_key(&keys, "com.apple.quicktime.creationdate");
    movie_box(&meta, "keys", &keys);
    movie_put(&data, 1, 4);
    movie_put(&data, 0, 4);
    text_append(&data, date);
    movie_box(&item, "data", &data);
    movie_box(&ilst, "\0\0\0\2", &item);
    movie_box(&meta, "ilst", &ilst);
    movie_box(out, "meta", &meta);
}

/* ftyp, some data, moov. created 0: no movie header. date NULL: no QuickTime keys. */
static inline Text make_movie(unsigned version, uint64_t created, const char *date, int iso)
{
    Text file = {}, ftyp = {}, mdat = {}, moov = {};

    text_append(&ftyp, "isom");
    movie_put(&ftyp, 0x200, 4);
    movie_box(&file, "ftyp", &ftyp);
    text_append(&mdat, "0123456789");
    movie_box(&file, "mdat", &mdat);
    if (created > 0)
        movie_header(&moov, version, created);
    if (date)
        movie_meta(&moov, date, iso);
    movie_box(&file, "moov", &moov);
    return file;
}
