/* The table of all keys. A new key is a line here, a field in Config and its words in
 * pictopy-sync.conf, which a test compares with this table. */

#include "util/config_keys.h"

#include <ctype.h>
#include <string.h>

#include "util/clock.h"
#include "util/config_types.h"

#define MS          CLOCK_US_PER_MS
#define SEC         CLOCK_US_PER_SEC
#define HOUR        (3600 * CLOCK_US_PER_SEC)
#define DAY         (24 * HOUR)
#define KIB         UINT64_C(1024)
#define FIELD(name) offsetof(Config, name)

/* clang-format off */
const ConfigKey config_keys[] = {
    {"database.path", &config_type_path, "$XDG_DATA_HOME/PictoPy/database/PictoPy.db",
     FIELD(database_path)},

    {"thumbnails.directory", &config_type_path, "$XDG_DATA_HOME/PictoPy/thumbnails",
     FIELD(thumbnails_directory)},
    {"thumbnails.size", &config_type_unsigned, "600",
     FIELD(thumbnails_size), .minimum = 16, .maximum = 4096},
    {"thumbnails.quality", &config_type_unsigned, "75",
     FIELD(thumbnails_quality), .minimum = 1, .maximum = 100},
    {"thumbnails.collect_after", &config_type_duration, "1d",
     FIELD(thumbnails_collect_after), .minimum = SEC, .maximum = 365 * DAY, .live = true},
    {"thumbnails.collect_interval", &config_type_duration, "1d",
     FIELD(thumbnails_collect_interval), .minimum = 0, .maximum = 365 * DAY, .live = true},

    {"state.directory", &config_type_path, "$STATE_DIRECTORY",
     FIELD(state_directory)},

    {"http.listen", &config_type_listen, "localhost:52124",
     FIELD(http_listen)},
    {"http.allowed_origins", &config_type_origins,
     "tauri://localhost http://tauri.localhost https://tauri.localhost http://localhost:1420",
     FIELD(http_allowed_origins)},
    {"http.shutdown_token_file", &config_type_optional_path, "",
     FIELD(http_shutdown_token_file)},

    {"backend.url", &config_type_url, "http://localhost:52123",
     FIELD(backend_url)},

    {"sync.mode", &config_type_mode, "direct",
     FIELD(sync_mode)},
    {"sync.inherit_ai_tagging", &config_type_bool, "yes",
     FIELD(sync_inherit_ai_tagging)},
    {"sync.retag_modified", &config_type_bool, "yes",
     FIELD(sync_retag_modified), .live = true},
    {"sync.import_grace", &config_type_duration, "10s",
     FIELD(sync_import_grace), .minimum = 0, .maximum = DAY, .live = true},

    {"sync.guard_percent", &config_type_unsigned, "50",
     FIELD(sync_guard_percent), .minimum = 0, .maximum = 100, .live = true},
    {"sync.guard_files", &config_type_number, "100",
     FIELD(sync_guard_files), .minimum = 0, .maximum = UINT64_C(4000000000), .live = true},
    {"sync.graveyard_days", &config_type_unsigned, "30",
     FIELD(sync_graveyard_days), .minimum = 0, .maximum = 36500},
    {"sync.graveyard_size", &config_type_size, "256M",
     FIELD(sync_graveyard_size), .minimum = 0, .maximum = KIB * KIB * KIB * KIB},

    {"watch.settle", &config_type_duration, "200ms",
     FIELD(watch_settle), .minimum = 0, .maximum = HOUR, .live = true},
    {"watch.settle_create", &config_type_duration, "2s",
     FIELD(watch_settle_create), .minimum = 0, .maximum = HOUR, .live = true},
    {"watch.settle_limit", &config_type_duration, "10s",
     FIELD(watch_settle_limit), .minimum = 0, .maximum = DAY, .live = true},
    {"watch.poll_interval", &config_type_duration, "60s",
     FIELD(watch_poll_interval), .minimum = 100 * MS, .maximum = 7 * DAY, .live = true},
    {"watch.reconcile_interval", &config_type_duration, "6h",
     FIELD(watch_reconcile_interval), .minimum = 0, .maximum = 365 * DAY, .live = true},
    {"watch.hung_after", &config_type_duration, "10s",
     FIELD(watch_hung_after), .minimum = 100 * MS, .maximum = HOUR, .live = true},
    {"watch.limit_share", &config_type_unsigned, "90",
     FIELD(watch_limit_share), .minimum = 1, .maximum = 100, .live = true},
    {"watch.ignore", &config_type_globs, ".* @eaDir #recycle lost+found",
     FIELD(watch_ignore), FIELD(ignore_directories), .live = true},
    {"watch.ignore_files", &config_type_globs, "._* .pictopy-write-*.tmp",
     FIELD(watch_ignore_files), FIELD(ignore_files), .live = true},

    {"media.workers", &config_type_unsigned, "0",
     FIELD(media_workers), .minimum = 0, .maximum = 64},
    {"media.timeout", &config_type_duration, "30s",
     FIELD(media_timeout), .minimum = 100 * MS, .maximum = DAY},
    {"media.max_pixels", &config_type_number, "200000000",
     FIELD(media_max_pixels), .minimum = 1, .maximum = UINT64_C(4000000000)},
    {"media.max_file_size", &config_type_size, "512M",
     FIELD(media_max_file_size), .minimum = KIB, .maximum = KIB * KIB * KIB * KIB},

    {"log.level", &config_type_level, "info",
     FIELD(log_level), .live = true},
};
/* clang-format on */

const size_t config_n_keys = sizeof(config_keys) / sizeof(config_keys[0]);

/* config_key_section() - the length of the section's name at the start of key->name */
size_t config_key_section(const ConfigKey *key)
{
    return strcspn(key->name, ".");
}

static bool key_is_in(const ConfigKey *key, const char *section, size_t length)
{
    return config_key_section(key) == length && strncmp(key->name, section, length) == 0;
}

/* config_key_find() - the key of that name in a section (zero-terminated or not), or NULL */
const ConfigKey *config_key_find(const char *section, size_t section_length, const char *name)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (key_is_in(&config_keys[i], section, section_length) &&
            strcmp(config_keys[i].name + section_length + 1, name) == 0)
            return &config_keys[i];
    return NULL;
}

/* config_section_is_known() - has any key that section? */
bool config_section_is_known(const char *section, size_t length)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (key_is_in(&config_keys[i], section, length))
            return true;
    return false;
}

/* config_key_variable() - the environment variable that overrides a key; the caller frees */
char *config_key_variable(const ConfigKey *key)
{
    char *variable;

    if (asprintf(&variable, CONFIG_VARIABLE_PREFIX "%s", key->name) < 0)
        return NULL;
    for (char *c = variable; *c; c++)
        *c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
    return variable;
}
