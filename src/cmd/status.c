#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "http/server.h"

#define STATUS_NOT_RUNNING 3 /* as systemctl status has it for a unit that is not running */

static int ask(const Config *config, const char *path, int *ret_status, json_t **ret_answer)
{
    CLEANUP_FREE char *body = NULL;
    int r = http_get(config->http_listen, path, ret_status, &body);

    if (r < 0)
        return r;
    *ret_answer = json_loads(body, 0, NULL);
    return json_is_object(*ret_answer) ? 0 : -EPROTO;
}

static int not_running(const Config *config, int error)
{
    const char *why = strerror(-error);

    if (error == -ECONNREFUSED)
        why = "nobody answers: the daemon is not running";
    else if (error == -EINVAL)
        why = "port 0 is any port: name the one that the daemon said at its start";
    else if (error == -EPROTO)
        why = "somebody else answers: the daemon is not running";
    (void)fprintf(stderr, COMMAND_PROGRAM ": status: %s: %s\n", config->http_listen, why);
    return STATUS_NOT_RUNNING;
}

static const char *word(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "unknown";
}

static void print_json(json_t *health, json_t *watcher)
{
    json_t *both = json_pack("{s:O,s:O}", "health", health, "watcher", watcher);
    char *text = both ? json_dumps(both, JSON_INDENT(2)) : NULL;

    (void)puts(text ? text : "{}");
    free(text);
    json_decref(both);
}

static void print_text(const json_t *health, const json_t *watcher)
{
    (void)printf("%s\ndatabase: %s\nwatcher: %s\nfolders: %lld\n", word(health, "status"),
                 word(health, "database"), word(health, "watcher"),
                 (long long)json_integer_value(json_object_get(watcher, "folders_count")));
}

/* command_status() - ask the running daemon; status 0: healthy, 1: not, 3: not running */
int command_status(Command *command)
{
    CLEANUP(config_free_p) Config *config = command->config;
    json_t *health = NULL, *watcher = NULL;
    int code = 0, ignored = 0;
    int r = ask(config, "/health", &code, &health);

    if (r == 0)
        r = ask(config, "/watcher/status", &ignored, &watcher);
    if (r == 0 && command->json)
        print_json(health, watcher);
    else if (r == 0)
        print_text(health, watcher);
    json_decref(watcher);
    json_decref(health);
    if (r < 0)
        return not_running(config, r);
    return code == 200 ? EXIT_SUCCESS : EXIT_FAILURE;
}
