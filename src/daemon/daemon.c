/*
 * The daemon
 *
 * Makes the parts in the order in which they need each other and takes them down in the reverse
 * one. Everything runs in the loop of the calling thread; signals are blocked before the first
 * thread is started.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/instance.h"
#include "daemon/progress.h"
#include "http/server.h"
#include "loop/signal.h"
#include "loop/spawner.h"
#include "project-config.h"
#include "service/journal.h"
#include "service/journal_writer.h"
#include "service/notify.h"
#include "service/stand_in.h"
#include "sync/engine.h"
#include "util/clock.h"
#include "util/error.h"

#define MAILBOX_CAPACITY 65536
#define START_EXTENSION  (30 * CLOCK_US_PER_SEC)

typedef struct Daemon {
    const ConfigSources *sources;
    Config *config;  /* in force */
    Config *initial; /* the one it was started with: store and server keep its strings */
    Loop *loop;
    Timers *timers;
    Mailbox *mailbox;
    SnapshotBox *snapshots;
    Engine *engine;
    HttpServer *http;
    SignalSource signals;
    Watchdog watchdog;
    StandIn stand_in;
    const char *program;
    Timer extend;
    Timer progress_timer;
    ProgressView view;
    int lock_fd;  /* on the state directory */
    int claim_fd; /* on the database */
    bool ready_told;
    bool synced_told;
    bool quiet; /* the bar speaks for the changes of the first import */
} Daemon;

/* A message from an HTTP thread carries no pointer to the engine: there is one daemon in a
 * process, and this is it. Only the loop's thread uses it. */
static Daemon *the_daemon;

static void deliver(MailboxItem *item)
{
    Call *call = CONTAINER_OF(item, Call, item);

    if (the_daemon && the_daemon->engine)
        engine_call(the_daemon->engine, call);
    else
        call_answer(call, CALL_RESULT_CLOSED, NULL);
}

/* ---- progress ---- */

/* On a terminal the first import is a bar, and then each change is a line. */
static void set_log_level(Daemon *daemon)
{
    bool hide = daemon->quiet && daemon->config->log_level == LOG_LEVEL_INFO;

    log_set_level(hide ? LOG_LEVEL_NOTICE : daemon->config->log_level);
}

static void say_ready(Daemon *daemon, const EngineProgress *progress)
{
    daemon->ready_told = true;
    timer_disarm(&daemon->extend);
    progress_clear(&daemon->view);
    log_event(LOG_LEVEL_NOTICE, LOG_EVENT_STARTED, NULL, NULL,
              "ready: watching %" PRIu64 " folders below %" PRIu64 " root(s)",
              progress->folders_watched, progress->roots_online + progress->roots_offline);
    service_ready();
}

static void show_progress(Timer *timer)
{
    Daemon *daemon = CONTAINER_OF(timer, Daemon, progress_timer);
    EngineProgress progress;

    engine_progress(daemon->engine, &progress);
    if (!progress_show(&daemon->view, &progress))
        (void)timer_arm_in(timer, PROGRESS_INTERVAL);
    if (progress.in_sync && !daemon->synced_told) {
        log_notice("in sync");
        daemon->quiet = false;
        set_log_level(daemon);
    }
    daemon->synced_told = progress.in_sync;
}

/* Shown a little later: many changes come in one go. */
static void progress_changed(Engine *engine, void *owner)
{
    Daemon *daemon = owner;
    EngineProgress progress;

    if (!daemon->ready_told) {
        engine_progress(engine, &progress);
        if (progress.ready) {
            (void)progress_show(&daemon->view,
                                &progress); /* STATUS= is there when the start is over */
            say_ready(daemon, &progress);
        }
    }
    if (engine_may_hang(engine))
        stand_in_start(&daemon->stand_in, daemon->loop, daemon->program);
    if (!timer_is_armed(&daemon->progress_timer))
        (void)timer_arm_in(&daemon->progress_timer, PROGRESS_INTERVAL);
}

/* A long start is no failure as long as the loop turns. */
static void extend_start(Timer *timer)
{
    service_extend_timeout(START_EXTENSION);
    (void)timer_arm_in(timer, START_EXTENSION / 3);
}

/* ---- signals ---- */

/* A message each: they come in lines. */
static void log_config_errors(int error, Text *errors)
{
    char *rest = errors->data;
    const char *line;

    if (error < 0)
        log_error("configuration not taken up: %s", strerror(-error));
    while ((line = strsep(&rest, "\n")))
        if (*line)
            log_event(LOG_LEVEL_ERROR, LOG_EVENT_CONFIG_INVALID, NULL, NULL,
                      "configuration not taken up: %s", line);
}

static void take_up(Daemon *daemon, Config *config)
{
    CLEANUP(text_done) Text waiting = {0};

    config_print_waiting(daemon->initial, config, &waiting);
    if (daemon->config != daemon->initial)
        (void)config_free(daemon->config);
    daemon->config = config;
    set_log_level(daemon);
    log_event(LOG_LEVEL_NOTICE, LOG_EVENT_RELOADED, NULL, NULL, "configuration reloaded");
    if (waiting.length > 0)
        log_warning("these change only with the next start: %s", waiting.data);
}

static void reload(Daemon *daemon)
{
    CLEANUP(text_done) Text errors = {0};
    Config *config = NULL;
    int r;

    service_reloading();
    r = config_load(daemon->sources, &config, &errors);
    if (r != 0) {
        log_config_errors(r, &errors);
    } else if (engine_reconfigure(daemon->engine, config) < 0) {
        log_error("configuration not taken up: out of memory");
        (void)config_free(config);
    } else {
        take_up(daemon, config);
    }
    service_ready();
}

static void received(SignalSource *source, int signo)
{
    Daemon *daemon = CONTAINER_OF(source, Daemon, signals);

    if (signo == SIGHUP) {
        reload(daemon);
    } else if (signo == SIGTERM || signo == SIGINT) {
        progress_clear(&daemon->view);
        log_info("stopping (%s)", signo == SIGTERM ? "SIGTERM" : "SIGINT");
        loop_exit(daemon->loop, 0);
    }
}

static void shutdown_asked(Engine *engine UNUSED, void *owner)
{
    Daemon *daemon = owner;

    log_info("stopping (asked over HTTP)");
    loop_exit(daemon->loop, 0);
}

/* ---- start and stop ---- */

static int start_http(Daemon *daemon)
{
    HttpServerOptions options = {
        .listen = daemon->config->http_listen,
        .allowed_origins = daemon->config->http_allowed_origins,
        .shutdown_token_file = daemon->config->http_shutdown_token_file,
        .snapshots = daemon->snapshots,
        .mailbox = daemon->mailbox,
        .deliver = deliver,
    };
    int r = http_server_start(&options, &daemon->http);

    if (r == HTTP_E_ADDRESS_IN_USE)
        log_error("%s is in use: is another sync service running? Stop it, or set http.listen",
                  daemon->config->http_listen);
    if (r > 0)
        return DAEMON_E_LISTEN;
    if (r == 0)
        log_notice("listening on http://127.0.0.1:%u", http_server_port(daemon->http));
    return error_trace(r);
}

static int start_engine(Daemon *daemon, const char *program)
{
    EngineOptions options = {
        .config = daemon->config,
        .program = program,
        .loop = daemon->loop,
        .timers = daemon->timers,
        .mailbox = daemon->mailbox,
        .snapshots = daemon->snapshots,
        .progress = progress_changed,
        .shutdown = shutdown_asked,
        .owner = daemon,
    };
    int r = engine_create(&options, &daemon->engine);

    return r < 0 ? error_trace(r) : engine_start(daemon->engine);
}

static int start(Daemon *daemon, const char *program)
{
    int r = signal_block();

    if (r == 0)
        r = spawner_init();
    if (r == 0)
        r = loop_create(&daemon->loop);
    if (r == 0)
        r = timers_create(daemon->loop, &daemon->timers);
    if (r < 0)
        return error_trace(r);
    timer_init(&daemon->extend, daemon->timers, extend_start);
    timer_init(&daemon->progress_timer, daemon->timers, show_progress);
    r = mailbox_create(daemon->loop, MAILBOX_CAPACITY, &daemon->mailbox);
    if (r == 0)
        r = snapshot_box_create(&daemon->snapshots);
    if (r == 0)
        r = signal_source_init(&daemon->signals, daemon->loop, received);
    if (r == 0)
        r = watchdog_init(&daemon->watchdog, daemon->timers);
    if (r == 0)
        r = start_engine(daemon, program);
    if (r == 0)
        r = start_http(daemon);
    if (r == 0)
        r = timer_arm_in(&daemon->extend, START_EXTENSION / 3);
    return r;
}

static void close_locks(Daemon *daemon)
{
    if (daemon->lock_fd >= 0)
        (void)close(daemon->lock_fd);
    if (daemon->claim_fd >= 0)
        (void)close(daemon->claim_fd);
}

/*
 * Ends this process though the kernel holds one of its threads on a dead mount. It will not be gone
 * before the mount answers, but all that another one would miss is given back now: descriptors with
 * their locks, the watches, the place in the service manager's eyes.
 */
static _Noreturn void leave_thread_behind(Daemon *daemon, int code)
{
    close_locks(daemon);
    log_event(LOG_LEVEL_NOTICE, LOG_EVENT_STOPPED, NULL, NULL,
              "stopped; the kernel keeps a thread until a file system answers");
    journal_writer_stop();
    stand_in_done(&daemon->stand_in, code);
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    _exit(code);
}

static void stop(Daemon *daemon, int code)
{
    if (daemon->loop)
        service_stopping();
    /* Threads that wait for an answer are sent home when the mailbox is closed. */
    if (daemon->mailbox)
        mailbox_close(daemon->mailbox);
    daemon->http = http_server_free(daemon->http);
    if (daemon->engine && !engine_stop(daemon->engine))
        leave_thread_behind(daemon, code);
    daemon->engine = engine_free(daemon->engine);
    if (daemon->timers) {
        timer_disarm(&daemon->extend);
        timer_disarm(&daemon->progress_timer);
        watchdog_done(&daemon->watchdog);
    }
    daemon->mailbox = mailbox_free(daemon->mailbox);
    stand_in_done(&daemon->stand_in, code);
    signal_source_done(&daemon->signals);
    daemon->snapshots = snapshot_box_free(daemon->snapshots);
    daemon->timers = timers_free(daemon->timers);
    daemon->loop = loop_free(daemon->loop);
    close_locks(daemon);
}

/* Each directory on the way down a deep tree is open while it is walked. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max < 524288 ? limit.rlim_max : 524288;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * daemon_run() - the daemon's whole life, in the foreground
 * @sources: where the configuration came from, for SIGHUP
 * @config: the configuration; taken over
 * @program: path of this executable, for the media workers
 *
 * Returns 0 after a clean stop, DAEMON_E_RUNNING or DAEMON_E_LISTEN (already logged), or a negative
 * errno.
 */
int daemon_run(const ConfigSources *sources, Config *config, const char *program)
{
    Daemon daemon = {.sources = sources,
                     .program = program,
                     .stand_in = {.socket = -1},
                     .config = config,
                     .initial = config,
                     .lock_fd = -1,
                     .claim_fd = -1,
                     .signals = {.fd = -1}};
    int r;

    progress_init(&daemon.view);
    daemon.quiet = daemon.view.terminal;
    set_log_level(&daemon);
    if (journal_is_stderr())
        journal_writer_start();
    raise_file_limit();
    r = instance_lock(config->state_directory, &daemon.lock_fd);
    if (r == 0)
        r = instance_claim(config->database_path, &daemon.claim_fd);
    if (r == INSTANCE_E_RUNNING) {
        log_error("another pictopy-sync is running already with %s or %s", config->state_directory,
                  config->database_path);
        journal_writer_stop();
        close_locks(&daemon);
        (void)config_free(config);
        return DAEMON_E_RUNNING;
    }
    the_daemon = &daemon;
    if (r == 0)
        r = start(&daemon, program);
    if (r == 0)
        r = loop_run(daemon.loop);
    progress_clear(&daemon.view);
    stop(&daemon, r == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    the_daemon = NULL;
    if (r == 0)
        log_event(LOG_LEVEL_NOTICE, LOG_EVENT_STOPPED, NULL, NULL, "stopped");
    journal_writer_stop();
    if (daemon.config != daemon.initial)
        (void)config_free(daemon.config);
    (void)config_free(daemon.initial);
    return error_trace(r);
}
