#pragma once
/*
 * A real server on a free port in front of a real loop, whose engine is played by the test: for
 * each kind of question it answers what the test has set, or keeps the question.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "http/handlers.h"
#include "http/server.h"
#include "loop/dispatch.h"
#include "loop/mailbox.h"
#include "sync/call.h"
#include "sync/snapshot.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/text.h"

#define N_KINDS (CALL_METRICS + 1)
#define ORIGIN  "tauri://localhost"
#define ORIGINS ORIGIN " http://tauri.localhost\thttp://localhost:1420"

typedef struct Fixture {
    Loop *loop;
    Mailbox *mailbox;
    SnapshotBox *snapshots;
    HttpServer *server;
    pthread_t thread;
    unsigned port;
    MailboxItem quit;
    char token_file[64];

    pthread_mutex_t lock;       /* for what follows */
    CallResult result[N_KINDS]; /* CALL_RESULT_NONE: the question is kept */
    const char *text[N_KINDS];
    unsigned asked[N_KINDS];
    List kept; /* Call.link; the loop's thread */
} Fixture;

static Fixture *the_fixture; /* deliver() is given nothing else to find it by */

static void fixture_deliver(MailboxItem *item)
{
    Call *call = CONTAINER_OF(item, Call, item);
    Fixture *f = the_fixture;
    CallResult result;
    const char *text;

    (void)pthread_mutex_lock(&f->lock);
    f->asked[call->kind]++;
    result = f->result[call->kind];
    text = f->text[call->kind];
    (void)pthread_mutex_unlock(&f->lock);
    if (result == CALL_RESULT_NONE)
        list_append(&f->kept, &call->link);
    else
        call_answer(call, result, text ? strdup(text) : NULL);
}

static inline void fixture_set(Fixture *f, CallKind kind, CallResult result, const char *text)
{
    (void)pthread_mutex_lock(&f->lock);
    f->result[kind] = result;
    f->text[kind] = text;
    (void)pthread_mutex_unlock(&f->lock);
}

static inline unsigned fixture_asked(Fixture *f, CallKind kind)
{
    unsigned n;

    (void)pthread_mutex_lock(&f->lock);
    n = f->asked[kind];
    (void)pthread_mutex_unlock(&f->lock);
    return n;
}

static inline unsigned fixture_asked_all(Fixture *f)
{
    unsigned n = 0;

    for (int kind = 0; kind < N_KINDS; kind++)
        n += fixture_asked(f, (CallKind)kind);
    return n;
}

static void fixture_quit(MailboxItem *item)
{
    Fixture *f = CONTAINER_OF(item, Fixture, quit);

    loop_exit(f->loop, 0);
}

static void *fixture_run(void *arg)
{
    Fixture *f = arg;

    (void)loop_run(f->loop);
    return NULL;
}

/* Publishes n folders; the watcher runs when n is not 0. */
static inline void fixture_publish(Fixture *f, bool connected, size_t n)
{
    Snapshot *snapshot;

    assert_int_equal(snapshot_new(&snapshot), 0);
    assert_int_equal(snapshot_folders_new(n, n * 64, &snapshot->folders), 0);
    for (size_t i = 0; i < n; i++) {
        char id[16];
        char path[48];

        (void)snprintf(id, sizeof(id), "id-%zu", i % 1000000);
        (void)snprintf(path, sizeof(path), "/photos/\"%04zu\" ä", i % 1000000);
        snapshot_folders_add(snapshot->folders, id, path);
    }
    snapshot->database_connected = connected;
    snapshot->watcher_running = n > 0;
    snapshot->thread_id = 4711;
    snapshot_box_publish(f->snapshots, snapshot);
}

static inline int fixture_listen(Fixture *f, const char *listen, const char *token_file,
                                 HttpServer **ret_server)
{
    HttpServerOptions options = {
        .listen = listen,
        .allowed_origins = ORIGINS,
        .shutdown_token_file = token_file,
        .snapshots = f->snapshots,
        .mailbox = f->mailbox,
        .deliver = fixture_deliver,
    };

    return http_server_start(&options, ret_server);
}

/* A cmocka setup; a token is asked for when *state is "token". */
static inline int fixture_setup(void **state)
{
    bool token = *state && strcmp(*state, "token") == 0;
    Fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    log_set_level(LOG_LEVEL_ERROR);
    (void)pthread_mutex_init(&f->lock, NULL);
    list_init(&f->kept);
    for (int kind = 0; kind < N_KINDS; kind++)
        f->result[kind] = CALL_RESULT_OK;
    if (token)
        (void)snprintf(f->token_file, sizeof(f->token_file), "/tmp/http-token-%d", (int)getpid());
    the_fixture = f;
    assert_int_equal(loop_create(&f->loop), 0);
    assert_int_equal(mailbox_create(f->loop, 64, &f->mailbox), 0);
    assert_int_equal(snapshot_box_create(&f->snapshots), 0);
    assert_int_equal(fixture_listen(f, "localhost:0", f->token_file, &f->server), 0);
    f->port = http_server_port(f->server);
    f->quit.deliver = fixture_quit;
    assert_int_equal(pthread_create(&f->thread, NULL, fixture_run, f), 0);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    Fixture *f = *state;
    ListNode *node;

    (void)http_server_free(f->server);
    assert_int_equal(mailbox_post(f->mailbox, &f->quit), 0);
    (void)pthread_join(f->thread, NULL);
    while ((node = list_take(&f->kept)))
        call_answer(CONTAINER_OF(node, Call, link), CALL_RESULT_CLOSED, strdup("too late"));
    (void)mailbox_free(f->mailbox);
    (void)loop_free(f->loop);
    (void)snapshot_box_free(f->snapshots);
    (void)pthread_mutex_destroy(&f->lock);
    if (*f->token_file)
        (void)unlink(f->token_file);
    free(f);
    return 0;
}

/* One answer, taken apart. */
typedef struct Answer {
    int status; /* 0: the connection was closed without one */
    char head[8192];
    char *body;
    size_t length;
} Answer;

static inline void answer_done(Answer *answer)
{
    free(answer->body);
}

static inline int fixture_connect(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval timeout = {.tv_sec = 30};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Sends all that the server takes; it may close before it has read everything. */
static inline void fixture_send(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        data += n;
        length -= (size_t)n;
    }
}

/* The value of a header of the answer; NULL when it is not there. Valid until the next call. */
static inline const char *answer_header(const Answer *answer, const char *name)
{
    static _Thread_local char value[2048];
    const char *line = strstr(answer->head, "\r\n");
    size_t n = strlen(name);

    for (; line && line[2]; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + 4 + n, "\r"),
                           line + 4 + n);
            return value;
        }
    return NULL;
}

/* Reads one answer from a connection that may stay open. */
static inline void fixture_receive(int fd, bool head, Answer *ret_answer)
{
    Answer answer = {0};
    size_t n = 0;
    const char *length;

    while (n < sizeof(answer.head) - 1 && !strstr(answer.head, "\r\n\r\n")) {
        if (recv(fd, answer.head + n, 1, 0) != 1) {
            assert_int_equal(n, 0); /* all of an answer, or nothing */
            *ret_answer = answer;
            return;
        }
        n++;
    }
    assert_int_equal(sscanf(answer.head, "HTTP/1.1 %d ", &answer.status), 1);
    length = answer_header(&answer, "Content-Length");
    assert_non_null(length);
    answer.length = strtoul(length, NULL, 10);
    answer.body = calloc(1, answer.length + 1);
    assert_non_null(answer.body);
    for (n = 0; !head && n < answer.length;) {
        ssize_t got = recv(fd, answer.body + n, answer.length - n, 0);

        assert_true(got > 0);
        n += (size_t)got;
    }
    *ret_answer = answer;
}

/* Sends a text as it is and reads the answer; the connection is closed. */
static inline Answer fixture_raw(Fixture *f, const char *data, size_t length)
{
    int fd = fixture_connect(f->port);
    Answer answer;

    fixture_send(fd, data, length);
    fixture_receive(fd, strncmp(data, "HEAD", 4) == 0, &answer);
    (void)close(fd);
    return answer;
}

/* METHOD TARGET with a right Host and the given header lines ("Name: value\r\n…"). */
static inline Answer fixture_ask(Fixture *f, const char *method, const char *target,
                                 const char *headers)
{
    CLEANUP(text_done) Text text = {0};

    text_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost:%u\r\n%sConnection: close\r\n\r\n",
                method, target, f->port, headers ? headers : "");
    return fixture_raw(f, text.data, text.length);
}

/* The same; checks what every answer has, and the status, and returns the body as JSON. */
static inline json_t *fixture_json(Fixture *f, const char *method, const char *target,
                                   const char *headers, int status)
{
    CLEANUP(answer_done) Answer answer = fixture_ask(f, method, target, headers);
    json_t *json;

    assert_int_equal(answer.status, status);
    assert_string_equal(answer_header(&answer, "Content-Type"), "application/json");
    assert_string_equal(answer_header(&answer, "Cache-Control"), "no-store");
    assert_string_equal(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(answer_header(&answer, "Vary"), "Origin");
    assert_string_equal(answer_header(&answer, "Connection"), "close");
    json = json_loadb(answer.body, answer.length, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    return json;
}

/* An error: {"detail": …} and nothing else; the text itself is compared when it is given. */
static inline void fixture_error(Fixture *f, const char *method, const char *target,
                                 const char *headers, int status, const char *detail)
{
    json_t *json = fixture_json(f, method, target, headers, status);

    assert_int_equal(json_object_size(json), 1);
    assert_non_null(json_string_value(json_object_get(json, "detail")));
    if (detail)
        assert_string_equal(json_string_value(json_object_get(json, "detail")), detail);
    json_decref(json);
}
