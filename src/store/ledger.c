/*
 * The ledger of self-writes
 *
 * PictoPy may write into photos, say, the tags that its AI found. It announces each such write: the
 * path, and the size and mtime (in whole seconds) that the file is going to have, in the table
 * self_writes, then renames the new file over the photo. A modified file that is just so is its
 * work, and no reason for the AI to look again, which would have it write again, and so on.
 *
 * An entry counts once, and is taken in the transaction that brings the photo's row up to date: one
 * DELETE finds and takes it, so that two readers could never both have it. Whatever keeps it from
 * being taken (no such table, other columns, a trigger) makes the change a user's, who is the one
 * that must never be overlooked.
 */

#include "store/ledger.h"

#include "util/log.h"

#define CLAIM_SQL "DELETE FROM self_writes WHERE path = ?1 AND file_size = ?2 AND file_mtime = ?3"

/*
 * What kept the entry from being taken, as the result of the claim.
 *
 * A statement that meets a damaged page makes SQLite refuse all that the transaction would write
 * after it; it is begun anew, and the ledger left alone as long as this schema is in use.
 */
static int claim_failed(Writer *w, int r)
{
    sqlite3 *db = w->store->database.handle;
    bool damaged = r == WRITE_E_DATABASE && (w->code & 0xff) == SQLITE_CORRUPT;

    if (!damaged && r != WRITE_E_FAILED)
        return r;
    log_warning("PictoPy's ledger of its own writes cannot be used (%s), ignoring",
                sqlite3_errmsg(db));
    if (damaged) {
        w->store->schema.self_writes = false;
        return WRITE_E_AGAIN;
    }
    return sqlite3_get_autocommit(db) ? r : 0; /* RAISE(ROLLBACK) in a trigger ends it */
}

/*
 * ledger_claim() - takes the ledger's entry for a file that was modified
 * @stamp: what the file is like now; without an inode nothing is known of it
 * @ret_own: there was one
 *
 * Returns 0, also when the ledger cannot be used, or what ends the transaction: WRITE_E_… or
 * -ENOMEM.
 */
int ledger_claim(Writer *w, const char *path, const FileStamp *stamp, bool *ret_own)
{
    int r;

    *ret_own = false;
    if (!w->store->schema.self_writes || stamp->ino == 0)
        return 0;
    r = write_sql(w, CLAIM_SQL, "sii", path, (int64_t)stamp->size, file_stamp_seconds(stamp));
    if (r)
        return claim_failed(w, r);
    *ret_own = sqlite3_changes(w->store->database.handle) > 0;
    return 0;
}
