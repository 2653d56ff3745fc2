/*
 * The table of renames
 *
 * Its entries are found by the row that they are of, by the name that their file is at, and while
 * they are in the air by their cookie. What events make of them is in sync/renames.c.
 */
#include "sync/renames-private.h"

#include <stdlib.h>
#include <string.h>

/* renames_init() - an empty table */
void renames_init(Renames *renames)
{
    *renames = (Renames){0};
    list_init(&renames->all);
    list_init(&renames->asked);
    list_init(&renames->doomed);
    list_init(&renames->doubtful);
}

/* ---- keys ---- */

static uint64_t name_hash(const Node *dir, const char *name)
{
    return hash_bytes(name, strlen(name), (uint64_t)(uintptr_t)dir);
}

static uint64_t path_hash(const char *path)
{
    return hash_bytes(path, strlen(path), 0);
}

static uint64_t cookie_hash(uint32_t cookie)
{
    return hash_bytes(&cookie, sizeof(cookie), 0);
}

/* renames_at() - the entry whose file is at this name, or NULL */
Rename *renames_at(const Renames *renames, const Node *dir, const char *name)
{
    if (renames->names.count == 0)
        return NULL;
    for (HashNode *h = hash_first(&renames->names, name_hash(dir, name)); h; h = hash_next(h)) {
        Rename *rename = CONTAINER_OF(h, Rename, by_place);

        if (rename->dir == dir && strcmp(rename->name, name) == 0)
            return rename;
    }
    return NULL;
}

/* renames_of() - the entry of the row that stands at path in the database, or NULL */
Rename *renames_of(const Renames *renames, const char *path)
{
    if (renames->rows.count == 0)
        return NULL;
    for (HashNode *h = hash_first(&renames->rows, path_hash(path)); h; h = hash_next(h)) {
        Rename *rename = CONTAINER_OF(h, Rename, by_from);

        if (strcmp(rename->from, path) == 0)
            return rename;
    }
    return NULL;
}

/* renames_in_air() - the entry that left with this cookie and has not arrived, or NULL */
Rename *renames_in_air(const Renames *renames, uint32_t cookie)
{
    if (renames->air.count == 0)
        return NULL;
    for (HashNode *h = hash_first(&renames->air, cookie_hash(cookie)); h; h = hash_next(h)) {
        Rename *rename = CONTAINER_OF(h, Rename, by_place);

        if (rename->cookie == cookie)
            return rename;
    }
    return NULL;
}

/* ---- entries ---- */

/* rename_free_name() - forget a place: both are NULL then */
void rename_free_name(Node **dir, char **name)
{
    *dir = node_unref(*dir);
    free(*name);
    *name = NULL;
}

/* rename_lift() - take it out of the table of its place */
void rename_lift(Renames *renames, Rename *rename)
{
    if (!rename->dir)
        return;
    hash_remove(rename->in_air ? &renames->air : &renames->names, &rename->by_place);
    rename->in_air = false;
    rename_free_name(&rename->dir, &rename->name);
}

/* rename_drop() - take it out of all tables, and nothing else */
void rename_drop(Renames *renames, Rename *rename)
{
    rename_end_doubt(rename);
    for (Rename *doubter; (doubter = rename_doubter(rename));)
        rename_set_partner(doubter, NULL);
    rename_lift(renames, rename);
    hash_remove(&renames->rows, &rename->by_from);
    list_remove(&rename->link);
    list_remove(&rename->asked);
    renames->count--;
    if (rename->writing)
        *rename->writing = NULL;
    free(rename->from);
    free(rename->id);
    free(rename->over);
    free(rename);
}

/*
 * renames_forget() - the row stays where it is, and belongs to what is there
 *
 * Of one that is being written that is where it is being written to. Those that doubt because of it
 * are forgotten too where they have no place: their files are at neither of the two names. So is
 * its partner, where nothing else tells of that.
 */
void renames_forget(Renames *renames, Rename *rename)
{
    Rename *partner = rename->partner;

    rename_end_doubt(rename);
    list_append(&renames->doomed, &rename->doubter);
    if (partner && rename_is_lost(partner))
        list_append(&renames->doomed, &partner->doubter);
    for (ListNode *link; (link = list_take(&renames->doomed));) {
        Rename *next = CONTAINER_OF(link, Rename, doubter);

        LIST_FOREACH_SAFE (other, tmp, &next->doubters) {
            Rename *doubter = CONTAINER_OF(other, Rename, doubter);

            if (doubter->dir || doubter->judged)
                continue;
            rename_end_doubt(doubter);
            list_append(&renames->doomed, &doubter->doubter);
        }
        rename_drop(renames, next);
    }
}

/* rename_new() - an entry without a place; NULL when memory runs out */
Rename *rename_new(Renames *renames, const char *path)
{
    Rename *rename = calloc(1, sizeof(*rename));

    if (!rename)
        return NULL;
    rename->from = strdup(path);
    if (!rename->from || hash_insert(&renames->rows, &rename->by_from, path_hash(path)) < 0) {
        free(rename->from);
        free(rename);
        return NULL;
    }
    rename->renames = renames;
    list_init(&rename->doubters);
    list_append(&renames->all, &rename->link);
    renames->count++;
    return rename;
}

/*
 * rename_set_from() - its row stands at another path now
 * @path: taken over; NULL: there was no memory for it
 * Without memory it is forgotten: false.
 */
bool rename_set_from(Renames *renames, Rename *rename, char *path)
{
    hash_remove(&renames->rows, &rename->by_from);
    if (path) {
        free(rename->from);
        rename->from = path;
    }
    /* The table had room for it a moment ago. */
    (void)hash_insert(&renames->rows, &rename->by_from, path_hash(rename->from));
    if (!path)
        rename_drop(renames, rename);
    return path != NULL;
}

/* rename_place() - put it at a name, where no other is. Without memory it is forgotten: false. */
bool rename_place(Renames *renames, Rename *rename, Node *dir, const char *name)
{
    Node *ref = node_ref(dir);
    char *copy = strdup(name);

    rename_lift(renames, rename);
    if (!copy || hash_insert(&renames->names, &rename->by_place, name_hash(dir, name)) < 0) {
        rename_free_name(&ref, &copy);
        renames_forget(renames, rename);
        return false;
    }
    rename->dir = ref;
    rename->name = copy;
    return true;
}

/* rename_fly() - it has left this name and has come up nowhere yet. Without memory it is forgotten:
 * false. */
bool rename_fly(Renames *renames, Rename *rename, Node *dir, const char *name, uint32_t cookie)
{
    Node *ref = node_ref(dir);
    char *copy = strdup(name);

    rename_lift(renames, rename);
    if (!copy || hash_insert(&renames->air, &rename->by_place, cookie_hash(cookie)) < 0) {
        rename_free_name(&ref, &copy);
        renames_forget(renames, rename);
        return false;
    }
    rename->dir = ref;
    rename->name = copy;
    rename->in_air = true;
    rename->cookie = cookie;
    rename->unsure = false;
    return true;
}

/* renames_clear() - forget everything: events were lost, or nothing is pending any more */
void renames_clear(Renames *renames)
{
    for (ListNode *link; (link = list_first(&renames->all));)
        renames_forget(renames, CONTAINER_OF(link, Rename, link));
    renames_forget_last(renames);
    renames_clear_strays(renames);
    renames->strays_lost = false;
    hash_done(&renames->rows);
    hash_done(&renames->names);
    hash_done(&renames->air);
}
