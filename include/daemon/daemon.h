#pragma once
/* The daemon: composes loop, engine, HTTP server and service manager; start, reload, stop. */

#include "util/config.h"

#define DAEMON_E_RUNNING 1 /* another one serves this database already; logged */
#define DAEMON_E_LISTEN  2 /* the HTTP address cannot be had; logged */

/* Runs until a signal or POST /shutdown asks for the end. sources is used again at a reload. */
int daemon_run(const ConfigSources *sources, Config *config, const char *program);
