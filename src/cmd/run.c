#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "daemon/daemon.h"

/* command_run() - the daemon, in the foreground */
int command_run(Command *command)
{
    int r = daemon_run(&command->sources, command->config, command->program);

    if (r < 0)
        (void)fprintf(stderr, COMMAND_PROGRAM ": cannot run: %s\n", strerror(-r));
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
