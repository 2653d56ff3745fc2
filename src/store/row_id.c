/*
 * Ids of rows in the state database
 *
 * PictoPy's ids are UUIDs in lower case. One that is becomes a BLOB of 16 bytes; any other text
 * stays the text it is. SQLite never takes the one for the other, so there is nothing to escape.
 */

#include "store/row_id.h"

#include <string.h>

/* The value of a digit, in lower case only: what is read back must be the text that was written. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hyphen(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static bool parse_uuid(uint8_t bytes[ROW_ID_UUID_SIZE], const char *text, size_t size)
{
    size_t n = 0;

    if (size != UUID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < size;) {
        int high, low;

        if (is_hyphen(i)) {
            if (text[i++] != '-')
                return false;
            continue;
        }
        high = hex_value(text[i++]);
        low = hex_value(text[i++]);
        if (high < 0 || low < 0)
            return false;
        bytes[n++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* row_id_parse() - takes an id apart; text (NULL: no id, as "") is borrowed */
void row_id_parse(RowId *ret_id, const char *text, size_t size)
{
    *ret_id = (RowId){.text = text ? text : "", .size = text ? size : 0};
    ret_id->is_uuid = parse_uuid(ret_id->bytes, ret_id->text, ret_id->size);
}

/* row_id_bind() - binds an id as it is stored */
void row_id_bind(sqlite3_stmt *statement, int index, const RowId *id)
{
    if (id->is_uuid)
        (void)sqlite3_bind_blob64(statement, index, id->bytes, sizeof(id->bytes), SQLITE_STATIC);
    else
        (void)sqlite3_bind_text64(statement, index, id->text, id->size, SQLITE_STATIC, SQLITE_UTF8);
}

/* row_id_format() - a UUID as PictoPy writes it */
void row_id_format(const uint8_t bytes[ROW_ID_UUID_SIZE], char text[UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;

    for (size_t i = 0; i < ROW_ID_UUID_SIZE; i++) {
        if (is_hyphen(n))
            text[n++] = '-';
        text[n++] = digits[bytes[i] >> 4];
        text[n++] = digits[bytes[i] & 0xf];
    }
    text[n] = '\0';
}

/* row_id_column() - an id that was stored, as text */
const char *row_id_column(sqlite3_stmt *statement, int column, char buffer[UUID_TEXT_SIZE])
{
    int type = sqlite3_column_type(statement, column);
    const uint8_t *bytes;

    if (type == SQLITE_TEXT)
        return (const char *)sqlite3_column_text(statement, column);
    bytes = sqlite3_column_blob(statement, column);
    if (type != SQLITE_BLOB || sqlite3_column_bytes(statement, column) != ROW_ID_UUID_SIZE)
        return NULL;
    row_id_format(bytes, buffer);
    return buffer;
}
