#pragma once
/* Ids of rows as the state database keeps them: a UUID takes 16 bytes, not 36. */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/uuid.h"

#define ROW_ID_UUID_SIZE 16

typedef struct RowId {
    bool is_uuid;
    size_t size;                     /* of bytes, or of text */
    uint8_t bytes[ROW_ID_UUID_SIZE]; /* of a UUID in lower case */
    const char *text;                /* of any other id. Borrowed */
} RowId;

void row_id_parse(RowId *ret_id, const char *text, size_t size);
void row_id_format(const uint8_t bytes[ROW_ID_UUID_SIZE], char text[UUID_TEXT_SIZE]);
/* Borrowed until the statement is released; the RowId must stay, too. */
void row_id_bind(sqlite3_stmt *statement, int index, const RowId *id);
/* The id in a column as text; NULL when it holds none. Borrowed: buffer's, or the statement's. */
const char *row_id_column(sqlite3_stmt *statement, int column, char buffer[UUID_TEXT_SIZE]);
