#pragma once
/* What a directory holds: the part of a walk that reads it. */

#include "volume/walk.h"

void names_free(char **names, size_t n);
void list_directory(Walk *walk, Listing *listing, int fd);
