#pragma once
/* What tells that two files have the same content, without keeping either. */

#include "media/byte_source.h"

#define FINGERPRINT_WHOLE_MAX   (UINT64_C(64) << 20) /* bytes: larger files are sampled */
#define FINGERPRINT_SAMPLE_SIZE ((size_t)1 << 20)

int fingerprint_read(const ByteSource *source, uint64_t *ret_fingerprint);
