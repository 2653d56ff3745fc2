#pragma once
/* The kinds of value of the configuration, for its table. */

#include "util/config_keys.h"

extern const ConfigType config_type_path;
extern const ConfigType config_type_optional_path; /* "" = none */
extern const ConfigType config_type_number;        /* uint64_t */
extern const ConfigType config_type_unsigned;      /* unsigned */
extern const ConfigType config_type_size;          /* uint64_t, bytes */
extern const ConfigType config_type_duration;      /* uint64_t, µs */
extern const ConfigType config_type_bool;
extern const ConfigType config_type_mode;
extern const ConfigType config_type_level;
extern const ConfigType config_type_globs;
extern const ConfigType config_type_listen;
extern const ConfigType config_type_origins;
extern const ConfigType config_type_url;

/* Puts a string, NULL when memory ran out, into a key's field; 0 or -ENOMEM. */
int config_take_string(const ConfigKey *key, Config *config, char *string);
