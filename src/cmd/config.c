#include <stdio.h>
#include <stdlib.h>

#include "cmd/command.h"

/* command_config() - print the effective configuration */
int command_config(Command *command)
{
    CLEANUP(config_free_p) Config *config = command->config;
    CLEANUP(text_done) Text text = {0};

    if (config_print(config, &text) < 0 || text.failed) {
        (void)fputs(COMMAND_PROGRAM ": out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    (void)fputs(text.data, stdout);
    return EXIT_SUCCESS;
}
