#pragma once
/* What the files of sync/renames*.c share. */

#include "sync/renames.h"

/* ---- the table: sync/renames-table.c ---- */

Rename *renames_in_air(const Renames *renames, uint32_t cookie); /* or NULL */
Rename *rename_new(Renames *renames, const char *path); /* without a place; NULL without memory */
void rename_lift(Renames *renames, Rename *rename);     /* takes it from its place */
void rename_drop(Renames *renames, Rename *rename);     /* takes it out, and nothing else */
/* Puts it at a name, where no other is. Without memory it is forgotten: false. */
bool rename_place(Renames *renames, Rename *rename, Node *dir, const char *name);
bool rename_fly(Renames *renames, Rename *rename, Node *dir, const char *name, uint32_t cookie);
bool rename_set_from(Renames *renames, Rename *rename, char *path); /* takes path over */
void rename_free_name(Node **dir, char **name);

/* ---- what arrived before it left: sync/renames-strays.c ---- */

void renames_clear_strays(Renames *renames);
void renames_note_stray(Renames *renames, Node *dir, const char *name, const char *path,
                        uint32_t cookie);
bool renames_take_stray(Renames *renames, uint32_t cookie, RenameStray *ret_stray);
void rename_stray_done(RenameStray *stray);

/* ---- doubts: sync/renames-doubts.c ---- */

Rename *rename_stand_in(Renames *renames, const char *name); /* NULL without memory */
void rename_set_partner(Rename *rename, Rename *partner);
void rename_end_doubt(Rename *rename); /* it is known what it is */
void rename_is_found(Renames *renames, Rename *rename);
void rename_confirm(Renames *renames, Rename *rename); /* it was an exchange */
bool rename_is_lost(const Rename *rename);
bool rename_is_telling(const Rename *rename);

void renames_forget_last(Renames *renames);
void renames_note_left(Renames *renames, const Node *dir, const char *name, uint32_t cookie);
void renames_note_arrived(Renames *renames, const Rename *rename, Node *dir, const char *name,
                          const char *under);
void renames_rebase_last(Renames *renames, const PathMove *moves, size_t n_moves);
void renames_move_last(Renames *renames, const char *from, const char *to);
bool renames_is_exchange(const Renames *renames, const Node *dir, const char *name,
                         uint32_t cookie);
void renames_exchange(Renames *renames, Rename *rename, Node *dir, const char *name);
