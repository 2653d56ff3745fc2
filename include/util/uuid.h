#pragma once
/* Random UUIDs (version 4), in lower case, as PictoPy makes them. */

#define UUID_TEXT_SIZE 37

int uuid_generate(char ret_text[UUID_TEXT_SIZE]); /* 0 or negative errno of getrandom(2) */
