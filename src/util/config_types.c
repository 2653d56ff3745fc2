/* The kinds of value that the configuration knows: how each is read and described. */

#include "util/config_types.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "util/clock.h"
#include "util/error.h"

static void *config_field(const ConfigKey *key, Config *config)
{
    return (char *)config + key->field;
}

/* config_take_string() - put a string, the config's from now on, in the place of an old one */
int config_take_string(const ConfigKey *key, Config *config, char *string)
{
    char **field = config_field(key, config);

    if (!string)
        return -ENOMEM;
    free(*field);
    *field = string;
    return 0;
}

/* Paths */

static int parse_path(const ConfigKey *key, const char *value, Config *config)
{
    char *path;
    int r = config_expand_path(value, &path);

    return r != 0 ? r : config_take_string(key, config, path);
}

static int parse_optional_path(const ConfigKey *key, const char *value, Config *config)
{
    if (*value == '\0')
        return config_take_string(key, config, strdup(""));
    return parse_path(key, value, config);
}

static void describe_path(const ConfigKey *key UNUSED, Text *out)
{
    text_append(out, "an absolute path; it may start with ~, $HOME, $XDG_DATA_HOME, "
                     "$XDG_STATE_HOME, $XDG_CONFIG_HOME or $STATE_DIRECTORY");
}

static void describe_optional_path(const ConfigKey *key, Text *out)
{
    describe_path(key, out);
    text_append(out, ", or nothing");
}

const ConfigType config_type_path = {parse_path, describe_path, true};
const ConfigType config_type_optional_path = {parse_optional_path, describe_optional_path, true};

/* Numbers */

static int config_check_range(const ConfigKey *key, uint64_t number)
{
    return number >= key->minimum && number <= key->maximum ? 0 : CONFIG_E_INVALID;
}

/* Reads digits; false when there are none or too many. */
static bool parse_digits(const char **at, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *s = *at;

    if (!isdigit((unsigned char)*s))
        return false;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*s - '0'), &number))
            return false;
    *at = s;
    *ret_number = number;
    return true;
}

static int parse_number(const ConfigKey *key, const char *value, Config *config)
{
    uint64_t number;

    if (!parse_digits(&value, &number) || *value || config_check_range(key, number) != 0)
        return CONFIG_E_INVALID;
    *(uint64_t *)config_field(key, config) = number;
    return 0;
}

static int parse_unsigned(const ConfigKey *key, const char *value, Config *config)
{
    uint64_t number;

    if (!parse_digits(&value, &number) || *value || config_check_range(key, number) != 0)
        return CONFIG_E_INVALID;
    *(unsigned *)config_field(key, config) = (unsigned)number;
    return 0;
}

static void describe_number(const ConfigKey *key, Text *out)
{
    text_printf(out, "a whole number from %llu to %llu", (unsigned long long)key->minimum,
                (unsigned long long)key->maximum);
}

const ConfigType config_type_number = {parse_number, describe_number, false};
const ConfigType config_type_unsigned = {parse_unsigned, describe_number, false};

/* Sizes: bytes, with K, M, G or T for powers of 1024 */

static const char size_suffixes[] = "KMGT";

static int parse_size(const ConfigKey *key, const char *value, Config *config)
{
    const char *suffix;
    uint64_t bytes;

    if (!parse_digits(&value, &bytes))
        return CONFIG_E_INVALID;
    if (*value) {
        suffix = strchr(size_suffixes, *value++);
        if (!suffix || *value ||
            __builtin_mul_overflow(bytes, UINT64_C(1024) << (10 * (suffix - size_suffixes)),
                                   &bytes))
            return CONFIG_E_INVALID;
    }
    if (config_check_range(key, bytes) != 0)
        return CONFIG_E_INVALID;
    *(uint64_t *)config_field(key, config) = bytes;
    return 0;
}

static void append_size(Text *out, uint64_t bytes)
{
    size_t i = 0;

    for (; i < sizeof(size_suffixes) - 1 && bytes > 0 && bytes % 1024 == 0; i++)
        bytes /= 1024;
    text_printf(out, "%llu", (unsigned long long)bytes);
    if (i > 0)
        text_append_bytes(out, &size_suffixes[i - 1], 1);
}

static void describe_size(const ConfigKey *key, Text *out)
{
    text_append(out, "a number of bytes, also with K, M, G or T, such as 512M, from ");
    append_size(out, key->minimum);
    text_append(out, " to ");
    append_size(out, key->maximum);
}

const ConfigType config_type_size = {parse_size, describe_size, false};

/* Durations */

static int parse_duration(const ConfigKey *key, const char *value, Config *config)
{
    uint64_t us;

    if (!clock_parse_duration(value, &us) || config_check_range(key, us) != 0)
        return CONFIG_E_INVALID;
    *(uint64_t *)config_field(key, config) = us;
    return 0;
}

static void append_duration(Text *out, uint64_t us)
{
    static const struct {
        const char *unit;
        uint64_t us;
    } units[] = {{"d", 86400 * CLOCK_US_PER_SEC}, {"h", 3600 * CLOCK_US_PER_SEC},
                 {"min", 60 * CLOCK_US_PER_SEC},  {"s", CLOCK_US_PER_SEC},
                 {"ms", CLOCK_US_PER_MS},         {"us", 1}};
    size_t i = 0;

    if (us == 0) {
        text_append(out, "0");
        return;
    }
    while (us % units[i].us != 0)
        i++;
    text_printf(out, "%llu%s", (unsigned long long)(us / units[i].us), units[i].unit);
}

static void describe_duration(const ConfigKey *key, Text *out)
{
    text_append(out, "a duration: a whole number and us, ms, s, min, h or d, from ");
    append_duration(out, key->minimum);
    text_append(out, " to ");
    append_duration(out, key->maximum);
}

const ConfigType config_type_duration = {parse_duration, describe_duration, false};

/* Names of choices */

static int parse_bool(const ConfigKey *key, const char *value, Config *config)
{
    static const char *const names[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(value, names[i]) == 0) {
            *(bool *)config_field(key, config) = i % 2 == 1;
            return 0;
        }
    return CONFIG_E_INVALID;
}

static void describe_bool(const ConfigKey *key UNUSED, Text *out)
{
    text_append(out, "yes, no");
}

const ConfigType config_type_bool = {parse_bool, describe_bool, false};

static int parse_mode(const ConfigKey *key, const char *value, Config *config)
{
    static const char *const names[] = {[SYNC_MODE_DIRECT] = "direct",
                                        [SYNC_MODE_BACKEND] = "backend",
                                        [SYNC_MODE_OBSERVE] = "observe"};

    for (SyncMode mode = SYNC_MODE_DIRECT; mode <= SYNC_MODE_OBSERVE; mode++)
        if (strcmp(value, names[mode]) == 0) {
            *(SyncMode *)config_field(key, config) = mode;
            return 0;
        }
    return CONFIG_E_INVALID;
}

static void describe_mode(const ConfigKey *key UNUSED, Text *out)
{
    text_append(out, "direct, backend, observe");
}

const ConfigType config_type_mode = {parse_mode, describe_mode, false};

static int parse_level(const ConfigKey *key, const char *value, Config *config)
{
    LogLevel *field = config_field(key, config);

    return log_level_parse(value, field) ? 0 : CONFIG_E_INVALID;
}

static void describe_level(const ConfigKey *key UNUSED, Text *out)
{
    for (LogLevel level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
        text_printf(out, "%s%s", level == LOG_LEVEL_ERROR ? "" : ", ", log_level_name(level));
}

const ConfigType config_type_level = {parse_level, describe_level, false};

/* Lists of globs */

static int parse_globs(const ConfigKey *key, const char *value, Config *config)
{
    GlobList *list = (GlobList *)(void *)((char *)config + key->globs);
    int r;

    if (strchr(value, '/'))
        return CONFIG_E_INVALID; /* a glob is matched with a name and would never fit */
    r = glob_list_parse(list, value);
    return r != 0 ? r : config_take_string(key, config, strdup(value));
}

static void describe_globs(const ConfigKey *key UNUSED, Text *out)
{
    text_append(out, "globs for names, separated by spaces, without slashes, such as *.tmp ._*");
}

const ConfigType config_type_globs = {parse_globs, describe_globs, true};
