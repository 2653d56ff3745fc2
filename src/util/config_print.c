/* The effective configuration as an INI file that would give the same again. */

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
        const char *value = config->values[i].text;

        if (config_key_section(key) != length || strncmp(key->name, section, length) != 0) {
            section = key->name;
            length = config_key_section(key);
            text_printf(out, "\n[%.*s]\n", (int)length, section);
        }
        if (key->type->is_string)
            value = *(char *const *)(const void *)((const char *)config + key->field);
        print_source(&config->values[i], out);
        text_printf(out, "%s =%s%s\n", key->name + length + 1, *value ? " " : "", value);
    }
    return out->failed ? -ENOMEM : 0;
}
