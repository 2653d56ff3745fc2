#pragma once
/* Photos with another content: what the AI made of the old one goes. */

#include "store/write.h"

/* Before the transactions. 0, STORE_E_… or -ENOMEM. */
int retag_prepare(Writer *w);
void retag_done(Writer *w);
/* Within: before the row is brought up to date. 0 or WRITE_E_… */
int retag_row(Writer *w, WriteRun *run, const WriteRow *row);
