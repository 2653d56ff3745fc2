#pragma once
/* The metadata column: PictoPy's JSON object, in its order of keys (contract section 3). */

#include "media/facts.h"

/*
 * Composes the JSON text for a file at path. Keys of old_json (NULL or the row's text; text that is
 * not a JSON object counts as empty) that PictoPy's readers do not make are kept. The caller frees.
 * 0 or -ENOMEM.
 */
int metadata_compose(const MediaFacts *facts, const char *path, const char *old_json,
                     char **ret_json);
