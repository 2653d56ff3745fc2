#pragma once
/* Tells the loop that a file, or what SQLite keeps beside it, may have been written. */

#include <stdbool.h>

#include "loop/timer.h"

typedef struct FileWatch FileWatch;

struct FileWatch {
    LoopSource source;
    Timer timer; /* events are looked at again when it fires */
    int fd;
    int wd; /* of the directory; -1: none. Set by file_watch_attach(), read by the loop. Atomic */
    char *name; /* of the file; borrowed */
    bool paused;
    void (*changed)(FileWatch *watch);
};

int file_watch_init(FileWatch *watch, Loop *loop, Timers *timers, const char *path,
                    void (*changed)(FileWatch *watch));
void file_watch_done(FileWatch *watch);
/* Watches the directory of path, which may be slow to answer: on a thread that may wait. */
void file_watch_attach(FileWatch *watch, const char *path);
bool file_watch_works(const FileWatch *watch);
