#pragma once
/* The sink that sends structured messages to systemd's journal. */

#include <stdbool.h>

#include "util/log.h"

/* Is standard error connected to the journal (JOURNAL_STREAM names its device and inode)? */
bool journal_is_stderr(void);
void log_sink_journal(const LogRecord *record);
