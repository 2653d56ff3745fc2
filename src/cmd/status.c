#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "http/server.h"

static json_t *ask(const Config *config, const char *path, int *ret_status)
{
    CLEANUP_FREE char *body = NULL;

    if (http_get(config->http_listen, path, ret_status, &body) < 0 || !body)
        return NULL;
    return json_loads(body, 0, NULL);
}

static const char *word(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "unknown";
}

/* command_status() - ask the running daemon; status 0: healthy, 1: not, 3: not running */
int command_status(Command *command)
{
    CLEANUP(config_free_p) Config *config = command->config;
    int code = 0;
    json_t *health = ask(config, "/health", &code);
    json_t *watcher = health ? ask(config, "/watcher/status", &(int){0}) : NULL;
    bool healthy = code == 200;

    if (!health) {
        (void)fprintf(stderr, COMMAND_PROGRAM ": nobody answers on %s: the daemon is not running\n",
                      config->http_listen);
        return 3; /* as systemctl status for a unit that is not running */
    }
    if (command->json) {
        json_t *both = json_pack("{s:O,s:O?}", "health", health, "watcher", watcher);
        char *text = both ? json_dumps(both, JSON_INDENT(2)) : NULL;

        (void)puts(text ? text : "{}");
        free(text);
        json_decref(both);
    } else {
        (void)printf("%s\ndatabase: %s\nwatcher: %s\nfolders: %lld\n", word(health, "status"),
                     word(health, "database"), word(health, "watcher"),
                     (long long)json_integer_value(json_object_get(watcher, "folders_count")));
    }
    json_decref(watcher);
    json_decref(health);
    return healthy ? EXIT_SUCCESS : EXIT_FAILURE;
}
