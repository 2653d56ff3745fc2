/* A configuration file may be anything. One that is accepted must survive being printed. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "util/cleanup.h"
#include "util/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 0, CONFIG_E_INVALID or a negative errno, as config_load(). */
static int load(const void *data, size_t size, Config **ret_config, Text *errors)
{
    CLEANUP_CLOSE int fd = memfd_create("config", MFD_CLOEXEC);
    char path[64];
    const ConfigSources sources = {.file = path};

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return -EIO;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return config_load(&sources, ret_config, errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(config_free_p) Config *again = NULL;
    CLEANUP(text_done) Text errors = {0};
    CLEANUP(text_done) Text printed = {0};
    const int r = load(data, size, &config, &errors);

    assert(r == 0 || (r == CONFIG_E_INVALID && errors.length > 0) || r < 0);
    if (r != 0)
        return 0;
    assert(config_print(config, &printed) == 0);
    assert(load(printed.data, printed.length, &again, &errors) == 0);
    assert(strcmp(config->database_path, again->database_path) == 0);
    assert(strcmp(config->watch_ignore, again->watch_ignore) == 0);
    assert(config->watch_settle == again->watch_settle);
    assert(config->media_max_file_size == again->media_max_file_size);
    return 0;
}
