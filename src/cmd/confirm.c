#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "http/server.h"
#include "util/path.h"

#define STATUS_FAILED 2

static int complain(const char *what, const char *why)
{
    (void)fprintf(stderr, COMMAND_PROGRAM ": confirm: %s: %s\n", what, why);
    return STATUS_FAILED;
}

/* The id of the folder at a path, as the running daemon has it; NULL when it has none. */
static char *find_id(const json_t *answer, const char *path)
{
    json_t *folders = json_object_get(answer, "folders");
    json_t *folder;
    size_t i;

    json_array_foreach(folders, i, folder)
    {
        const char *found = json_string_value(json_object_get(folder, "path"));
        const char *id = json_string_value(json_object_get(folder, "id"));

        if (found && id && strcmp(found, path) == 0)
            return strdup(id);
    }
    return NULL;
}

static int ask(const Config *config, const char *path, bool post, json_t **ret_answer)
{
    CLEANUP_FREE char *body = NULL;
    int status = 0;
    int r = post ? http_post(config->http_listen, path, &status, &body)
                 : http_get(config->http_listen, path, &status, &body);

    if (r < 0)
        return complain(config->http_listen, r == -ECONNREFUSED
                                                 ? "nobody answers: the daemon is not running"
                                                 : strerror(-r));
    *ret_answer = json_loads(body, 0, NULL);
    return status == 200 && json_is_object(*ret_answer)
               ? 0
               : complain(config->http_listen, "the daemon does not give the answer expected");
}

static int confirm(const Config *config, const char *path)
{
    CLEANUP_FREE char *id = NULL;
    CLEANUP_FREE char *request = NULL;
    json_t *folders = NULL, *answer = NULL;
    const char *message;
    bool done;
    int r = ask(config, "/folders", false, &folders);

    if (r == 0) {
        id = find_id(folders, path);
        json_decref(folders);
    }
    if (r != 0)
        return r;
    if (!id)
        return complain(path, "is no folder that is watched");
    if (asprintf(&request, "/folders/%s/confirm", id) < 0)
        return complain(path, strerror(ENOMEM));
    r = ask(config, request, true, &answer);
    if (r != 0)
        return r;
    done = json_is_true(json_object_get(answer, "success"));
    message = json_string_value(json_object_get(answer, "message"));
    (void)fprintf(done ? stdout : stderr, "%s%s: %s\n",
                  done ? "" : COMMAND_PROGRAM ": confirm: ", path, message ? message : "refused");
    json_decref(answer);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* command_confirm() - let the removals go on that are held back below roots; status 0: done, 1:
 * nothing was held back, 2: failed */
int command_confirm(Command *command)
{
    CLEANUP(config_free_p) Config *config = command->config;
    CLEANUP_FREE char *cwd = realpath(".", NULL);
    int result = EXIT_SUCCESS;

    for (int i = 0; i < command->n_arguments; i++) {
        CLEANUP_FREE char *path = NULL;
        int r = path_normalize(command->arguments[i], cwd ? cwd : "/", &path) == 0
                    ? confirm(config, path)
                    : complain(command->arguments[i], "is no path");

        if (r > result)
            result = r;
    }
    return result;
}
