#include "faults.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RULES_MAX    64
#define WAIT_SECONDS 20
#define WORDS_MAX    16

static const char *const op_names[FAULT_N] = {
    "getattr", "opendir", "readdir", "open",    "read",   "write", "create",
    "mkdir",   "remove",  "rename",  "setattr", "statfs", "sync",  "flush",
};

typedef struct Rule {
    unsigned ops; /* bits, 1 << FaultOp */
    char *glob;   /* owned; NULL = everything */
    bool hang;
    int error;         /* positive errno, or 0 */
    unsigned delay_ms; /* or 0 */
    unsigned long after, times;
} Rule;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* rules were cleared, or one request more hangs */
    Rule rules[RULES_MAX];
    size_t n_rules;
    unsigned long n_cleared; /* tells those that wait that `clear` came */
    unsigned long n_hung;
    unsigned long counts[FAULT_N];
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static Rule *find_rule(FaultOp op, const char *path)
{
    for (size_t i = 0; i < faults.n_rules; i++) {
        Rule *rule = &faults.rules[i];

        if (!(rule->ops & 1U << op) || rule->times == 0 ||
            (rule->glob && fnmatch(rule->glob, path, 0) != 0))
            continue;
        if (rule->after > 0) {
            rule->after--;
            continue;
        }
        rule->times--;
        return rule;
    }
    return NULL;
}

static void hang_locked(void)
{
    unsigned long cleared = faults.n_cleared;

    faults.n_hung++;
    pthread_cond_broadcast(&faults.changed);
    while (cleared == faults.n_cleared)
        pthread_cond_wait(&faults.changed, &faults.lock);
    faults.n_hung--;
}

/* faults_gate() - see the header. */
int faults_gate(FaultOp op, const char *path)
{
    unsigned delay_ms = 0;
    int error = 0;
    Rule *rule;

    pthread_mutex_lock(&faults.lock);
    faults.counts[op]++;
    rule = find_rule(op, path);
    if (rule) {
        error = rule->error;
        delay_ms = rule->delay_ms;
        if (rule->hang)
            hang_locked(); /* rule may be gone after it */
    }
    pthread_mutex_unlock(&faults.lock);
    if (delay_ms > 0)
        (void)nanosleep(&(struct timespec){delay_ms / 1000, delay_ms % 1000 * 1000000L}, NULL);
    return -error;
}

/* 0 for words that are no names of requests. */
static unsigned parse_ops(char *text)
{
    unsigned ops = 0;
    char *rest = text;

    for (char *name; (name = strsep(&rest, ","));) {
        unsigned op = 0;

        if (strcmp(name, "all") == 0) {
            ops |= (1U << FAULT_N) - 1;
            continue;
        }
        while (op < FAULT_N && strcmp(op_names[op], name) != 0)
            op++;
        if (op == FAULT_N)
            return 0;
        ops |= 1U << op;
    }
    return ops;
}

/* The number of an errno by its name, or 0. */
static int parse_errno(const char *text)
{
    for (int i = 1; i < 134; i++)
        if (strerrorname_np(i) && strcmp(strerrorname_np(i), text) == 0)
            return i;
    return 0;
}

static const char *add_rule(Rule rule, char **words)
{
    if (!words[0] || !(rule.ops = parse_ops(words[0])))
        return "error: which requests?";
    rule.times = (unsigned long)-1;
    for (words++; *words; words++) {
        if (strncmp(*words, "after=", 6) == 0)
            rule.after = strtoul(*words + 6, NULL, 10);
        else if (strncmp(*words, "times=", 6) == 0)
            rule.times = strtoul(*words + 6, NULL, 10);
        else if (!rule.glob)
            rule.glob = strdup(*words);
        else
            return "error: one pattern is enough";
    }
    if (faults.n_rules == RULES_MAX)
        return "error: too many rules";
    faults.rules[faults.n_rules++] = rule;
    return "ok";
}

static const char *clear_rules(void)
{
    while (faults.n_rules > 0)
        free(faults.rules[--faults.n_rules].glob);
    faults.n_cleared++;
    pthread_cond_broadcast(&faults.changed);
    return "ok";
}

static const char *wait_hung(unsigned long n)
{
    struct timespec deadline;
    int r = 0;

    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_SECONDS;
    while (faults.n_hung < n && r == 0)
        r = pthread_cond_timedwait(&faults.changed, &faults.lock, &deadline);
    return faults.n_hung >= n ? "ok" : "error: not so many";
}

static const char *tell(unsigned long n)
{
    static char text[24];

    (void)snprintf(text, sizeof(text), "%lu", n);
    return text;
}

static const char *count(char **words)
{
    unsigned ops = words[0] ? parse_ops(words[0]) : 0;
    unsigned long n = 0;

    if (!ops)
        return "error: which requests?";
    for (unsigned op = 0; op < FAULT_N; op++)
        n += ops & 1U << op ? faults.counts[op] : 0;
    return tell(n);
}

static const char *obey(char **words)
{
    const char *command = words[0] ?: "";
    const char *first = words[0] && words[1] ? words[1] : "";

    if (strcmp(command, "hang") == 0)
        return add_rule((Rule){.hang = true}, words + 1);
    if (strcmp(command, "fail") == 0)
        return parse_errno(first) ? add_rule((Rule){.error = parse_errno(first)}, words + 2)
                                  : "error: which errno?";
    if (strcmp(command, "delay") == 0)
        return atoi(first) > 0 ? add_rule((Rule){.delay_ms = (unsigned)atoi(first)}, words + 2)
                               : "error: how many milliseconds?";
    if (strcmp(command, "clear") == 0)
        return clear_rules();
    if (strcmp(command, "hung") == 0)
        return tell(faults.n_hung);
    if (strcmp(command, "wait") == 0)
        return wait_hung(strtoul(first, NULL, 10));
    if (strcmp(command, "count") == 0)
        return count(words + 1);
    return "error: no such command";
}

/* faults_obey() - see the header. */
bool faults_obey(char *line)
{
    char *words[WORDS_MAX + 1] = {};
    size_t n = 0;

    line[strcspn(line, "\n")] = '\0';
    for (char *word; (word = strsep(&line, " ")) && n < WORDS_MAX;)
        if (*word)
            words[n++] = word;
    if (n > 0 && strcmp(words[0], "quit") == 0)
        return false;
    pthread_mutex_lock(&faults.lock);
    (void)puts(obey(words));
    pthread_mutex_unlock(&faults.lock);
    return true;
}
