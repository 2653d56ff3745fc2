#include "cmd/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "project-config.h"
#include "util/array.h"
#include "util/cleanup.h"

static const struct {
    const char *name;
    int (*run)(Command *command);
    int most_arguments; /* -1: any number */
} commands[] = {
    {"run", command_run, 0},       {"init", command_init, -1},    {"check", command_check, 0},
    {"status", command_status, 0}, {"config", command_config, 0},
};

static void usage(FILE *to)
{
    (void)fputs("Usage: pictopy-sync [OPTION]... [COMMAND] [ARGUMENT]...\n"
                "Keeps PictoPy's photo database true to the disk.\n"
                "\n"
                "Commands:\n"
                "  run          watch and synchronize, in the foreground (the default)\n"
                "  init DIR...  make the database where there is none, and register folders\n"
                "  check        compare database and disk and change nothing;\n"
                "               status 0: in sync, 1: differences, 2: failed\n"
                "  status       ask the running daemon how it is\n"
                "  config       print the effective configuration\n"
                "\n"
                "Options:\n"
                "  -c, --config=FILE            read this configuration file\n"
                "  -s, --set=SECTION.KEY=VALUE  set one value; may be given several times\n"
                "      --json                   print JSON (check, status)\n"
                "  -h, --help                   show this help\n"
                "  -V, --version                show the version\n"
                "\n"
                "Each key can also be set by the environment: PICTOPY_SYNC_SECTION_KEY.\n"
                "Without --config: $XDG_CONFIG_HOME/pictopy-sync/pictopy-sync.conf, else\n"
                "/etc/pictopy-sync.conf.\n",
                to);
}

static int bad_usage(const char *format, const char *what)
{
    (void)fprintf(stderr, COMMAND_PROGRAM ": ");
    (void)fprintf(stderr, format, what);
    (void)fputs("\nTry 'pictopy-sync --help' for more information.\n", stderr);
    return 2;
}

typedef struct Parsed {
    Command command;
    char **settings;
    size_t n_settings, capacity;
    int exit_status; /* -1: go on */
} Parsed;

static int take_option(Parsed *parsed, int option)
{
    switch (option) {
    case 'c':
        parsed->command.sources.file = optarg;
        return 0;
    case 's':
        if (ARRAY_RESERVE(parsed->settings, parsed->capacity, parsed->n_settings + 1) < 0)
            return -ENOMEM;
        parsed->settings[parsed->n_settings++] = optarg;
        return 0;
    case 'j':
        parsed->command.json = true;
        return 0;
    case 'h':
        usage(stdout);
        parsed->exit_status = 0;
        return 0;
    case 'V':
        (void)printf("pictopy-sync %s\n", PROJECT_VERSION);
        parsed->exit_status = 0;
        return 0;
    default:
        (void)fputs("Try 'pictopy-sync --help' for more information.\n", stderr);
        parsed->exit_status = 2;
        return 0;
    }
}

static int parse(Parsed *parsed, int argc, char *argv[])
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"set", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},         {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {0},
    };
    int option;

    while (parsed->exit_status < 0 &&
           (option = getopt_long(argc, argv, "c:s:hV", options, NULL)) != -1)
        if (take_option(parsed, option) < 0)
            return -ENOMEM;
    parsed->command.sources.settings = parsed->settings;
    parsed->command.sources.n_settings = parsed->n_settings;
    return 0;
}

static int run_command(Parsed *parsed, int argc, char *argv[])
{
    const char *name = optind < argc ? argv[optind++] : "run";
    CLEANUP(text_done) Text errors = {0};
    size_t which = 0;
    int r;

    while (which < sizeof(commands) / sizeof(commands[0]) &&
           strcmp(commands[which].name, name) != 0)
        which++;
    if (which == sizeof(commands) / sizeof(commands[0]))
        return bad_usage("unknown command '%s'", name);
    parsed->command.arguments = argv + optind;
    parsed->command.n_arguments = argc - optind;
    if (commands[which].most_arguments >= 0 &&
        parsed->command.n_arguments > commands[which].most_arguments)
        return bad_usage("unexpected argument '%s'", argv[optind]);
    r = config_load(&parsed->command.sources, &parsed->command.config, &errors);
    if (r != 0) {
        (void)fprintf(stderr, COMMAND_PROGRAM ": %s\n",
                      errors.data ? errors.data
                      : r < 0     ? strerror(-r)
                                  : "bad configuration");
        return 2;
    }
    return commands[which].run(&parsed->command);
}

static char *own_path(void)
{
    char *path = realpath("/proc/self/exe", NULL);

    return path ? path : strdup("/proc/self/exe");
}

/* options_main() - parse the command line and run the command; returns the exit status */
int options_main(int argc, char *argv[])
{
    CLEANUP_FREE char *program = own_path();
    Parsed parsed = {.command = {.program = program}, .exit_status = -1};
    int status;

    if (parse(&parsed, argc, argv) < 0)
        status = 2;
    else if (parsed.exit_status >= 0)
        status = parsed.exit_status;
    else
        status = run_command(&parsed, argc, argv);
    free(parsed.settings);
    return status;
}
