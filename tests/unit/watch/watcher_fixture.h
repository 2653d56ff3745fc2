#pragma once
/* A watcher on real directories, and a listener that writes down what it is told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/dispatch.h"
#include "loop/timer.h"
#include "util/cleanup.h"
#include "util/list.h"
#include "watch/watcher.h"

typedef struct Fixture Fixture;
struct Fixture {
    char top[64]; /* also the working directory; "lib" in it is the library */
    Loop *loop;
    Timers *timers;
    Watcher *watcher;
    Tree *tree;
    WatchListener listener;
    Node *root;
    Text told;
    size_t n_told;
    char *left; /* the last file that left its name, and its cookie */
    uint32_t left_cookie;
    void (*on_lost)(Fixture *f); /* what the engine may do then; or NULL */
};

static inline Fixture *fixture_of(WatchListener *listener)
{
    return CONTAINER_OF(listener, Fixture, listener);
}

/* The path of a name below the library's root. */
static inline char *below(Fixture *f, const Node *dir, const char *name)
{
    CLEANUP_FREE char *path = node_path_new(dir);
    const char *in = node_root((Node *)dir) == f->root ? path + strlen("lib") : path;
    char *result;

    in += in[0] == '/';
    assert_true(asprintf(&result, "%s%s%s", in, in[0] && name[0] ? "/" : "", name) >= 0);
    return result;
}

static inline void on_changed(WatchListener *listener, Node *dir, const char *name,
                              WatchChange change, bool is_directory)
{
    static const char *const words[] = {"created",   "written", "moved-in",
                                        "moved-out", "removed", "attributes"};
    Fixture *f = fixture_of(listener);
    CLEANUP_FREE char *path = below(f, dir, name);

    f->n_told++;
    text_printf(&f->told, "%s %s%s; ", words[change], path, is_directory ? "/" : "");
}

static inline void on_file_left(WatchListener *listener, Node *dir, const char *name,
                                uint32_t cookie)
{
    Fixture *f = fixture_of(listener);

    free(f->left);
    f->left = below(f, dir, name);
    f->left_cookie = cookie;
}

static inline void on_file_arrived(WatchListener *listener, Node *dir, const char *name,
                                   uint32_t cookie)
{
    Fixture *f = fixture_of(listener);
    CLEANUP_FREE char *new = below(f, dir, name);

    if (f->left && f->left_cookie == cookie)
        text_printf(&f->told, "%s > %s; ", f->left, new);
}

static inline void on_directory_moving(WatchListener *listener, Node *node, Node *to,
                                       const char *to_name)
{
    Fixture *f = fixture_of(listener);
    CLEANUP_FREE char *old = below(f, node, "");
    CLEANUP_FREE char *new = below(f, to, to_name);

    text_printf(&f->told, "%s/ > %s/; ", old, to_name[0] == '\n' ? "(parked)" : new);
}

static inline void on_unwatched_moved(WatchListener *listener UNUSED, const Node *from UNUSED,
                                      const char *from_name UNUSED, const Node *to UNUSED,
                                      const char *to_name UNUSED)
{
}

static inline void on_unplaced(WatchListener *listener, Node *node)
{
    Fixture *f = fixture_of(listener);

    text_printf(&f->told, "unplaced %s; ", node->wd >= 0 ? "watched" : "unwatched");
    f->n_told++;
    tree_remove(f->tree, node);
}

static inline void on_lost(WatchListener *listener, Node *node)
{
    Fixture *f = fixture_of(listener);
    CLEANUP_FREE char *path = below(f, node, "");

    text_printf(&f->told, "lost %s; ", path[0] == '\0' ? "the root" : path);
    if (f->on_lost)
        f->on_lost(f);
}

static inline void on_overflow(WatchListener *listener)
{
    text_append(&fixture_of(listener)->told, "overflow; ");
}

/* As a volume thread watches a directory. */
static inline int watch(Fixture *f, const char *path)
{
    int wd = inotify_add_watch(watcher_fd(f->watcher), path, EVENT_WATCH_MASK);

    assert_true(wd >= 0);
    return wd;
}

/* mkdir below the library, watched and in the tree, without the event of its making. */
static inline Node *make(Fixture *f, Node *parent, const char *name)
{
    CLEANUP_FREE char *above = node_path_new(parent);
    CLEANUP_FREE char *path = NULL;
    Node *node;

    assert_true(asprintf(&path, "%s/%s", above, name) >= 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(tree_add(f->tree, parent, name, &node), 0);
    assert_int_equal(tree_set_wd(f->tree, node, watch(f, path)), 0);
    watcher_drain(f->watcher);
    text_clear(&f->told);
    return node;
}

static inline void make_file(const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
}

/* One round of the loop; what the listener was told meanwhile must be this. */
#define assert_told(f, expected)                                                                   \
    do {                                                                                           \
        assert_true(loop_run_once((f)->loop, 0) >= 0);                                             \
        assert_string_equal((f)->told.data ? (f)->told.data : "", expected);                       \
        text_clear(&(f)->told);                                                                    \
    } while (0)

static inline void assert_at(Fixture *f, const Node *node, const char *expected)
{
    CLEANUP_FREE char *path = below(f, node, "");

    assert_false(node->detached);
    assert_string_equal(path, expected);
}

/* The kernel's own list of what the descriptor watches. */
static inline size_t watches(const Fixture *f)
{
    char path[64];
    char line[256];
    size_t n = 0;
    FILE *info;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", watcher_fd(f->watcher));
    info = fopen(path, "re");
    assert_non_null(info);
    while (fgets(line, sizeof(line), info))
        n += strncmp(line, "inotify ", 8) == 0;
    (void)fclose(info);
    return n;
}

/* Events in an order that the kernel takes only when several processes are at work. */
typedef struct Script {
    char bytes[4096];
    size_t size;
} Script;

static inline void script_add(Script *script, int wd, uint32_t mask, uint32_t cookie,
                              const char *name)
{
    struct inotify_event event = {.wd = wd, .mask = mask, .cookie = cookie};

    event.len = name[0] == '\0' ? 0 : 32;
    assert_true(script->size + sizeof(event) + event.len <= sizeof(script->bytes));
    memcpy(script->bytes + script->size, &event, sizeof(event));
    memset(script->bytes + script->size + sizeof(event), 0, event.len);
    memcpy(script->bytes + script->size + sizeof(event), name, strlen(name));
    script->size += sizeof(event) + event.len;
}

/* The descriptor reads from a pipe for a moment. */
static inline void script_play(Fixture *f, Script *script)
{
    int fd = watcher_fd(f->watcher);
    int kept = dup(fd);
    int ends[2];

    assert_true(kept >= 0);
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    assert_true(dup2(ends[0], fd) >= 0);
    assert_int_equal(write(ends[1], script->bytes, script->size), script->size);
    watcher_drain(f->watcher);
    assert_true(dup2(kept, fd) >= 0);
    (void)close(kept);
    (void)close(ends[0]);
    (void)close(ends[1]);
    script->size = 0;
}

static inline int setup(void **state)
{
    Fixture *f = calloc(1, sizeof(*f));

    *state = f;
    (void)strcpy(f->top, "/tmp/test-watcher-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    assert_int_equal(chdir(f->top), 0);
    assert_int_equal(mkdir("lib", 0700), 0);
    f->listener = (WatchListener){.changed = on_changed,
                                  .file_left = on_file_left,
                                  .file_arrived = on_file_arrived,
                                  .directory_moving = on_directory_moving,
                                  .unwatched_moved = on_unwatched_moved,
                                  .unplaced = on_unplaced,
                                  .lost = on_lost,
                                  .overflow = on_overflow};
    assert_int_equal(loop_create(&f->loop), 0);
    assert_int_equal(timers_create(f->loop, &f->timers), 0);
    assert_int_equal(watcher_create(f->loop, f->timers, &f->listener, &f->watcher), 0);
    f->tree = watcher_tree(f->watcher);
    assert_int_equal(tree_add_root(f->tree, "lib", &f->root), 0);
    assert_int_equal(tree_set_wd(f->tree, f->root, watch(f, "lib")), 0);
    return 0;
}

static inline int teardown(void **state)
{
    Fixture *f = *state;
    char command[128];

    tree_remove(f->tree, f->root);
    f->watcher = watcher_free(f->watcher);
    f->timers = timers_free(f->timers);
    f->loop = loop_free(f->loop);
    text_done(&f->told);
    free(f->left);
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", f->top);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}
