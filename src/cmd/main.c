#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"
#include "media/pool.h"

int main(int argc, char *argv[])
{
    /* The daemon's own children: not a command for people. */
    if (argc == 2 && strcmp(argv[1], "media-worker") == 0)
        return media_worker_main(3);
    return options_main(argc, argv);
}
