/* Moves of directories: whatever is renamed while rows still follow, each finds its directory. */
#include "sync/moves.h"

#include "../store/fixture.h"

#define THINGS 24
#define STEPS  120
#define SEEDS  200
#define DEPTH  4

/* A directory on disk. The row that it must have; NULL: it was made since, and has none yet. */
typedef struct Thing {
    Node *node; /* NULL: this place is free */
    char *id;
} Thing;

/* The tree plays the disk, too: renames are in it at once. */
typedef struct World {
    Fixture store;
    Moves moves;
    Tree tree;
    Node *root;
    Thing things[THINGS];
    Move *taken[THINGS * 2];
    StoreOp ops[THINGS * 2];
    size_t n_taken;
    unsigned seed;
    bool told; /* each step is printed */
} World;

static int setup(void **state)
{
    World *w = calloc(1, sizeof(*w));

    fixture_init(&w->store);
    moves_init(&w->moves);
    tree_init(&w->tree, NULL, NULL);
    assert_int_equal(tree_add_root(&w->tree, "/r", &w->root), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    World *w = *state;

    moves_clear(&w->moves);
    assert_int_equal(w->moves.by_node.count, 0);
    for (size_t i = 0; i < THINGS; i++)
        free(w->things[i].id);
    tree_remove(&w->tree, w->root);
    tree_done(&w->tree);
    fixture_done(&w->store);
    free(w);
    return 0;
}

__attribute__((format(printf, 2, 3))) static void tell(const World *w, const char *format, ...)
{
    va_list args;

    if (!w->told)
        return;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
}

static unsigned any(World *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

static void tell_place(const World *w, const char *what, const Node *node)
{
    CLEANUP_FREE char *path = node_path_new(node);

    tell(w, "%s %s\n", what, path);
}

/* ---- the disk ---- */

static Thing *thing_of(World *w, const Node *node)
{
    for (size_t i = 0; i < THINGS; i++)
        if (w->things[i].node == node)
            return &w->things[i];
    return NULL;
}

static Thing *any_thing(World *w)
{
    Thing *found = NULL;
    unsigned n = 0;

    for (size_t i = 0; i < THINGS; i++)
        if (w->things[i].node && any(w, ++n) == 0)
            found = &w->things[i];
    return found;
}

static Node *any_directory(World *w)
{
    Thing *thing = any(w, 3) == 0 ? NULL : any_thing(w);

    return thing ? thing->node : w->root;
}

static unsigned depth_of(const Node *node)
{
    unsigned depth = 0;

    while ((node = node->parent))
        depth++;
    return depth;
}

static Thing *make(World *w, Node *parent, const char *name)
{
    Thing *thing = thing_of(w, NULL);

    if (!thing || depth_of(parent) >= DEPTH || tree_child(&w->tree, parent, name))
        return NULL;
    assert_int_equal(tree_add(&w->tree, parent, name, &thing->node), 0);
    tell_place(w, "make", thing->node);
    return thing;
}

static void forget(World *w, Node *top)
{
    for (Node *node = top; node; node = node_next(node, top)) {
        Thing *thing = thing_of(w, node);

        free(thing->id);
        *thing = (Thing){0};
    }
}

static void discard(World *w, Node *node)
{
    tell_place(w, "remove", node);
    forget(w, node);
    tree_remove(&w->tree, node);
}

static void relink(World *w, Node *node, Node *parent, const char *name)
{
    tell_place(w, "rename", node);
    assert_int_equal(tree_move(&w->tree, node, parent, name), 0);
    tell_place(w, "    to", node);
}

static void move(World *w, Node *node, Node *parent, const char *name)
{
    Node *there = tree_child(&w->tree, parent, name);

    if (node_is_within(parent, node) || (there && there->first_child) || there == node)
        return;
    if (there)
        discard(w, there);
    assert_in_range(moves_record(&w->moves, node), 0, MOVES_E_NO_ROWS);
    relink(w, node, parent, name);
}

static void exchange(World *w, Node *a, Node *b)
{
    CLEANUP_FREE char *a_name = strdup(node_name(a)), *b_name = strdup(node_name(b));
    Node *a_parent = a->parent, *b_parent = b->parent;

    if (node_is_within(a, b) || node_is_within(b, a))
        return;
    assert_in_range(moves_record(&w->moves, a), 0, MOVES_E_NO_ROWS);
    assert_in_range(moves_record(&w->moves, b), 0, MOVES_E_NO_ROWS);
    relink(w, b, b_parent, "parked");
    relink(w, a, b_parent, b_name);
    relink(w, b, a_parent, a_name);
}

/* ---- the rows ---- */

static void take(World *w)
{
    if (w->n_taken > 0)
        return;
    LIST_FOREACH (link, moves_take(&w->moves)) {
        Move *move = CONTAINER_OF(link, Move, link);

        w->taken[w->n_taken] = move;
        w->ops[w->n_taken++] = fixture_op(STORE_OP_FOLDER_MOVE, move->rows_path, move->target);
        tell(w, "    take %s -> %s\n", move->rows_path, move->target);
    }
}

/* Where directories are, and where the rows. */
static void tell_all(World *w)
{
    for (size_t i = 0; i < THINGS && w->told; i++) {
        CLEANUP_FREE char *path = w->things[i].node ? node_path_new(w->things[i].node) : NULL;

        if (path)
            tell(w, "      %s is %.4s, has %.4s\n", path, w->things[i].id ? w->things[i].id : "new",
                 fixture_text(&w->store, "SELECT folder_id FROM folders WHERE folder_path = %Q",
                              path));
    }
}

static void tell_rows(World *w, const char *when)
{
    tell(w, "      rows %s: %s\n", when,
         fixture_text(&w->store,
                      "SELECT group_concat(folder_path || '=' || substr(folder_id, 1, 4),"
                      " ' ') FROM folders"));
}

static void commit(World *w)
{
    PathMove paths[THINGS * 2];
    size_t n = 0;

    if (w->n_taken == 0)
        return;
    tell_rows(w, "before");
    fixture_write(&w->store, w->ops, w->n_taken);
    for (size_t i = 0; i < w->n_taken; i++) {
        tell(w, "    commit %s -> %s: %d\n", w->ops[i].path, w->ops[i].new_path, w->ops[i].result);
        if (w->ops[i].result == STORE_OP_RESULT_FAILED)
            fail_msg("%s", w->ops[i].error);
        paths[n++] = (PathMove){w->ops[i].path, w->ops[i].new_path};
    }
    path_moves_sort(paths, n);
    moves_committed(&w->moves, paths, n);
    for (size_t i = 0; i < w->n_taken; i++) {
        (void)move_free(w->taken[i]);
        store_op_done(&w->ops[i]);
    }
    w->n_taken = 0;
    tell_rows(w, "after");
    tell_all(w);
}

static void follow(World *w)
{
    do {
        commit(w);
        take(w);
    } while (w->n_taken > 0);
}

static void assert_row(World *w, const Thing *thing)
{
    CLEANUP_FREE char *path = node_path_new(thing->node);
    const char *id =
        fixture_text(&w->store, "SELECT folder_id FROM folders WHERE folder_path = %Q", path);

    if (thing->id && strcmp(id, thing->id) != 0)
        fail_msg("%s: its row is %s, not %s", path, id, thing->id);
    for (size_t i = 0; i < THINGS && !thing->id; i++)
        if (w->things[i].id && strcmp(w->things[i].id, id) == 0)
            fail_msg("%s: it has the row of another one", path);
    if (thing->id)
        assert_string_equal(
            fixture_text(&w->store, "SELECT path FROM images WHERE id = 'p' || %Q", id),
            fixture_text(&w->store, "SELECT %Q || '/p.jpg'", path));
}

/* Each directory gets a row and a photo; rows without a directory go. */
static void bring_up_to_date(World *w)
{
    fixture_exec(&w->store, "CREATE TEMP TABLE IF NOT EXISTS live (path); DELETE FROM live");
    for (Node *node = w->root; node; node = node_next(node, w->root)) {
        CLEANUP_FREE char *path = node_path_new(node);

        fixture_execf(&w->store, "INSERT INTO live VALUES (%Q)", path);
    }
    fixture_exec(&w->store,
                 "DELETE FROM images WHERE path NOT IN (SELECT path || '/p.jpg' FROM live);"
                 "DELETE FROM folders WHERE folder_path NOT IN (SELECT path FROM live)");
    for (Node *node = w->root; node; node = node_next(node, w->root)) {
        CLEANUP_FREE char *path = node_path_new(node);
        StoreOp op = fixture_op(STORE_OP_FOLDER_ENSURE, path, NULL);

        fixture_write(&w->store, &op, 1);
        store_op_done(&op);
    }
    fixture_exec(&w->store,
                 "INSERT OR IGNORE INTO images (id, path, folder_id)"
                 " SELECT 'p' || folder_id, folder_path || '/p.jpg', folder_id FROM folders");
    for (size_t i = 0; i < THINGS; i++) {
        CLEANUP_FREE char *path = NULL;

        if (!w->things[i].node)
            continue;
        path = node_path_new(w->things[i].node);
        free(w->things[i].id);
        w->things[i].id = strdup(
            fixture_text(&w->store, "SELECT folder_id FROM folders WHERE folder_path = %Q", path));
        assert_row(w, &w->things[i]);
    }
}

static void settle(World *w)
{
    follow(w);
    tell(w, "    settled\n");
    for (size_t i = 0; i < THINGS; i++)
        if (w->things[i].node)
            assert_row(w, &w->things[i]);
    bring_up_to_date(w);
}

/* ---- any sequence ---- */

static const char *any_name(World *w)
{
    static const char *const names[] = {"a", "b", "c", "d"};

    return names[any(w, 4)];
}

static void step(World *w)
{
    const char *name = any_name(w);
    Node *parent = any_directory(w);
    Thing *thing = any_thing(w);
    const Thing *other = any_thing(w);

    switch (any(w, 16)) {
    case 0:
    case 1:
    case 2:
        make(w, parent, name);
        return;
    case 3:
        if (thing && !thing->node->first_child)
            discard(w, thing->node);
        return;
    case 4:
        if (thing && any(w, 3) == 0)
            discard(w, thing->node);
        return;
    case 5:
    case 6:
        if (thing && other)
            exchange(w, thing->node, other->node);
        return;
    case 7:
    case 8:
        take(w);
        return;
    case 9:
    case 10:
        commit(w);
        return;
    case 11:
        if (any(w, 4) == 0)
            settle(w);
        return;
    default:
        if (thing)
            move(w, thing->node, parent, name);
        return;
    }
}

static void play(World *w, unsigned seed)
{
    w->seed = seed;
    for (int i = 0; i < STEPS; i++)
        step(w);
    settle(w);
}

static void test_anything(void **state)
{
    World *w = *state;
    const char *wanted = getenv("MOVES_TEST_SEED");

    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        if (wanted && strtoul(wanted, NULL, 10) != seed)
            continue;
        w->told = wanted != NULL;
        print_message("seed %u\n", seed);
        for (Node *child; (child = w->root->first_child);)
            discard(w, child);
        settle(w);
        play(w, seed);
    }
}

/* Rows are at the older path until they have followed; both ways are asked for. */
static void test_where_rows_are(void **state)
{
    World *w = *state;
    Node *trip, *deep, *other, *anew;
    CLEANUP_FREE char *place = NULL;
    CLEANUP_FREE char *below = NULL;
    CLEANUP_FREE char *elsewhere = NULL;

    assert_int_equal(tree_add(&w->tree, w->root, "trip", &trip), 0);
    assert_int_equal(tree_add(&w->tree, trip, "deep", &deep), 0);
    assert_int_equal(tree_add(&w->tree, w->root, "trip3", &other), 0);
    assert_true(moves_are_at(&w->moves, deep, "/r/trip/deep"));
    assert_int_equal(moves_record(&w->moves, trip), 0);
    assert_int_equal(tree_move(&w->tree, trip, w->root, "trip2"), 0);
    assert_true(moves_are_at(&w->moves, deep, "/r/trip/deep"));
    assert_false(moves_are_at(&w->moves, deep, "/r/trip2/deep"));
    assert_true(moves_are_at(&w->moves, other, "/r/trip3"));
    place = moves_place(&w->moves, "/r/trip");
    below = moves_place(&w->moves, "/r/trip/deep/a.jpg");
    elsewhere = moves_place(&w->moves, "/r/trip3/a.jpg");
    assert_string_equal(place, "/r/trip2");
    assert_string_equal(below, "/r/trip2/deep/a.jpg");
    assert_string_equal(elsewhere, "/r/trip3/a.jpg");
    /* Those that stand here are not of the one that is made here now. */
    assert_int_equal(tree_add(&w->tree, w->root, "trip", &anew), 0);
    assert_false(moves_are_at(&w->moves, anew, "/r/trip"));
    tree_remove(&w->tree, trip);
    assert_null(moves_place(&w->moves, "/r/trip/deep"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_anything),
        TEST(test_where_rows_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
