/*
 * The configuration. Each value is the last one given in this order: built-in default, file,
 * environment, --set. Every value is checked where it is given, also one that a later source
 * overrides, and all errors are collected: whoever repairs a file wants to see them at once.
 */

#include "util/config.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "project-config.h"
#include "util/config_keys.h"
#include "util/error.h"
#include "util/ini.h"
#include "util/list.h"

#define CONFIG_FILE_MAX (1024 * 1024) /* bytes */

typedef struct ConfigLoader {
    Config *config;
    Text *errors;
    int result; /* 0, CONFIG_E_INVALID or -ENOMEM */

    /* of the file that is being read: */
    IniReader reader;
    const char *file;
    int *lines; /* for each key: the line that set it; 0 = none yet */
} ConfigLoader;

static void config_fail(ConfigLoader *loader, int r)
{
    if (loader->result == 0 || r < 0)
        loader->result = r;
}

/* Adds a line to the errors: "where: what". */
static void FORMAT_PRINTF(3, 4)
    config_error(ConfigLoader *loader, const char *where, const char *format, ...)
{
    CLEANUP_FREE char *what = NULL, *line = NULL, *safe = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&what, format, args) < 0)
        what = NULL;
    va_end(args);
    if (what && asprintf(&line, "%s: %s", where, what) < 0)
        line = NULL;
    safe = line ? path_escape(line) : NULL;
    config_fail(loader, safe ? CONFIG_E_INVALID : -ENOMEM);
    if (safe)
        text_printf(loader->errors, "%s\n", safe);
}

/* Appends the names of a section's keys, or of all sections when section is NULL. */
static void config_list_names(Text *out, const char *section, size_t length)
{
    const char *separator = "";

    for (size_t i = 0; i < config_n_keys; i++) {
        const char *name = config_keys[i].name;
        size_t n = config_key_section(&config_keys[i]);
        bool first = i == 0 || config_key_section(&config_keys[i - 1]) != n ||
                     strncmp(config_keys[i - 1].name, name, n) != 0;

        if (section ? n != length || strncmp(name, section, n) != 0 : !first)
            continue;
        text_append(out, separator);
        if (section)
            text_append(out, name + n + 1);
        else
            text_append_bytes(out, name, n);
        separator = ", ";
    }
}

static void config_error_unknown(ConfigLoader *loader, const char *where, const char *section,
                                 size_t length, const char *key)
{
    CLEANUP(text_done) Text names = {0};

    if (config_section_is_known(section, length)) {
        config_list_names(&names, section, length);
        config_error(loader, where, "unknown key %s in section %.*s; accepted: %s", key,
                     (int)length, section, names.data ? names.data : "");
    } else {
        config_list_names(&names, NULL, 0);
        config_error(loader, where, "unknown section \"%.*s\"; accepted: %s", (int)length, section,
                     names.data ? names.data : "");
    }
}

static bool config_has_control(const char *value)
{
    for (; *value; value++)
        if (iscntrl((unsigned char)*value) && *value != '\t')
            return true;
    return false;
}

/*
 * Takes one value. where: the start of an error's line; place: what the printed configuration says
 * of the value's source.
 */
static void config_set(ConfigLoader *loader, const ConfigKey *key, const char *value,
                       ConfigOrigin origin, const char *where, const char *place)
{
    struct ConfigValue *slot = &loader->config->values[key - config_keys];
    CLEANUP(text_done) Text accepted = {0};
    int r = CONFIG_E_INVALID;

    if (!config_has_control(value))
        r = key->type->parse(key, value, loader->config);
    if (r == CONFIG_E_INVALID) {
        key->type->describe(key, &accepted);
        config_error(loader, where, "bad value \"%s\" for %s; accepted: %s", value, key->name,
                     accepted.data ? accepted.data : "");
        return;
    }
    free(slot->text);
    free(slot->place);
    slot->origin = origin;
    slot->text = strdup(value);
    slot->place = strdup(place);
    if (r < 0 || !slot->text || !slot->place)
        config_fail(loader, -ENOMEM);
}

/* The file */

static void config_file_error(IniReader *reader, int number, const char *what)
{
    ConfigLoader *loader = CONTAINER_OF(reader, ConfigLoader, reader);
    CLEANUP(text_done) Text where = {0};

    text_printf(&where, "%s:%d", loader->file, number);
    config_error(loader, where.data ? where.data : loader->file, "%s", what);
}

static void config_file_line(IniReader *reader, int number, const char *section, const char *key,
                             const char *value)
{
    ConfigLoader *loader = CONTAINER_OF(reader, ConfigLoader, reader);
    const ConfigKey *known = key ? config_key_find(section, strlen(section), key) : NULL;
    CLEANUP(text_done) Text where = {0};

    text_printf(&where, "%s:%d", loader->file, number);
    if (where.failed) {
        config_fail(loader, -ENOMEM);
    } else if (known) {
        int *line = &loader->lines[known - config_keys];

        if (*line > 0)
            config_error(loader, where.data, "%s is set again, first in line %d; accepted: once",
                         known->name, *line);
        else
            config_set(loader, known, value, CONFIG_ORIGIN_FILE, where.data, where.data);
        *line = *line > 0 ? *line : number;
    } else if (!key && !config_section_is_known(section, strlen(section))) {
        config_error_unknown(loader, where.data, section, strlen(section), "");
    } else if (key && *section == '\0') {
        config_error(loader, where.data, "%s stands before any section; accepted: [section]", key);
    } else if (key && config_section_is_known(section, strlen(section))) {
        config_error_unknown(loader, where.data, section, strlen(section), key);
    }
}

/* Reads a whole file, which may be a pipe; a zero byte would hide the rest and is refused. */
static int config_read_file(int fd, Text *out)
{
    for (;;) {
        char buffer[8192];
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n == 0)
            return out->failed ? -ENOMEM : 0;
        if (n < 0)
            return -errno;
        if (memchr(buffer, 0, (size_t)n))
            return -EINVAL;
        text_append_bytes(out, buffer, (size_t)n);
        if (out->length > CONFIG_FILE_MAX)
            return -EFBIG;
    }
}

static void config_load_file(ConfigLoader *loader, int fd, const char *file)
{
    CLEANUP(text_done) Text content = {0};
    CLEANUP_FREE int *lines = calloc(config_n_keys, sizeof(int));
    int r = lines ? config_read_file(fd, &content) : -ENOMEM;

    if (r == 0 && !(loader->config->source = strdup(file)))
        r = -ENOMEM;
    if (r == -ENOMEM) {
        config_fail(loader, r);
        return;
    }
    if (r < 0) {
        config_error(loader, file, "cannot be read: %s", strerrordesc_np(-r));
        return;
    }
    loader->file = file;
    loader->lines = lines;
    loader->reader = (IniReader){.line = config_file_line, .error = config_file_error};
    if (content.data)
        ini_read(content.data, &loader->reader);
}

/* Tries one of the usual places; false when there is no file. */
static bool config_try_place(ConfigLoader *loader, const char *place)
{
    CLEANUP_FREE char *file = NULL;
    CLEANUP_CLOSE int fd = -1;
    int r = config_expand_path(place, &file);

    if (r < 0)
        config_fail(loader, r);
    if (r != 0)
        return false;
    fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return false;
    if (fd < 0)
        config_error(loader, file, "cannot be read: %s", strerrordesc_np(errno));
    else
        config_load_file(loader, fd, file);
    return true;
}

static void config_find_file(ConfigLoader *loader, const char *file)
{
    static const char *const places[] = {
        "$XDG_CONFIG_HOME/pictopy-sync/pictopy-sync.conf",
        "/etc/pictopy-sync.conf",
    };
    CLEANUP_CLOSE int fd = -1;

    if (file) {
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
            config_error(loader, file, "cannot be read: %s", strerrordesc_np(errno));
        else
            config_load_file(loader, fd, file);
        return;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (config_try_place(loader, places[i]))
            return;
}

/* The environment */

/* Does the rest of a variable's name start with a known section and "_"? */
static size_t config_variable_section(const char *rest, char *section, size_t size)
{
    size_t n = strcspn(rest, "_=");

    if (rest[n] != '_' || n >= size)
        return 0;
    for (size_t i = 0; i < n; i++)
        section[i] = (char)tolower((unsigned char)rest[i]);
    return config_section_is_known(section, n) ? n : 0;
}

static void config_set_variable(ConfigLoader *loader, char *variable)
{
    char *equals = strchr(variable, '='), *rest = variable + strlen(CONFIG_VARIABLE_PREFIX);
    CLEANUP_FREE char *name = equals ? strndup(variable, (size_t)(equals - variable)) : NULL;
    CLEANUP_FREE char *value = equals ? strdup(equals + 1) : NULL;
    CLEANUP(text_done) Text where = {0};
    char section[32];
    size_t n;

    if (!equals)
        return;
    text_printf(&where, "environment variable %s", name ? name : "");
    if (!name || !value || where.failed) {
        config_fail(loader, -ENOMEM);
        return;
    }
    for (size_t i = 0; i < config_n_keys; i++) {
        CLEANUP_FREE char *known = config_key_variable(&config_keys[i]);

        if (known && strcmp(known, name) == 0) {
            config_set(loader, &config_keys[i], ini_strip(value), CONFIG_ORIGIN_ENVIRONMENT,
                       where.data, name);
            return;
        }
    }
    /* One that names no section of ours, such as PICTOPY_SYNC_PORT, is somebody else's. */
    n = config_variable_section(rest, section, sizeof(section));
    if (n > 0)
        config_error_unknown(loader, where.data, section, n, name + (rest - variable) + n + 1);
}

static void config_load_environment(ConfigLoader *loader)
{
    for (char **variable = environ; variable && *variable; variable++)
        if (strncmp(*variable, CONFIG_VARIABLE_PREFIX, strlen(CONFIG_VARIABLE_PREFIX)) == 0)
            config_set_variable(loader, *variable);
}

/* --set */

static void config_load_setting(ConfigLoader *loader, const char *setting)
{
    CLEANUP_FREE char *copy = strdup(setting);
    CLEANUP(text_done) Text where = {0};
    char *equals, *name, *dot;
    const ConfigKey *key;

    text_printf(&where, "--set %s", setting);
    if (!copy || where.failed) {
        config_fail(loader, -ENOMEM);
        return;
    }
    equals = strchr(copy, '=');
    if (equals)
        *equals = '\0';
    name = ini_strip(copy);
    dot = strchr(name, '.');
    if (!equals || !dot) {
        config_error(loader, where.data, "not understood; accepted: --set section.key=value");
        return;
    }
    key = config_key_find(name, (size_t)(dot - name), dot + 1);
    if (key)
        config_set(loader, key, ini_strip(equals + 1), CONFIG_ORIGIN_SET, where.data, "");
    else
        config_error_unknown(loader, where.data, name, (size_t)(dot - name), dot + 1);
}

/* The whole */

static void config_load_defaults(ConfigLoader *loader)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (loader->config->values[i].origin == CONFIG_ORIGIN_UNSET)
            config_set(loader, &config_keys[i], config_keys[i].fallback, CONFIG_ORIGIN_DEFAULT,
                       "the default", "");
}

/*
 * config_load() - find, read and check the configuration
 * @sources: the file and the settings of the command line
 * @ret_config: the caller frees
 * @errors: on CONFIG_E_INVALID a line for each error: where, what, and what is accepted. The
 *          caller's, cleared by it.
 *
 * Reads the environment, the user database and the file; the main thread, at start and at reload.
 *
 * Return: 0, CONFIG_E_INVALID or -ENOMEM.
 */
int config_load(const ConfigSources *sources, Config **ret_config, Text *errors)
{
    CLEANUP(config_free_p) Config *config = calloc(1, sizeof(*config));
    ConfigLoader loader = {.config = config, .errors = errors};

    if (!config || !(config->values = calloc(config_n_keys, sizeof(*config->values))))
        return error_trace(-ENOMEM);
    config_find_file(&loader, sources->file);
    config_load_environment(&loader);
    for (size_t i = 0; i < sources->n_settings; i++)
        config_load_setting(&loader, sources->settings[i]);
    /* Last, so that a default that does not work here hurts only when it is needed. */
    config_load_defaults(&loader);
    if (errors->failed)
        loader.result = -ENOMEM;
    if (loader.result == 0)
        *ret_config = STEAL_PTR(config);
    return error_trace(loader.result);
}

/* config_free() - free a configuration, also a half-built one; accepts NULL */
Config *config_free(Config *config)
{
    if (!config)
        return NULL;
    for (size_t i = 0; i < config_n_keys; i++) {
        if (config_keys[i].type->is_string)
            free(*(char **)(void *)((char *)config + config_keys[i].field));
        if (config->values) {
            free(config->values[i].text);
            free(config->values[i].place);
        }
    }
    glob_list_done(&config->ignore_directories);
    glob_list_done(&config->ignore_files);
    free(config->values);
    free(config->source);
    free(config);
    return NULL;
}
