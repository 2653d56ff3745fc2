/* The effective configuration as an INI file that would give the same again. */

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "util/config_keys.h"

static void print_source(const struct ConfigValue *value, Text *out)
{
    switch (value->origin) {
    case CONFIG_ORIGIN_FILE:
        text_printf(out, "# from %s\n", value->place);
        break;
    case CONFIG_ORIGIN_ENVIRONMENT:
        text_printf(out, "# from the environment, %s\n", value->place);
        break;
    case CONFIG_ORIGIN_SET:
        text_append(out, "# from --set\n");
        break;
    default:
        text_append(out, "# default\n");
        break;
    }
}

/* The value as it counts: paths are expanded, others stand as they were given. */
static const char *value_of(const Config *config, size_t i)
{
    const ConfigKey *key = &config_keys[i];

    if (key->type->is_string)
        return *(char *const *)(const void *)((const char *)config + key->field);
    return config->values[i].text;
}

/* Blanks at the end of a line do not count; a path that ends with one is printed with a slash. */
static const char *end_of(const char *value)
{
    size_t length = strlen(value);

    return length > 0 && value[0] == '/' && isspace((unsigned char)value[length - 1]) ? "/" : "";
}

/*
 * config_print() - write the configuration down
 * @out: appended: the keys in the order of the table, each under a comment that names its source;
 *       paths are expanded, other values stand as they were given
 *
 * Return: 0 or -ENOMEM.
 */
int config_print(const Config *config, Text *out)
{
    const char *section = "";
    size_t length = 0;

    if (config->source)
        text_printf(out, "# The effective configuration; file: %s\n", config->source);
    else
        text_append(out, "# The effective configuration; no file\n");
    for (size_t i = 0; i < config_n_keys; i++) {
        const ConfigKey *key = &config_keys[i];
        const char *value = value_of(config, i);

        if (config_key_section(key) != length || strncmp(key->name, section, length) != 0) {
            section = key->name;
            length = config_key_section(key);
            text_printf(out, "\n[%.*s]\n", (int)length, section);
        }
        print_source(&config->values[i], out);
        text_printf(out, "%s =%s%s%s\n", key->name + length + 1, *value ? " " : "", value,
                    end_of(value));
    }
    return out->failed ? -ENOMEM : 0;
}

/*
 * config_print_waiting() - which changes have to wait for the next start?
 * @running: what the daemon was started with
 * @wanted: what it has just read
 * @out: appended: their names, separated by ", "
 */
void config_print_waiting(const Config *running, const Config *wanted, Text *out)
{
    const char *separator = "";

    for (size_t i = 0; i < config_n_keys; i++) {
        if (config_keys[i].live || strcmp(value_of(running, i), value_of(wanted, i)) == 0)
            continue;
        text_printf(out, "%s%s", separator, config_keys[i].name);
        separator = ", ";
    }
}
