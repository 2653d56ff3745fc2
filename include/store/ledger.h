#pragma once
/* PictoPy's ledger of its own writes to photos: the table self_writes. */

#include "store/write.h"

/* Was the file at path, as stamp says, written by PictoPy itself? If so, its row is used up. Within
 * the write transaction; 0 or WRITE_E_… */
int ledger_claim(Writer *w, const char *path, const FileStamp *stamp, bool *ret_own);
