#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "daemon/daemon.h"

#define STATUS_CONFIG 2 /* as for a configuration with errors: a service manager does not retry */

/* command_run() - the daemon, in the foreground */
int command_run(Command *command)
{
    int r;

    if (command->config->sync_mode != SYNC_MODE_DIRECT) {
        (void)fprintf(stderr, COMMAND_PROGRAM
                      ": sync.mode: this version knows direct only, and would write rows\n");
        (void)config_free(command->config);
        return STATUS_CONFIG;
    }
    r = daemon_run(&command->sources, command->config, command->program);

    if (r < 0)
        (void)fprintf(stderr, COMMAND_PROGRAM ": cannot run: %s\n", strerror(-r));
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
