#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"
#include "media/pool.h"
#include "service/stand_in.h"

int main(int argc, char *argv[])
{
    /* The daemon's own children: no commands for people. */
    if (argc == 2 && strcmp(argv[1], "media-worker") == 0)
        return media_worker_main(3);
    if (argc == 3 && strcmp(argv[1], "stand-in") == 0)
        return stand_in_main(3, (pid_t)strtol(argv[2], NULL, 10));
    return options_main(argc, argv);
}
