#pragma once
/* A thread that writes to systemd's journal, so that nobody else waits for it. */

#include "util/log.h"

void journal_writer_start(void);
void journal_writer_stop(void);
