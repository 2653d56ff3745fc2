#pragma once

int directories_make(const char *path); /* with its parents; 0 or negative errno */
