#pragma once
/* The table of all keys of the configuration: what drives its reading, checking and printing. */

#include "util/config.h"

typedef struct ConfigKey ConfigKey;
typedef struct ConfigType ConfigType;

/* How the values of a kind of key are read. */
struct ConfigType {
    /* Writes value into field (an old one is freed); 0, CONFIG_E_INVALID or -ENOMEM. */
    int (*parse)(const ConfigKey *key, const char *value, Config *config);
    /* Appends which values are accepted. */
    void (*describe)(const ConfigKey *key, Text *out);
    bool is_string; /* the field is a char * */
};

struct ConfigKey {
    const char *name; /* section.key */
    const ConfigType *type;
    const char *fallback;      /* the default, as it would stand in the file */
    size_t field;              /* offset in Config */
    size_t globs;              /* offset of the parsed list, for lists of globs */
    uint64_t minimum, maximum; /* for numbers: µs, bytes, … */
    bool live;                 /* a reload takes it up; else the next start does */
};

/* The environment: PICTOPY_SYNC_SECTION_KEY. */
#define CONFIG_VARIABLE_PREFIX "PICTOPY_SYNC_"

/* Where a value came from. */
typedef enum ConfigOrigin {
    CONFIG_ORIGIN_UNSET,
    CONFIG_ORIGIN_DEFAULT,
    CONFIG_ORIGIN_FILE,
    CONFIG_ORIGIN_ENVIRONMENT,
    CONFIG_ORIGIN_SET,
} ConfigOrigin;

struct ConfigValue {
    ConfigOrigin origin;
    char *text;  /* as given */
    char *place; /* "file:line", the variable's name, or "" */
};

extern const ConfigKey config_keys[];
extern const size_t config_n_keys;

/* A key by its name; NULL when there is none. */
const ConfigKey *config_key_find(const char *section, size_t section_length, const char *name);
/* Is there a section of that name? */
bool config_section_is_known(const char *section, size_t length);
/* The length of the section's name in key->name. */
size_t config_key_section(const ConfigKey *key);
/* The environment variable of a key, PICTOPY_SYNC_SECTION_KEY; the caller frees; NULL: no memory.
 */
char *config_key_variable(const ConfigKey *key);
/* Expands ~ and variables at the start of a path; 0, CONFIG_E_INVALID or -ENOMEM. */
int config_expand_path(const char *value, char **ret_path);
