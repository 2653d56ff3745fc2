/*
 * media-read [-t DIR] FILE… - reads photos and videos through real worker processes, as the daemon
 * does, and prints one JSON object a line: path, status, error, metadata, captured_at and the size
 * of the thumbnail. With -t the thumbnails go to DIR, named by the number of the file, from 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "loop/signal.h"
#include "media/metadata.h"
#include "media/pool.h"

typedef struct Read {
    MediaJob job;
    const char *path;
    int number;
} Read;

static Loop *loop;
static const char *thumbnails;

static const char *status_name(MediaStatus status)
{
    static const char *const names[] = {"ok",      "undecodable", "too large", "unreadable",
                                        "changed", "crashed",     "timeout",   "cancelled"};

    return names[status];
}

static void save_thumbnail(const Read *read)
{
    char name[4096];
    char buffer[65536];
    FILE *out;
    ssize_t n;
    off_t offset = 0;

    (void)snprintf(name, sizeof(name), "%s/%d.jpg", thumbnails, read->number);
    out = fopen(name, "w");
    if (!out) {
        perror(name);
        exit(2);
    }
    while ((n = pread(read->job.thumbnail_fd, buffer, sizeof(buffer), offset)) > 0) {
        (void)fwrite(buffer, 1, (size_t)n, out);
        offset += n;
    }
    (void)fclose(out);
}

static json_t *compose(const Read *read)
{
    char *text = NULL;
    json_t *json;

    if (read->job.status != MEDIA_STATUS_OK ||
        metadata_compose(&read->job.facts, read->path, NULL, &text) < 0)
        return json_null();
    json = json_loads(text, 0, NULL);
    free(text);
    return json;
}

static void print(Read *read)
{
    const MediaFacts *facts = &read->job.facts;
    const char *captured_at = media_facts_captured_at(facts);
    char fingerprint[17];
    json_t *line;
    char *text;

    (void)snprintf(fingerprint, sizeof(fingerprint), "%016llx",
                   (unsigned long long)facts->fingerprint);
    line = json_pack("{s:s, s:s, s:s, s:o, s:s?, s:s, s:[ii], s:i}", "path", read->path, "status",
                     status_name(read->job.status), "error", read->job.error, "metadata",
                     compose(read), "captured_at", captured_at, "fingerprint", fingerprint,
                     "thumbnail_size", facts->thumbnail_width, facts->thumbnail_height, "number",
                     read->number);
    text = json_dumps(line, 0);
    puts(text);
    free(text);
    json_decref(line);
}

static void done(MediaJob *job)
{
    Read *read = CONTAINER_OF(job, Read, job);

    print(read);
    if (job->thumbnail_fd >= 0) {
        if (thumbnails)
            save_thumbnail(read);
        (void)close(job->thumbnail_fd);
    }
    free(read);
}

static void submit(MediaPool *pool, const char *path, int number)
{
    Read *read = calloc(1, sizeof(*read));

    *read = (Read){
        .job = {.kind = media_kind_of(path), .sidecar_fd = -1, .done = done},
        .path = path,
        .number = number,
    };
    read->job.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (read->job.fd < 0) {
        perror(path);
        exit(2);
    }
    media_pool_submit(pool, &read->job);
}

static int run(int n_files, char **files)
{
    MediaPoolOptions options = {
        .program = "/proc/self/exe",
        .n_workers = 2,
        .thumbnail_size = 600,
        .thumbnail_quality = 75,
        .timeout_us = UINT64_C(30000000),
        .max_pixels = 200000000,
        .max_file_size = UINT64_C(1) << 30,
    };
    CLEANUP(loop_free_p) Loop *own_loop = NULL;
    CLEANUP(timers_free_p) Timers *timers = NULL;
    CLEANUP(media_pool_free_p) MediaPool *pool = NULL;
    int i = 0;

    if (loop_create(&own_loop) < 0 || timers_create(own_loop, &timers) < 0 ||
        media_pool_create(own_loop, timers, &options, &pool) < 0)
        return 2;
    loop = own_loop;
    while (i < n_files || media_pool_backlog(pool) > 0) {
        while (i < n_files && media_pool_backlog(pool) < 2 * options.n_workers) {
            submit(pool, files[i], i);
            i++;
        }
        if (loop_run_once(loop, -1) < 0)
            return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int option;

    if (argc == 2 && strcmp(argv[1], "media-worker") == 0)
        return media_worker_main(3);
    while ((option = getopt(argc, argv, "t:")) != -1) {
        if (option != 't')
            return 2;
        thumbnails = optarg;
    }
    return run(argc - optind, argv + optind);
}
