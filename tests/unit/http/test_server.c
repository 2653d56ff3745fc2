/* Starting, stopping, too many at once; and the client of `pictopy-sync status`. */

#include "fixture.h"

#include <fcntl.h>

static void test_address_in_use(void **state)
{
    Fixture *f = *state;
    CLEANUP_FREE char *listen = NULL;
    HttpServer *second = NULL;

    assert_true(asprintf(&listen, "127.0.0.1:%u", f->port) > 0);
    assert_int_equal(fixture_listen(f, listen, "", &second), HTTP_E_ADDRESS_IN_USE);
    assert_null(second);
    /* A connection in TIME_WAIT is no obstacle for the next start. */
    fixture_error(f, "GET", "/nothing", NULL, 404, NULL);
    (void)http_server_free(f->server);
    assert_int_equal(fixture_listen(f, listen, "", &f->server), 0);
    assert_int_equal(http_server_port(f->server), f->port);
    fixture_error(f, "GET", "/nothing", NULL, 404, NULL);
}

static void test_bad_address(void **state)
{
    static const char *const bad[] = {"", "localhost", "0.0.0.0:0", "example.org:80",
                                      "localhost:99999"};
    HttpServer *server = NULL;

    log_set_level((LogLevel)2); /* quiet: each is logged as an error */
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(fixture_listen(*state, bad[i], "", &server), HTTP_E_LISTEN);
    assert_null(server);
}

typedef struct Client {
    pthread_t thread;
    Fixture *fixture;
    const char *method;
    const char *target;
    Answer answer;
} Client;

static void *client_run(void *arg)
{
    Client *client = arg;

    client->answer = fixture_ask(client->fixture, client->method, client->target, NULL);
    return NULL;
}

static void client_start(Client *client, Fixture *f, const char *method, const char *target)
{
    *client = (Client){.fixture = f, .method = method, .target = target};
    assert_int_equal(pthread_create(&client->thread, NULL, client_run, client), 0);
}

static int client_finish(Client *client)
{
    (void)pthread_join(client->thread, NULL);
    free(client->answer.body);
    return client->answer.status;
}

static void wait_for_asked(Fixture *f, CallKind kind, unsigned n)
{
    for (int i = 0; i < 1000 && fixture_asked(f, kind) < n; i++)
        (void)usleep(5000);
    assert_int_equal(fixture_asked(f, kind), n);
}

#define N_SETTLES (HTTP_THREADS / 2)
#define N_CONTROL (HTTP_THREADS / 4)

/* Requests that wait do not keep those that need not from being answered. */
static void test_gates(void **state)
{
    Fixture *f = *state;
    Client clients[N_SETTLES + N_CONTROL];
    size_t n = 0;

    fixture_publish(f, true, 1);
    fixture_set(f, CALL_SETTLE, CALL_RESULT_NONE, NULL);
    fixture_set(f, CALL_RESTART, CALL_RESULT_NONE, NULL);
    for (; n < N_SETTLES; n++)
        client_start(&clients[n], f, "GET", "/watcher/settle?timeout_ms=60000");
    wait_for_asked(f, CALL_SETTLE, N_SETTLES);
    {
        CLEANUP(answer_done) Answer answer = fixture_ask(f, "GET", "/watcher/settle", NULL);

        assert_int_equal(answer.status, 503);
        assert_string_equal(answer_header(&answer, "Retry-After"), "1");
    }
    json_decref(fixture_json(f, "GET", "/problems", NULL, 503)); /* asks, and is not refused */
    assert_int_equal(fixture_asked(f, CALL_PROBLEMS), 1);
    for (; n < N_SETTLES + N_CONTROL; n++)
        client_start(&clients[n], f, "POST", "/watcher/restart");
    wait_for_asked(f, CALL_RESTART, N_CONTROL);
    fixture_error(f, "POST", "/watcher/restart", NULL, 503, "Too many requests are waiting");
    fixture_error(f, "GET", "/problems", NULL, 503, "Too many requests are waiting");
    json_decref(fixture_json(f, "GET", "/folders/status", NULL, 200)); /* says so with 200 */
    assert_int_equal(fixture_asked(f, CALL_PROBLEMS), 1);
    json_decref(fixture_json(f, "GET", "/health", NULL, 200));
    assert_int_equal(fixture_asked(f, CALL_SETTLE), N_SETTLES);

    f->server = http_server_free(f->server); /* nobody will ever answer them */
    while (n-- > 0)
        assert_int_equal(client_finish(&clients[n]), 503);
}

/* After the gate was full it opens again. */
static void test_gate_opens(void **state)
{
    Fixture *f = *state;

    for (int i = 0; i < 3 * HTTP_THREADS; i++) {
        json_decref(fixture_json(f, "GET", "/watcher/settle", NULL, 200));
        json_decref(fixture_json(f, "POST", "/watcher/restart", NULL, 200));
    }
    assert_int_equal(fixture_asked(f, CALL_SETTLE), 3 * HTTP_THREADS);
}

/* Connections that say nothing and requests that wait do not hold up the end. */
static void test_stop_is_quick(void **state)
{
    Fixture *f = *state;
    unsigned port = f->port;
    Client client;
    uint64_t start;
    int silent[3];
    char byte;

    fixture_set(f, CALL_SETTLE, CALL_RESULT_NONE, NULL);
    client_start(&client, f, "GET", "/watcher/settle?timeout_ms=120000");
    for (int i = 0; i < 3; i++)
        silent[i] = fixture_connect(port);
    wait_for_asked(f, CALL_SETTLE, 1);
    (void)usleep(50000); /* the silent ones are waited for */
    start = clock_now();
    f->server = http_server_free(f->server);
    assert_in_range(clock_now() - start, 0, 500 * CLOCK_US_PER_MS);
    assert_int_equal(client_finish(&client), 503);
    for (int i = 0; i < 3; i++) {
        assert_true(recv(silent[i], &byte, 1, 0) <= 0);
        (void)close(silent[i]);
    }
}

/* The answer to a shutdown gets out although the server is stopped the moment it is given. */
static void test_shutdown_is_answered(void **state)
{
    Fixture *f = *state;

    for (int i = 0; i < 20; i++) {
        Client client;

        client_start(&client, f, "POST", "/shutdown");
        wait_for_asked(f, CALL_SHUTDOWN, (unsigned)i + 1);
        f->server = http_server_free(f->server);
        assert_int_equal(client_finish(&client), 200);
        assert_int_equal(fixture_listen(f, "localhost:0", "", &f->server), 0);
        f->port = http_server_port(f->server);
    }
}

static void test_closed_mailbox(void **state)
{
    Fixture *f = *state;
    static MailboxItem unused;

    assert_int_equal(mailbox_post(f->mailbox, &f->quit), 0);
    (void)pthread_join(f->thread, NULL);
    mailbox_close(f->mailbox);
    assert_int_equal(mailbox_post(f->mailbox, &unused), MAILBOX_E_CLOSED);
    fixture_error(f, "GET", "/watcher/settle", NULL, 503, "The service is busy or going down");
    fixture_error(f, "POST", "/watcher/stop", NULL, 503, NULL);
    json_decref(fixture_json(f, "GET", "/folders/status", NULL, 200));
    json_decref(fixture_json(f, "GET", "/health", NULL, 503));
    /* The teardown expects a loop that can be ended. */
    (void)http_server_free(STEAL_PTR(f->server));
    (void)mailbox_free(STEAL_PTR(f->mailbox));
    assert_int_equal(mailbox_create(f->loop, 64, &f->mailbox), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, fixture_run, f), 0);
}

/* Many clients, a publishing loop, and nobody gets half of anything. */
static void *hammer(void *arg)
{
    Fixture *f = arg;

    for (int i = 0; i < 100; i++) {
        json_t *json = fixture_json(f, "GET", "/folders", NULL, 200);
        size_t n = json_array_size(json_object_get(json, "folders"));

        assert_int_equal(json_integer_value(json_object_get(json, "total_folders")), n);
        json_decref(json);
        json_decref(fixture_json(f, "POST", "/watcher/restart", NULL, 200));
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    Fixture *f = *state;
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, f), 0);
    for (size_t i = 0; i < 200; i++) {
        fixture_publish(f, true, i % 50);
        (void)usleep(1000);
    }
    for (int i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
}

static void test_get(void **state)
{
    Fixture *f = *state;
    CLEANUP_FREE char *listen = NULL, *body = NULL;
    int status = 0;

    assert_true(asprintf(&listen, "localhost:%u", f->port) > 0);
    fixture_publish(f, true, 3000);
    assert_int_equal(http_get(listen, "/folders", &status, &body), 0);
    assert_int_equal(status, 200);
    assert_non_null(strstr(body, "\"total_folders\": 3000"));
    free(STEAL_PTR(body));
    assert_int_equal(http_get(listen, "/watcher/settle?timeout_ms=x", &status, &body), 0);
    assert_int_equal(status, 400);
    free(STEAL_PTR(body));
    f->server = http_server_free(f->server);
    assert_int_equal(http_get(listen, "/health", &status, &body), -ECONNREFUSED);
    assert_int_equal(http_get("localhost:0", "/health", &status, &body), -EINVAL);
    assert_int_equal(http_get("nonsense", "/health", &status, &body), -EINVAL);
    assert_null(body);
}

/* Something else listens there. */
typedef struct Impostor {
    int fd;
    const char *says;
} Impostor;

static void *impostor_run(void *arg)
{
    Impostor *impostor = arg;
    int fd = accept(impostor->fd, NULL, NULL);
    char request[512];

    (void)recv(fd, request, sizeof(request), 0);
    fixture_send(fd, impostor->says, strlen(impostor->says));
    (void)close(fd);
    return NULL;
}

static void test_get_from_others(void **state)
{
    static const struct {
        const char *says;
        int r;
    } table[] = {
        {"", -EPROTO},
        {"SSH-2.0-x\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", -EPROTO},
        {"HTTP/1.1 OK\r\n\r\n", -EPROTO},
        {"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", 0},
        {"HTTP/1.0 200 OK\r\n\r\nabc", 0},
    };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    Impostor impostor = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CLEANUP_FREE char *listen_text = NULL;

    (void)state;
    assert_int_equal(bind(impostor.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(impostor.fd, 5), 0);
    assert_int_equal(getsockname(impostor.fd, (struct sockaddr *)&address, &length), 0);
    assert_true(asprintf(&listen_text, "127.0.0.1:%u", ntohs(address.sin_port)) > 0);
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        CLEANUP_FREE char *body = NULL;
        pthread_t thread;
        int status = 0;

        impostor.says = table[i].says;
        assert_int_equal(pthread_create(&thread, NULL, impostor_run, &impostor), 0);
        assert_int_equal(http_get(listen_text, "/", &status, &body), table[i].r);
        (void)pthread_join(thread, NULL);
        if (table[i].r == 0)
            assert_string_equal(body, "abc");
    }
    (void)close(impostor.fd);
}

int main(void)
{
#define SERVER_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_address_in_use),
        SERVER_TEST(test_bad_address),
        SERVER_TEST(test_gates),
        SERVER_TEST(test_gate_opens),
        SERVER_TEST(test_stop_is_quick),
        SERVER_TEST(test_shutdown_is_answered),
        SERVER_TEST(test_closed_mailbox),
        SERVER_TEST(test_many_at_once),
        SERVER_TEST(test_get),
        cmocka_unit_test(test_get_from_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
