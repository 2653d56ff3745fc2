#pragma once
/* The subcommands. Each returns the exit status of the process. */

#include "util/config.h"

#define COMMAND_PROGRAM      "pictopy-sync"
#define COMMAND_STATUS_USAGE 2

typedef struct Command {
    ConfigSources sources;
    Config *config;      /* the command takes it over or frees it */
    const char *program; /* path of this executable */
    bool json;
    char **arguments;
    int n_arguments;
} Command;

int command_run(Command *command);
int command_init(Command *command);
int command_check(Command *command);
int command_status(Command *command);
int command_confirm(Command *command);
int command_config(Command *command);
int command_graveyard(Command *command);
