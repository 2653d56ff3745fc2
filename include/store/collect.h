#pragma once
/* Thumbnails that no row names: a pass over the directory, a piece at a time. */

#include "store/store.h"

typedef struct Collection Collection;

/* Those whose files are at least so old are collected. NULL when memory runs out. */
Collection *collection_new(uint64_t age_us);
Collection *collection_free(Collection *collection);
/* The next piece: at most some 20 ms, a read lock no longer. ret_more: there is more to do.
 * 0; STORE_E_… or negative errno: the pass cannot go on. Store thread. */
int collection_step(Collection *collection, Store *store, bool *ret_more);
