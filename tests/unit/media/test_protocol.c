/* Messages, and what the pool does not believe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media/protocol.h"

static const MediaAnswer good_photo = {
    .status = MEDIA_STATUS_OK,
    .facts = {.kind = MEDIA_KIND_PHOTO,
              .stamp = {.dev = 1, .ino = 2, .size = 3000, .mtime_ns = -4},
              .fingerprint = 5,
              .width = 4000,
              .height = 3000,
              .item_type = "image/jpeg",
              .date_source = DATE_SOURCE_EXIF,
              .date_created = "2008-05-30T15:56:01",
              .has_location = true,
              .latitude = 1.5,
              .longitude = -2.5,
              .duration = -1,
              .fps = -1,
              .thumbnail_width = 600,
              .thumbnail_height = 450,
              .thumbnail_size = 20000},
};

static JobMessage make_job(MediaKind kind)
{
    JobMessage job;

    protocol_init_job(&job);
    job.id = 42;
    job.kind = kind;
    job.thumbnail_size = 600;
    job.max_pixels = 12000000;
    return job;
}

static AnswerMessage make_photo_answer(void)
{
    JobMessage job = make_job(MEDIA_KIND_PHOTO);
    AnswerMessage message;

    protocol_init_answer(&message, &job, &good_photo);
    return message;
}

static int parse(const AnswerMessage *message, size_t n_fds, MediaKind kind, MediaAnswer *ret)
{
    JobMessage job = make_job(kind);

    return protocol_parse_answer(message, sizeof(*message), n_fds, &job, ret);
}

static void test_round_trip(void **state)
{
    AnswerMessage message = make_photo_answer();
    MediaAnswer answer;
    const MediaFacts *facts = &answer.facts;

    (void)state;
    assert_int_equal(parse(&message, 1, MEDIA_KIND_PHOTO, &answer), 0);
    assert_int_equal(answer.status, MEDIA_STATUS_OK);
    assert_int_equal(facts->kind, MEDIA_KIND_PHOTO);
    assert_int_equal(facts->stamp.dev, 1);
    assert_int_equal(facts->stamp.ino, 2);
    assert_int_equal(facts->stamp.size, 3000);
    assert_int_equal(facts->stamp.mtime_ns, -4);
    assert_int_equal(facts->fingerprint, 5);
    assert_int_equal(facts->width, 4000);
    assert_int_equal(facts->height, 3000);
    assert_string_equal(facts->item_type, "image/jpeg");
    assert_int_equal(facts->date_source, DATE_SOURCE_EXIF);
    assert_string_equal(facts->date_created, "2008-05-30T15:56:01");
    assert_true(facts->has_location && facts->latitude == 1.5 && facts->longitude == -2.5);
    assert_true(facts->duration == -1 && facts->fps == -1);
    assert_int_equal(facts->thumbnail_width, 600);
    assert_int_equal(facts->thumbnail_height, 450);
    assert_int_equal(facts->thumbnail_size, 20000);
}

/* One field that cannot be makes all of it invalid. */
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        AnswerMessage m = make_photo_answer();                                                     \
        MediaAnswer answer;                                                                        \
        change;                                                                                    \
        if (parse(&m, 1, MEDIA_KIND_PHOTO, &answer) != PROTOCOL_E_INVALID)                         \
            fail_msg("accepted: %s", #change);                                                     \
    } while (0)

static void test_photo_refused(void **state)
{
    (void)state;
    REFUSED(m.header.magic++);
    REFUSED(m.header.type = MESSAGE_JOB);
    REFUSED(m.id++);
    REFUSED(m.status = MEDIA_STATUS_CRASHED);
    REFUSED(m.status = UINT32_MAX);
    REFUSED(m.width = 0);
    REFUSED(m.height = 0);
    REFUSED(m.width = 4001); /* more than max_pixels */
    REFUSED((m.width = UINT32_MAX, m.height = UINT32_MAX));
    REFUSED(memset(m.item_type, 'x', sizeof(m.item_type)));
    REFUSED(strcpy(m.item_type, "text/html"));
    REFUSED(m.item_type[0] = '\0');
    REFUSED(memset(m.date_created, '2', sizeof(m.date_created)));
    REFUSED(strcpy(m.date_created, "\"}; DROP TABLE"));
    REFUSED(m.date_created[0] = '\0');
    REFUSED(m.date_source = DATE_SOURCE_UNKNOWN);
    REFUSED(m.date_source = DATE_SOURCE_CONTAINER + 1);
    REFUSED(m.has_location = 2);
    REFUSED(m.latitude = 90.5);
    REFUSED(m.latitude = NAN);
    REFUSED(m.longitude = -INFINITY);
    REFUSED(m.duration = NAN);
    REFUSED(m.duration = INFINITY);
    REFUSED(m.fps = NAN);
    REFUSED(m.size = UINT64_MAX);
    REFUSED(m.thumbnail_width = 601);
    REFUSED(m.thumbnail_height = 601);
    REFUSED(m.thumbnail_width = 0);
    REFUSED(m.thumbnail_size = 0);
    REFUSED(m.thumbnail_size = PROTOCOL_THUMBNAIL_MAX + 1);
    REFUSED(memset(m.error, 'x', sizeof(m.error)));
}

/* Of a sealed copy the pool knows which state of which file it is, in failures too. */
static void test_stamp_of_copy(void **state)
{
    JobMessage job = make_job(MEDIA_KIND_PHOTO);
    AnswerMessage m = make_photo_answer();
    MediaAnswer answer;

    (void)state;
    job.has_stamp = 1;
    job.dev = 1;
    job.ino = 2;
    job.size = 3000;
    job.mtime_ns = -4;
    assert_int_equal(protocol_parse_answer(&m, sizeof(m), 1, &job, &answer), 0);
    m.mtime_ns++;
    assert_int_equal(protocol_parse_answer(&m, sizeof(m), 1, &job, &answer), PROTOCOL_E_INVALID);
    m.status = MEDIA_STATUS_UNDECODABLE;
    assert_int_equal(protocol_parse_answer(&m, sizeof(m), 0, &job, &answer), PROTOCOL_E_INVALID);
    m.mtime_ns--;
    assert_int_equal(protocol_parse_answer(&m, sizeof(m), 0, &job, &answer), 0);
}

static void test_descriptors_counted(void **state)
{
    AnswerMessage message = make_photo_answer();
    MediaAnswer answer;

    (void)state;
    assert_int_equal(parse(&message, 0, MEDIA_KIND_PHOTO, &answer), PROTOCOL_E_INVALID);
    assert_int_equal(parse(&message, 2, MEDIA_KIND_PHOTO, &answer), PROTOCOL_E_INVALID);
    /* a photo's answer is none for a video */
    assert_int_equal(parse(&message, 1, MEDIA_KIND_VIDEO, &answer), PROTOCOL_E_INVALID);
    message.status = MEDIA_STATUS_UNDECODABLE;
    assert_int_equal(parse(&message, 1, MEDIA_KIND_PHOTO, &answer), PROTOCOL_E_INVALID);
    assert_int_equal(parse(&message, 0, MEDIA_KIND_PHOTO, &answer), 0);
}

static void test_video(void **state)
{
    MediaAnswer video = {.status = MEDIA_STATUS_OK, .facts = {.duration = -1, .fps = -1}};
    JobMessage job = make_job(MEDIA_KIND_VIDEO);
    AnswerMessage message;
    MediaAnswer answer;

    (void)state;
    protocol_init_answer(&message, &job, &video);
    assert_int_equal(parse(&message, 0, MEDIA_KIND_VIDEO, &answer), 0);
    assert_int_equal(answer.facts.kind, MEDIA_KIND_VIDEO);
    assert_int_equal(parse(&message, 1, MEDIA_KIND_VIDEO, &answer), PROTOCOL_E_INVALID);
    message.duration = -INFINITY;
    assert_int_equal(parse(&message, 0, MEDIA_KIND_VIDEO, &answer), 0);
    assert_true(answer.facts.duration == -1);
    message.width = 70000;
    assert_int_equal(parse(&message, 0, MEDIA_KIND_VIDEO, &answer), PROTOCOL_E_INVALID);
}

/* Of a failure only the stamp and the reason are taken, the reason made printable. */
static void test_failure(void **state)
{
    AnswerMessage message = make_photo_answer();
    MediaAnswer answer;

    (void)state;
    message.status = MEDIA_STATUS_CHANGED;
    message.latitude = NAN;
    message.date_source = 99;
    strcpy(message.error, "bad\n\x1b[31m\xff thing");
    assert_int_equal(parse(&message, 0, MEDIA_KIND_PHOTO, &answer), 0);
    assert_int_equal(answer.status, MEDIA_STATUS_CHANGED);
    assert_string_equal(answer.error.text, "bad??[31m? thing");
    assert_int_equal(answer.facts.stamp.size, 3000);
    assert_int_equal(answer.facts.date_source, DATE_SOURCE_UNKNOWN);
    assert_int_equal(answer.facts.width, 0);
}

static void test_sizes(void **state)
{
    AnswerMessage message = make_photo_answer();
    JobMessage job = make_job(MEDIA_KIND_PHOTO);
    MessageHeader hello;
    MediaAnswer answer;

    (void)state;
    for (size_t size = 0; size < sizeof(message); size++)
        assert_int_equal(protocol_parse_answer(&message, size, 1, &job, &answer),
                         PROTOCOL_E_INVALID);
    protocol_init_hello(&hello);
    assert_true(protocol_is_hello(&hello, sizeof(hello), 0));
    assert_false(protocol_is_hello(&hello, sizeof(hello), 1));
    assert_false(protocol_is_hello(&hello, sizeof(hello) - 1, 0));
    assert_false(protocol_is_hello(&job, sizeof(job), 0));
    assert_true(protocol_is_job(&job, sizeof(job), 1));
    assert_false(protocol_is_job(&job, sizeof(job), 0));
    assert_false(protocol_is_job(&job, sizeof(job), 2));
    job.has_sidecar = 1;
    assert_true(protocol_is_job(&job, sizeof(job), 2));
    assert_false(protocol_is_job(&job, sizeof(job) - 1, 2));
}

static void test_thumbnail(void **state)
{
    int sealed = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int open_one = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(write(sealed, "abc", 3), 3);
    assert_int_equal(write(open_one, "abc", 3), 3);
    assert_int_equal(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    assert_int_equal(fcntl(open_one, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_true(protocol_is_thumbnail(sealed, 3));
    assert_false(protocol_is_thumbnail(sealed, 4));
    assert_false(protocol_is_thumbnail(open_one, 3));
    assert_false(protocol_is_thumbnail(other, 0));
    assert_false(protocol_is_thumbnail(-1, 0));
    (void)close(sealed);
    (void)close(open_one);
    (void)close(other);
}

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Descriptors travel; a message that does not fit leaves none behind. */
static void test_socket(void **state)
{
    int fds[2] = {open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    int sockets[2];
    int got[PROTOCOL_FDS_MAX];
    char buffer[8];
    size_t n_got;
    int before;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    before = count_fds();
    assert_int_equal(protocol_send(sockets[0], "hello", 5, fds, 2), 0);
    assert_int_equal(protocol_receive(sockets[1], buffer, sizeof(buffer), got, &n_got), 5);
    assert_int_equal(n_got, 2);
    assert_memory_equal(buffer, "hello", 5);
    assert_true(fcntl(got[1], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(read(got[1], buffer, 4), 4);
    (void)close(got[0]);
    (void)close(got[1]);
    assert_int_equal(protocol_send(sockets[0], "much too long", 13, fds, 2), 0);
    assert_int_equal(protocol_receive(sockets[1], buffer, sizeof(buffer), got, &n_got), -EBADMSG);
    assert_int_equal(n_got, 0);
    assert_int_equal(count_fds(), before);
    (void)close(sockets[0]);
    assert_int_equal(protocol_receive(sockets[1], buffer, sizeof(buffer), got, &n_got), 0);
    assert_int_equal(protocol_send(sockets[1], "x", 1, NULL, 0), -EPIPE);
    (void)close(sockets[1]);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_photo_refused),
        cmocka_unit_test(test_stamp_of_copy), cmocka_unit_test(test_descriptors_counted),
        cmocka_unit_test(test_video),         cmocka_unit_test(test_failure),
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_thumbnail),
        cmocka_unit_test(test_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
