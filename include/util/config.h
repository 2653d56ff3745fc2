#pragma once
/* The configuration: built-in defaults, then the file, then the environment, then --set. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/log.h"
#include "util/path.h"
#include "util/text.h"

typedef enum SyncMode {
    SYNC_MODE_DIRECT,
    SYNC_MODE_BACKEND,
    SYNC_MODE_OBSERVE,
} SyncMode;

typedef struct Config {
    char *source; /* the file it was read from; NULL when there was none */

    char *database_path;
    char *thumbnails_directory;
    unsigned thumbnails_size;             /* pixels of the longer side, 16 … 4096 */
    unsigned thumbnails_quality;          /* 1 … 100 */
    uint64_t thumbnails_collect_after;    /* µs */
    uint64_t thumbnails_collect_interval; /* µs; 0 = never */
    char *state_directory;

    char *http_listen;              /* host:port; port 0 takes a free one */
    char *http_allowed_origins;     /* separated by spaces */
    char *http_shutdown_token_file; /* "" = off */

    char *backend_url;

    SyncMode sync_mode;
    bool sync_inherit_ai_tagging;
    bool sync_retag_modified;
    uint64_t sync_import_grace;   /* µs: how long a new not_started folder is left alone */
    unsigned sync_graveyard_days; /* how long deleted rows are kept; 0 = not */
    uint64_t sync_graveyard_size; /* bytes: how much of them */

    unsigned sync_guard_percent; /* of a root's rows: more than this many … */
    uint64_t sync_guard_files;   /* … and more than these are not removed unconfirmed */

    uint64_t watch_settle;             /* µs */
    uint64_t watch_settle_create;      /* µs, after a bare CREATE */
    uint64_t watch_settle_limit;       /* µs: the hard limit for a path that never rests */
    uint64_t watch_poll_interval;      /* µs */
    uint64_t watch_reconcile_interval; /* µs; 0 = never */
    uint64_t watch_hung_after;         /* µs */
    unsigned watch_limit_share;        /* per cent of the kernel's limit of watches */
    char *watch_ignore;
    char *watch_ignore_files;
    GlobList ignore_directories; /* watch_ignore, parsed */
    GlobList ignore_files;       /* watch_ignore_files, parsed */

    unsigned media_workers;       /* 0: as many as processors, at most 4 */
    uint64_t media_timeout;       /* µs for one file */
    uint64_t media_max_pixels;    /* a photo with more is a problem */
    uint64_t media_max_file_size; /* bytes; a larger photo is a problem */

    LogLevel log_level;

    struct ConfigValue *values; /* where each came from, for config_print() */
} Config;

/* How a configuration is found and overridden. Strings are borrowed. */
typedef struct ConfigSources {
    const char *file;      /* --config; NULL: the usual places */
    char *const *settings; /* --set section.key=value */
    size_t n_settings;
} ConfigSources;

#define CONFIG_E_INVALID 1 /* errors says what, where, and which values are accepted */

int config_load(const ConfigSources *sources, Config **ret_config, Text *errors);
/* The effective configuration as an INI file with the source of each value in a comment. */
int config_print(const Config *config, Text *out);
/* Names the keys that a reload to wanted leaves as they are in running; nothing when there is none.
 */
void config_print_waiting(const Config *running, const Config *wanted, Text *out);
Config *config_free(Config *config);
CLEANUP_DEFINE(Config *, config_free)
