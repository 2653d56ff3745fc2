/*
 * Rows as bytes: the content of a grave.
 *
 * Blocks, each of one table: its kind, the names of the table and of the columns, then rows of
 * values with their types. Everything is said by name, so it can be read when the schema has
 * changed since. Numbers are of 7 bits a byte, the lowest first; strings have their length in front
 * and a zero behind them, so a reader can point at them where they are.
 *
 *     version  { kind table n column…  { 1 value… } 0 }…
 *
 * The reader trusts nothing: the state database may be damaged.
 */

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "store/grave.h"
#include "util/array.h"
#include "util/error.h"

#define CONTENT_VERSION 1
#define COLUMNS_MAX     32767 /* SQLite's own limit */

/* ---- writing ---- */

static void put_byte(Text *content, int byte)
{
    char c = (char)byte;

    text_append_bytes(content, &c, 1);
}

static void put_number(Text *content, uint64_t number)
{
    while (number >= 0x80) {
        put_byte(content, (int)(number & 0x7f) | 0x80);
        number >>= 7;
    }
    put_byte(content, (int)number);
}

static void put_bytes(Text *content, const void *bytes, size_t size)
{
    put_number(content, size);
    text_append_bytes(content, bytes, size);
    put_byte(content, '\0');
}

/* grave_put_begin() - comes first */
void grave_put_begin(Text *content)
{
    put_byte(content, CONTENT_VERSION);
}

/* grave_put_header() - begins a block; put once in front of its rows */
void grave_put_header(Text *content, char kind, const char *table, const char *const *columns,
                      size_t n)
{
    put_byte(content, kind);
    put_bytes(content, table, strlen(table));
    put_number(content, n);
    for (size_t i = 0; i < n; i++)
        put_bytes(content, columns[i], strlen(columns[i]));
}

static void put_value(Text *content, sqlite3_stmt *s, int column)
{
    int type = sqlite3_column_type(s, column);
    int64_t integer;
    double real;

    put_byte(content, type);
    switch (type) {
    case SQLITE_INTEGER: /* small negative ones are short, too: the sign is the lowest bit */
        integer = sqlite3_column_int64(s, column);
        put_number(content, (uint64_t)integer << 1 ^ (integer < 0 ? UINT64_MAX : 0));
        break;
    case SQLITE_FLOAT:
        real = sqlite3_column_double(s, column);
        text_append_bytes(content, &real, sizeof(real));
        break;
    case SQLITE_TEXT:
    case SQLITE_BLOB: { /* the pointer before the size: sqlite3_column_blob(3) */
        const void *bytes = sqlite3_column_blob(s, column);

        put_bytes(content, bytes, (size_t)sqlite3_column_bytes(s, column));
        break;
    }
    default:
        break;
    }
}

/* grave_put_row() - a row: the statement's columns from first on */
void grave_put_row(Text *content, sqlite3_stmt *s, int first)
{
    put_byte(content, 1);
    for (int i = first; i < sqlite3_column_count(s); i++)
        put_value(content, s, i);
}

/* grave_put_end() - ends a block */
void grave_put_end(Text *content)
{
    put_byte(content, 0);
}

/* ---- reading ---- */

static uint8_t take_byte(GraveReader *reader)
{
    if (reader->at == reader->end)
        reader->failed = true;
    return reader->failed ? 0 : *reader->at++;
}

static uint64_t take_number(GraveReader *reader)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = take_byte(reader);

        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return number;
    }
    reader->failed = true;
    return 0;
}

static const char *take_bytes(GraveReader *reader, size_t *ret_size)
{
    uint64_t size = take_number(reader);
    const char *bytes = (const char *)reader->at;

    if (reader->failed || size >= (uint64_t)(reader->end - reader->at) || bytes[size] != '\0') {
        reader->failed = true;
        *ret_size = 0;
        return "";
    }
    reader->at += size + 1;
    *ret_size = size;
    return bytes;
}

static const char *take_string(GraveReader *reader)
{
    size_t size;

    return take_bytes(reader, &size);
}

static void take_value(GraveReader *reader, GraveValue *value)
{
    uint64_t number;

    *value = (GraveValue){.type = take_byte(reader)};
    switch (value->type) {
    case SQLITE_INTEGER:
        number = take_number(reader);
        value->integer = (int64_t)(number >> 1 ^ (number & 1 ? UINT64_MAX : 0));
        break;
    case SQLITE_FLOAT:
        if ((size_t)(reader->end - reader->at) < sizeof(value->real)) {
            reader->failed = true;
            break;
        }
        memcpy(&value->real, reader->at, sizeof(value->real));
        reader->at += sizeof(value->real);
        break;
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        value->bytes = take_bytes(reader, &value->size);
        break;
    case SQLITE_NULL:
        break;
    default:
        reader->failed = true;
    }
}

/* grave_reader_init() - content is borrowed as long as the reader and what it gives are used */
void grave_reader_init(GraveReader *reader, const void *content, size_t size)
{
    *reader = (GraveReader){.at = content, .end = (const uint8_t *)content + size};
    if (take_byte(reader) != CONTENT_VERSION)
        reader->failed = true;
}

static bool reserve(GraveReader *reader, size_t n)
{
    return ARRAY_RESERVE(reader->columns, reader->capacity, n) == 0 &&
           ARRAY_RESERVE(reader->values, reader->values_capacity, n) == 0;
}

/* grave_next_block() - goes to the next block; false at the end, or when the bytes are damaged */
bool grave_next_block(GraveReader *reader)
{
    uint64_t n;

    if (reader->failed || reader->at == reader->end)
        return false;
    reader->kind = (char)take_byte(reader);
    reader->table = take_string(reader);
    n = take_number(reader);
    if (n == 0 || n > COLUMNS_MAX || !reserve(reader, n))
        reader->failed = true;
    for (reader->n = 0; !reader->failed && reader->n < n; reader->n++)
        reader->columns[reader->n] = take_string(reader);
    return !reader->failed;
}

/* grave_next_row() - goes to the next row of the block; false behind its last one */
bool grave_next_row(GraveReader *reader)
{
    if (take_byte(reader) == 0)
        return false;
    for (size_t i = 0; i < reader->n; i++)
        take_value(reader, &reader->values[i]);
    return !reader->failed;
}

/* grave_reader_done() - frees the reader's arrays */
void grave_reader_done(GraveReader *reader)
{
    free(reader->columns);
    free(reader->values);
    *reader = (GraveReader){0};
}

/* grave_bind() - binds a value as it was; borrowed until the statement is released */
void grave_bind(sqlite3_stmt *s, int index, const GraveValue *value)
{
    switch (value->type) {
    case SQLITE_INTEGER:
        (void)sqlite3_bind_int64(s, index, value->integer);
        break;
    case SQLITE_FLOAT:
        (void)sqlite3_bind_double(s, index, value->real);
        break;
    case SQLITE_TEXT:
        (void)sqlite3_bind_text64(s, index, value->bytes, value->size, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case SQLITE_BLOB:
        (void)sqlite3_bind_blob64(s, index, value->bytes, value->size, SQLITE_STATIC);
        break;
    default:
        (void)sqlite3_bind_null(s, index);
    }
}

static int count_rows(GraveReader *reader, json_t *counts)
{
    while (grave_next_block(reader)) {
        json_int_t n = json_integer_value(json_object_get(counts, reader->table));

        while (grave_next_row(reader))
            n++;
        if (reader->kind != GRAVE_BLOCK_ROOT && n > 0 &&
            json_object_set_new(counts, reader->table, json_integer(n)))
            return -ENOMEM;
    }
    return reader->failed ? -EBADMSG : 0;
}

/* grave_summary() - {"faces": 2, …}: how many rows of which tables are kept beside the root's */
int grave_summary(const void *content, size_t size, char **ret_json)
{
    json_t *counts = json_object();
    GraveReader reader;
    int r;

    grave_reader_init(&reader, content, size);
    r = counts ? count_rows(&reader, counts) : -ENOMEM;
    if (!r) {
        *ret_json = json_dumps(counts, JSON_COMPACT | JSON_SORT_KEYS);
        r = *ret_json ? 0 : -ENOMEM;
    }
    grave_reader_done(&reader);
    json_decref(counts);
    return r;
}
