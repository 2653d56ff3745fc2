/*
 * Files that arrived before they left
 *
 * Events of a directory that is only now being watched wait until it is in the tree
 * (watch/watcher.c). What leaves it for a directory that is watched has arrived there before it is
 * heard of that it left. So the last files that arrived, and that nothing was known of, are
 * remembered as long as nothing else happens at their names.
 */
#include "sync/renames-private.h"

#include <stdlib.h>
#include <string.h>

static void stray_clear(RenameStray *stray)
{
    rename_free_name(&stray->dir, &stray->name);
    free(stray->path);
    *stray = (RenameStray){0};
}

static void stray_lose(Renames *renames, RenameStray *stray)
{
    renames->strays_lost |= stray->dir != NULL;
    stray_clear(stray);
}

/* renames_clear_strays() - forget all of them */
void renames_clear_strays(Renames *renames)
{
    for (size_t i = 0; i < RENAMES_STRAYS; i++)
        stray_lose(renames, &renames->strays[i]);
    renames->n_strays = 0;
}

/* renames_note_stray() - it arrived at this name; path: of the name's row. Without memory it is not
 * remembered */
void renames_note_stray(Renames *renames, Node *dir, const char *name, const char *path,
                        uint32_t cookie)
{
    RenameStray *stray = &renames->strays[renames->n_strays++ % RENAMES_STRAYS];

    stray_lose(renames, stray);
    stray->name = strdup(name);
    stray->path = strdup(path);
    stray->dir = node_ref(dir);
    stray->cookie = cookie;
    if (!stray->name || !stray->path)
        stray_clear(stray);
}

/* renames_forget_stray() - something else has happened at this name. Returns whether one was there
 */
bool renames_forget_stray(Renames *renames, const Node *dir, const char *name)
{
    bool found = false;

    for (size_t i = 0; i < RENAMES_STRAYS && i < renames->n_strays; i++) {
        RenameStray *stray = &renames->strays[i];

        if (stray->dir == dir && strcmp(stray->name, name) == 0) {
            stray_clear(stray);
            found = true;
        }
    }
    return found;
}

/* renames_take_stray() - the one that has arrived with this cookie; the caller's to clear with
 * rename_stray_done(). False: none has */
bool renames_take_stray(Renames *renames, uint32_t cookie, RenameStray *ret_stray)
{
    for (size_t i = 0; i < RENAMES_STRAYS && i < renames->n_strays; i++) {
        RenameStray *stray = &renames->strays[i];

        if (!stray->dir || stray->cookie != cookie)
            continue;
        *ret_stray = *stray;
        *stray = (RenameStray){0};
        return true;
    }
    return false;
}

void rename_stray_done(RenameStray *stray)
{
    stray_clear(stray);
}
