#include "cmd/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "project-config.h"
#include "util/array.h"
#include "util/cleanup.h"

#define STATUS_WRITE_ERROR 2 /* for check too, whose 1 means "differences" */

typedef struct CommandEntry {
    const char *name;
    int (*run)(Command *command);
    bool takes_directories; /* at least one */
    bool takes_operands;    /* which the command looks at itself */
    bool has_json;
} CommandEntry;

static const CommandEntry commands[] = {
    {.name = "run", .run = command_run},
    {.name = "init", .run = command_init, .takes_directories = true},
    {.name = "check", .run = command_check, .has_json = true},
    {.name = "status", .run = command_status, .has_json = true},
    {.name = "confirm", .run = command_confirm, .takes_directories = true},
    {.name = "graveyard", .run = command_graveyard, .takes_operands = true, .has_json = true},
    {.name = "config", .run = command_config},
};

static void usage(FILE *to)
{
    (void)fputs(
        "Usage: pictopy-sync [OPTION]... [COMMAND] [ARGUMENT]...\n"
        "Keeps PictoPy's photo database true to the disk.\n"
        "\n"
        "Commands:\n"
        "  run          watch and synchronize, in the foreground (the default)\n"
        "  init DIR...  make the database where there is none, and register folders\n"
        "  check        compare database and disk and change nothing;\n"
        "               exit status 0: in sync, 1: differences, 2: failed\n"
        "  status       ask the running daemon how it is;\n"
        "               exit status 0: healthy, 1: not healthy, 3: not running\n"
        "  confirm DIR...  let removals go on that are held back, because a scan found most\n"
        "               of a folder's photos gone; exit status 1: nothing is held back\n"
        "  graveyard    what is kept of deleted photos: list, restore PATH, or purge\n"
        "  config       print the effective configuration\n"
        "\n"
        "Options:\n"
        "  -c, --config=FILE            read this configuration file\n"
        "  -s, --set=SECTION.KEY=VALUE  set one value; may be given several times\n"
        "      --json                   print JSON (check, status, graveyard list)\n"
        "  -h, --help                   show this help\n"
        "  -V, --version                show the version\n"
        "\n"
        "Each key can also be set by the environment: PICTOPY_SYNC_SECTION_KEY.\n"
        "Without --config: $XDG_CONFIG_HOME/pictopy-sync/pictopy-sync.conf, else\n"
        "/etc/pictopy-sync.conf.\n",
        to);
}

static int see_help(void)
{
    (void)fputs("Try 'pictopy-sync --help' for more information.\n", stderr);
    return COMMAND_STATUS_USAGE;
}

static int FORMAT_PRINTF(1, 2) bad_usage(const char *format, ...)
{
    va_list args;

    (void)fputs(COMMAND_PROGRAM ": ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return see_help();
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
        parsed->exit_status = see_help(); /* getopt_long() has said what is wrong */
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

static const CommandEntry *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int check_arguments(const CommandEntry *entry, const Command *command)
{
    if (command->json && !entry->has_json)
        return bad_usage("%s: option '--json' is for check, status and graveyard", entry->name);
    if (entry->takes_directories && command->n_arguments == 0)
        return bad_usage("%s: missing operand: which directories?", entry->name);
    if (!entry->takes_directories && !entry->takes_operands && command->n_arguments > 0)
        return bad_usage("%s: extra operand '%s'", entry->name, command->arguments[0]);
    return 0;
}

/* One line an error, each with our name in front, as a compiler has them. */
static int bad_configuration(int error, Text *errors)
{
    char *rest = errors->data;
    const char *line;

    if (error < 0)
        (void)fprintf(stderr, COMMAND_PROGRAM ": %s\n", strerror(-error));
    while ((line = strsep(&rest, "\n")))
        if (*line)
            (void)fprintf(stderr, COMMAND_PROGRAM ": %s\n", line);
    return COMMAND_STATUS_USAGE;
}

static int run_command(Parsed *parsed, int argc, char *argv[])
{
    const char *name = optind < argc ? argv[optind++] : "run";
    const CommandEntry *entry = find_command(name);
    Command *command = &parsed->command;
    CLEANUP(text_done) Text errors = {0};
    int r;

    if (!entry)
        return bad_usage("unknown command '%s'", name);
    command->arguments = argv + optind;
    command->n_arguments = argc - optind;
    r = check_arguments(entry, command);
    if (r != 0)
        return r;
    r = config_load(&command->sources, &command->config, &errors);
    if (r != 0)
        return bad_configuration(r, &errors);
    return entry->run(command);
}

static char *own_path(void)
{
    char *path = realpath("/proc/self/exe", NULL);

    return path ? path : strdup("/proc/self/exe");
}

/* What was printed may have got no further than the buffer: a full disk shows only now. */
static int close_output(int status)
{
    bool failed = ferror(stdout) != 0;

    if (fclose(stdout) == 0 && !failed)
        return status;
    (void)fprintf(stderr, COMMAND_PROGRAM ": write error: %s\n", strerror(errno));
    return STATUS_WRITE_ERROR;
}

/* options_main() - parse the command line and run the command; returns the exit status */
int options_main(int argc, char *argv[])
{
    static char name[] = COMMAND_PROGRAM;
    CLEANUP_FREE char *program = own_path();
    Parsed parsed = {.command = {.program = program}, .exit_status = -1};
    int status;

    if (argc > 0)
        argv[0] = name; /* for getopt_long()'s messages */
    if (parse(&parsed, argc, argv) < 0)
        status = bad_configuration(-ENOMEM, &(Text){0});
    else if (parsed.exit_status >= 0)
        status = parsed.exit_status;
    else
        status = run_command(&parsed, argc, argv);
    free(parsed.settings);
    return close_output(status);
}
