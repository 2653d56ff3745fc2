#include "store/graveyard.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/command.h"
#include "util/path.h"

#define TRIES        50
#define TRY_PAUSE_NS 100000000L

static int failed(const char *path, const char *why)
{
    CLEANUP_FREE char *shown = path_escape(path);

    (void)fprintf(stderr, COMMAND_PROGRAM ": graveyard: '%s': %s\n", shown ? shown : "?", why);
    return EXIT_FAILURE;
}

static int store_failed(const Config *config, Store *store, int r)
{
    if (r < 0)
        return failed(config->state_directory, strerror(-r));
    (void)fprintf(stderr, COMMAND_PROGRAM ": graveyard: %s%s\n", store_error(store),
                  r == STORE_E_BUSY ? "; try again" : "");
    return EXIT_FAILURE;
}

static int make_store(const Config *config, bool read_only, Store **ret_store)
{
    StoreOptions options = {
        .database_path = config->database_path,
        .thumbnails_directory = config->thumbnails_directory,
        .state_directory = config->state_directory,
        .inherit_ai_tagging = config->sync_inherit_ai_tagging,
        .graveyard_days = config->sync_graveyard_days,
        .graveyard_size = config->sync_graveyard_size,
        .read_only = read_only,
    };
    int r = store_create(&options, ret_store);

    return r < 0 ? failed("graveyard", strerror(-r)) : 0;
}

/* A state directory without a database: nothing was ever kept, and none is made for asking. */
static bool has_state(const Config *config)
{
    CLEANUP_FREE char *path = path_join(config->state_directory, "state.db");
    struct stat st;

    return !path || stat(path, &st) == 0 || errno != ENOENT;
}

/* ---- list ---- */

typedef struct Listing {
    json_t *list; /* with --json */
    uint64_t count;
    uint64_t bytes;
} Listing;

static void put_time(int64_t seconds, const char *format, char *text, size_t size)
{
    time_t when = seconds;
    struct tm tm;

    if (!localtime_r(&when, &tm) || strftime(text, size, format, &tm) == 0)
        text[0] = '\0';
}

/* As ls -h has it: three digits at most, or one and a decimal. */
static void put_size(uint64_t bytes, char text[16])
{
    static const char units[] = "\0KMGTPE";
    double size = (double)bytes;
    size_t unit = 0;

    for (; size >= 1023.5 && unit + 2 < sizeof(units); unit++)
        size /= 1024;
    (void)snprintf(text, 16, unit > 0 && size < 9.95 ? "%.1f%c" : "%.0f%c", size, units[unit]);
}

static int list_json(Listing *listing, const StoreGrave *grave)
{
    CLEANUP_FREE char *shown = path_escape(grave->path);
    char buried[40], expires[40];
    json_t *kept = json_loads(grave->kept, 0, NULL);
    json_t *item;

    put_time(grave->buried_at, "%Y-%m-%dT%H:%M:%S%z", buried, sizeof(buried));
    put_time(grave->expires_at, "%Y-%m-%dT%H:%M:%S%z", expires, sizeof(expires));
    item = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "path", shown ? shown : "", "id",
                     grave->id, "kind", grave->kind == MEDIA_KIND_VIDEO ? "video" : "photo",
                     "buried_at", buried, "expires_at", expires, "bytes", (json_int_t)grave->bytes,
                     "kept", kept ? kept : json_object());
    return json_array_append_new(listing->list, item) ? -ENOMEM : 0;
}

static int list_text(const StoreGrave *grave)
{
    CLEANUP_FREE char *shown = path_escape(grave->path);
    json_t *kept = json_loads(grave->kept, 0, NULL), *count;
    char buried[40], size[16];
    const char *table, *before = "  (";

    put_time(grave->buried_at, "%Y-%m-%d %H:%M", buried, sizeof(buried));
    put_size(grave->bytes, size);
    (void)printf("%s  %5s  %s", buried, size, shown ? shown : "");
    json_object_foreach(kept, table, count)
    {
        (void)printf("%s%s %lld", before, table, (long long)json_integer_value(count));
        before = ", ";
    }
    (void)puts(json_object_size(kept) > 0 ? ")" : "");
    json_decref(kept);
    return 0;
}

static int list_one(void *owner, const StoreGrave *grave)
{
    Listing *listing = owner;

    listing->count++;
    listing->bytes += grave->bytes;
    return listing->list ? list_json(listing, grave) : list_text(grave);
}

static void print_total(const Config *config, Listing *listing)
{
    char size[16];

    if (listing->list) {
        json_t *answer = json_pack("{s:I, s:I, s:O}", "total", (json_int_t)listing->count, "bytes",
                                   (json_int_t)listing->bytes, "graves", listing->list);
        char *text = answer ? json_dumps(answer, JSON_INDENT(2)) : NULL;

        (void)puts(text ? text : "{}");
        free(text);
        json_decref(answer);
        return;
    }
    put_size(listing->bytes, size);
    if (listing->count == 0)
        (void)puts("nothing is kept");
    else
        (void)printf("%llu deleted %s kept for %u days, %s\n", (unsigned long long)listing->count,
                     listing->count == 1 ? "photo or video is" : "photos and videos are",
                     config->sync_graveyard_days, size);
}

static int run_list(const Command *command)
{
    CLEANUP(store_free_p) Store *store = NULL;
    Listing listing = {.list = command->json ? json_array() : NULL};
    int status = make_store(command->config, true, &store);
    int r;

    if (status == 0 && has_state(command->config)) {
        r = store_graveyard_list(store, list_one, &listing);
        if (r)
            status = store_failed(command->config, store, r);
    }
    if (status == 0)
        print_total(command->config, &listing);
    json_decref(listing.list);
    return status;
}

/* ---- restore ---- */

static int write_patiently(Store *store, StoreOp *op)
{
    struct timespec pause = {.tv_nsec = TRY_PAUSE_NS};
    int r = STORE_E_BUSY;

    for (int i = 0; i < TRIES && r == STORE_E_BUSY; i++) {
        if (i > 0)
            (void)nanosleep(&pause, NULL);
        r = store_write(store, op, 1);
    }
    return r;
}

static int restore_at(const Config *config, Store *store, const char *path)
{
    CLEANUP(store_op_done) StoreOp op;
    CLEANUP_FREE char *shown = path_escape(path);
    int r;

    store_op_init(&op, STORE_OP_MEDIA_RESTORE);
    op.path = strdup(path);
    if (!op.path)
        return failed(path, strerror(ENOMEM));
    r = write_patiently(store, &op);
    if (r)
        return store_failed(config, store, r);
    if (op.result != STORE_OP_RESULT_DONE)
        return failed(path, op.error ? op.error : "its row cannot be restored");
    (void)printf("restored %s\n", shown ? shown : "");
    return EXIT_SUCCESS;
}

static int run_restore(const Command *command, const char *operand)
{
    CLEANUP(store_free_p) Store *store = NULL;
    CLEANUP_FREE char *cwd = getcwd(NULL, 0), *path = NULL;
    struct stat st;
    int status;

    if (!cwd || path_normalize(operand, cwd, &path) < 0)
        return failed(operand, strerror(errno));
    if (stat(path, &st) < 0)
        return failed(path, errno == ENOENT || errno == ENOTDIR
                                ? "there is no file; put it back, from the trash or a backup: the "
                                  "running daemon then restores its row by itself"
                                : strerror(errno));
    if (!S_ISREG(st.st_mode))
        return failed(path, "not a file");
    status = make_store(command->config, false, &store);
    return status ? status : restore_at(command->config, store, path);
}

/* ---- purge ---- */

static int run_purge(const Command *command)
{
    CLEANUP(store_free_p) Store *store = NULL;
    uint64_t count = 0;
    int status = make_store(command->config, false, &store);
    int r = 0;

    if (status == 0 && has_state(command->config))
        r = store_graveyard_purge(store, &count);
    if (r)
        return store_failed(command->config, store, r);
    if (status == 0)
        (void)printf("%llu deleted %s no longer kept\n", (unsigned long long)count,
                     count == 1 ? "photo or video is" : "photos and videos are");
    return status;
}

/* ---- the command ---- */

static int bad_usage(const char *what, const char *operand)
{
    (void)fprintf(stderr, COMMAND_PROGRAM ": graveyard: %s%s%s\n", what, operand ? " " : "",
                  operand ? operand : "");
    (void)fputs("Try 'pictopy-sync --help' for more information.\n", stderr);
    return COMMAND_STATUS_USAGE;
}

static int run(const Command *command)
{
    const char *verb = command->n_arguments > 0 ? command->arguments[0] : "list";
    const char *operand = command->n_arguments > 1 ? command->arguments[1] : NULL;
    bool restore = strcmp(verb, "restore") == 0;

    if (!restore && strcmp(verb, "list") != 0 && strcmp(verb, "purge") != 0)
        return bad_usage("unknown operand; it is list, restore PATH or purge, not", verb);
    if (restore && !operand)
        return bad_usage("missing operand: which file?", NULL);
    if (command->n_arguments > (restore ? 2 : 1))
        return bad_usage("extra operand", command->arguments[restore ? 2 : 1]);
    if (command->json && strcmp(verb, "list") != 0)
        return bad_usage("option '--json' is for list", NULL);
    if (restore)
        return run_restore(command, operand);
    return strcmp(verb, "purge") == 0 ? run_purge(command) : run_list(command);
}

/* command_graveyard() - list, restore by hand, or empty what is kept of deleted photos */
int command_graveyard(Command *command)
{
    CLEANUP(config_free_p) Config *config = command->config;

    return run(command);
}
