/*
 * The start of a path in the configuration may be ~ or one of a few variables, each with the
 * default that its specification gives it (XDG Base Directory Specification; systemd.exec(5)), so
 * that one text is right for every user and for a system service.
 */

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "util/config_keys.h"
#include "util/error.h"

static const struct {
    const char *name;
    const char *fallback; /* a path that may start with a variable itself; NULL: the user's home */
} expand_variables[] = {
    {"HOME", NULL},
    {"XDG_DATA_HOME", "$HOME/.local/share"},
    {"XDG_STATE_HOME", "$HOME/.local/state"},
    {"XDG_CONFIG_HOME", "$HOME/.config"},
    {"STATE_DIRECTORY", "$XDG_STATE_HOME/pictopy-sync"},
};

/* The home directory of the user database, for when HOME is not set, as in a system service. */
static int expand_home(char **ret_path)
{
    CLEANUP_FREE char *buffer = NULL;
    struct passwd entry, *found = NULL;
    size_t size = 1024;
    int r = ERANGE;

    for (; r == ERANGE && size <= 1024 * 1024; size *= 2) {
        char *grown = realloc(buffer, size);

        if (!grown)
            return -ENOMEM;
        buffer = grown;
        r = getpwuid_r(getuid(), &entry, buffer, size, &found);
    }
    if (!found || found->pw_dir[0] != '/')
        return CONFIG_E_INVALID;
    *ret_path = strdup(found->pw_dir);
    return *ret_path ? 0 : -ENOMEM;
}

/* The value of a variable: that of the environment when it is an absolute path, else its default.
 */
static int expand_variable(const char *name, size_t length, char **ret_path)
{
    for (size_t i = 0; i < sizeof(expand_variables) / sizeof(expand_variables[0]); i++) {
        const char *value;

        if (strlen(expand_variables[i].name) != length ||
            strncmp(expand_variables[i].name, name, length) != 0)
            continue;
        value = getenv(expand_variables[i].name);
        if (value && value[0] == '/') {
            /* systemd joins several state directories with colons; the first is ours. */
            *ret_path = strndup(value, i == 4 ? strcspn(value, ":") : strlen(value));
            return *ret_path ? 0 : -ENOMEM;
        }
        if (expand_variables[i].fallback)
            return config_expand_path(expand_variables[i].fallback, ret_path);
        return expand_home(ret_path);
    }
    return CONFIG_E_INVALID;
}

/*
 * config_expand_path() - the absolute, normalized form of a path in the configuration
 * @value: starts with /, ~/ or one of the variables above
 * @ret_path: the caller frees
 *
 * Return: 0, -ENOMEM, or CONFIG_E_INVALID when it is not absolute, names another variable, or the
 * user has no home directory.
 */
int config_expand_path(const char *value, char **ret_path)
{
    CLEANUP_FREE char *start = NULL, *path = NULL;
    size_t length = strcspn(value, "/");
    int r;

    if (length == 0)
        return *value ? path_normalize(value, "/", ret_path) : CONFIG_E_INVALID;
    if (length == 1 && value[0] == '~')
        r = expand_variable("HOME", 4, &start);
    else if (value[0] == '$')
        r = expand_variable(value + 1, length - 1, &start);
    else
        r = CONFIG_E_INVALID;
    if (r != 0)
        return r;
    if (asprintf(&path, "%s%s", start, value + length) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    return path_normalize(path, "/", ret_path);
}
