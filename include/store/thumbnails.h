#pragma once
/* Thumbnail files: <thumbnails>/thumbnail_<uuid4>.jpg */

#include <stdbool.h>

#include "store/store.h"

/* A new file's path, announced by nobody yet; the caller frees. 0 or negative errno. */
int thumbnails_name(const Store *store, char **ret_path);
/* Makes the directory; 0 or negative errno. */
int thumbnails_make_directory(const Store *store);
/* Copies the JPEG in fd, from its begin, to a new file at path, which stays open for
 * thumbnails_sync(). 0 or negative errno, and then there is no file. */
int thumbnails_write(Store *store, const char *path, int fd, int *ret_file);
int thumbnails_sync(int file); /* waits until it is on the disk, and closes it */
/* Is it a file that this directory's thumbnails are named like? Others are never removed. */
bool thumbnails_owns(const Store *store, const char *path);
/* Does a row name it? Within a read transaction; 0 or STORE_E_… */
int thumbnails_is_named(Store *store, const char *path, bool *ret_named);
void thumbnails_remove(Store *store, const char *path);
/* Removes announced files that no row names. 0, STORE_E_… or -ENOMEM. */
int thumbnails_recover(Store *store);
