/*
 * Proof
 *
 * Rows go only when their absence is proven on the file system that they speak of. Each folder's
 * row remembers the identifier of its file system; when another one is found, either a drive got a
 * new identifier, or another drive is in its place. One file that is what its row says proves the
 * first, for all directories of that file system.
 *
 * Directories that were compared before the proof came are kept here and compared again when the
 * scans have ended; those of a file system that nothing proved are left alone.
 */
#include <stdlib.h>

#include "sync/engine-private.h"
#include "util/log.h"

#define UNPROVEN_MAX 4096

static void unproven_free(Engine *engine, UnprovenNode *unproven)
{
    list_remove(&unproven->link);
    engine->n_unproven--;
    (void)node_unref(unproven->node);
    free(unproven);
}

static void unproven_add(Engine *engine, Node *node, const VolumeProof *volume)
{
    UnprovenNode *unproven =
        engine->n_unproven < UNPROVEN_MAX ? calloc(1, sizeof(*unproven)) : NULL;

    if (!unproven)
        return; /* compared by the next scan */
    unproven->node = node_ref(node);
    unproven->volume = *volume;
    list_append(&engine->unproven, &unproven->link);
    engine->n_unproven++;
}

static void tell_online(Place *place, const Node *node)
{
    CLEANUP_FREE char *path = node_path_new(node);

    if (place->told && path)
        log_event(LOG_LEVEL_NOTICE, LOG_EVENT_ROOT_ONLINE, NULL, path, "%s is online again", path);
    place->told = false;
}

/* place_prove() - take in what the comparison of a directory says about its file system */
void place_prove(Engine *engine, Node *node, const ReconcileResult *result)
{
    Place *place = place_of(engine, node);

    if (!place)
        return;
    if (result->proves_volume)
        place->proof = result->volume;
    node->trusted = result->verdict == RECONCILE_VERDICT_TRUSTED;
    node->foreign = !node->trusted;
    if (node->foreign)
        unproven_add(engine, node, &result->volume);
    else if (place->told && node->place > 0)
        tell_online(place, node);
}

/* Said once for each place: all of it is the same drive. */
static void tell_foreign(Engine *engine, Node *node)
{
    Place *place = place_of(engine, node);
    CLEANUP_FREE char *path = node_path_new(node);

    if (!place || place->told || !path)
        return;
    place->told = true;
    log_event(LOG_LEVEL_WARNING, LOG_EVENT_ROOT_OFFLINE, NULL, path,
              "%s is offline (another file system, or an empty mount point, is in its place): its "
              "photos stay in the library",
              path);
}

static bool is_proven(const VolumeProof *proof, const VolumeProof *volume)
{
    return proof->from == volume->from && proof->to == volume->to;
}

/* places_judge() - scans have ended: compare again what is proven by now, leave the rest alone */
void places_judge(Engine *engine)
{
    for (size_t left = engine->n_unproven; left > 0; left--) {
        UnprovenNode *unproven = CONTAINER_OF(list_first(&engine->unproven), UnprovenNode, link);
        Node *node = unproven->node;
        const Place *place = node->detached ? NULL : place_of(engine, node);

        if (node_is_hung(engine, node)) { /* its scan has not ended */
            list_remove(&unproven->link);
            list_append(&engine->unproven, &unproven->link);
            continue;
        }
        if (place && node->foreign && is_proven(&place->proof, &unproven->volume))
            dirty_add(engine, node, true);
        else if (place && node->foreign)
            tell_foreign(engine, node);
        unproven_free(engine, unproven);
    }
}

void proof_done(Engine *engine)
{
    for (ListNode *link; (link = list_first(&engine->unproven));)
        unproven_free(engine, CONTAINER_OF(link, UnprovenNode, link));
}
