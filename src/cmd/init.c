#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/command.h"
#include "store/store.h"
#include "util/path.h"

static int failed(const char *path, const char *why)
{
    CLEANUP_FREE char *shown = path_escape(path);

    (void)fprintf(stderr, COMMAND_PROGRAM ": '%s': %s\n", shown ? shown : "?", why);
    return EXIT_FAILURE;
}

static int make_database(const char *path)
{
    struct stat st;
    int r;

    if (stat(path, &st) == 0)
        return 0;
    r = store_database_create(path);
    if (r < 0)
        return failed(path, strerror(-r));
    (void)printf("made %s\n", path);
    return 0;
}

static int register_one(Store *store, const char *directory)
{
    CLEANUP_FREE char *path = realpath(directory, NULL);
    CLEANUP_FREE char *id = NULL;
    struct stat st;
    int r;

    if (!path || stat(path, &st) < 0)
        return failed(directory, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return failed(directory, "not a directory");
    if (!path_is_utf8(path))
        return failed(directory, "the name is not UTF-8, so PictoPy could not read it");
    r = store_register_folder(store, path, st.st_mtim.tv_sec, &id);
    if (r == STORE_REGISTER_E_EXISTS)
        (void)printf("%s is registered already\n", path);
    else if (r < 0)
        return failed(path, strerror(-r));
    else if (r > 0)
        return failed(path, r == STORE_E_BUSY
                                ? "the database is locked by another program; try again"
                                : store_error(store));
    else
        (void)printf("registered %s\n", path);
    return 0;
}

/* command_init() - make the database where there is none, and register folders */
int command_init(Command *command)
{
    CLEANUP(config_free_p) Config *config = command->config;
    CLEANUP(store_free_p) Store *store = NULL;
    StoreOptions options = {
        .database_path = config->database_path,
        .thumbnails_directory = config->thumbnails_directory,
        .inherit_ai_tagging = config->sync_inherit_ai_tagging,
    };
    int status;

    status = make_database(config->database_path);
    if (status != 0)
        return status;
    if (store_create(&options, &store) < 0)
        return failed("init", strerror(ENOMEM));
    for (int i = 0; i < command->n_arguments; i++)
        if (register_one(store, command->arguments[i]) != 0)
            status = EXIT_FAILURE;
    return status;
}
