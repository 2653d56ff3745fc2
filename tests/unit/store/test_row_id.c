/* Ids as the state database keeps them. */

#include "fixture.h"

#include "store/row_id.h"

static void expect_kept(sqlite3 *db, const char *id, int type, int size)
{
    char buffer[UUID_TEXT_SIZE];
    sqlite3_stmt *s = NULL;
    RowId key;

    row_id_parse(&key, id, strlen(id));
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT ?1", -1, &s, NULL), SQLITE_OK);
    row_id_bind(s, 1, &key);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_int_equal(sqlite3_column_type(s, 0), type);
    assert_int_equal(sqlite3_column_bytes(s, 0), size);
    assert_string_equal(row_id_column(s, 0, buffer), id);
    (void)sqlite3_finalize(s);
}

static void test_kept(void **state)
{
    static const char *const others[] = {
        "",
        "1",
        "01234567-89ab-cdef-0123-456789abcdeF", /* read back it must be the same text */
        "01234567-89ab-cdef-0123-456789abcdeg",
        "01234567-89ab-cdef-0123456789abcdef0",
        "01234567-89ab-cdef-0123-456789abcde",
        "0123456789abcdef0123456789abcdef----",
    };
    sqlite3 *db;

    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    expect_kept(db, "01234567-89ab-cdef-0123-456789abcdef", SQLITE_BLOB, ROW_ID_UUID_SIZE);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        expect_kept(db, others[i], SQLITE_TEXT, (int)strlen(others[i]));
    (void)sqlite3_close(db);
}

/* Values that no id was stored as. */
static void test_foreign(void **state)
{
    char buffer[UUID_TEXT_SIZE];
    sqlite3_stmt *s = NULL;
    sqlite3 *db;

    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT x'0102', 7, NULL", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    for (int i = 0; i < 3; i++)
        assert_null(row_id_column(s, i, buffer));
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_foreign),
    };

    return cmocka_run_group_tests_name("store row_id", tests, NULL, NULL);
}
