/*
 * Messages to systemd's journal, with the fields by which they can be found again:
 *   journalctl -t pictopy-sync PICTOPY_FOLDER_ID=…
 */

/* Where in the source a message comes from is noise here, and would always be this file. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "service/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "util/text.h"

#define FIELDS_MAX 6

typedef struct Fields {
    struct iovec items[FIELDS_MAX];
    Text texts[FIELDS_MAX];
    int count;
    bool failed;
} Fields;

static void add(Fields *fields, const char *name, const char *value)
{
    Text *text = &fields->texts[fields->count];

    if (!value)
        return;
    text_append(text, name);
    text_append(text, value);
    if (text->failed)
        fields->failed = true;
    fields->items[fields->count++] =
        (struct iovec){.iov_base = text->data, .iov_len = text->length};
}

static void fields_done(Fields *fields)
{
    for (int i = 0; i < fields->count; i++)
        text_done(&fields->texts[i]);
}

/*
 * journal_is_stderr() - is standard error the journal's?
 *
 * systemd names the device and inode of the stream in JOURNAL_STREAM (systemd.exec(5)); a shell
 * that inherited the variable but redirected the stream does not match. Then messages go to the
 * journal as structured entries instead.
 */
bool journal_is_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    (void)snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    return strcmp(stream, own) == 0;
}

/*
 * log_sink_journal() - sends a message with its fields to the journal
 *
 * A path is sent as the bytes it is; the journal takes any. When it cannot be sent, it is written
 * to standard error instead. Any thread.
 */
void log_sink_journal(const LogRecord *record)
{
    CLEANUP(fields_done) Fields fields = {0};
    char priority[16];

    (void)snprintf(priority, sizeof(priority), "%d", (int)record->level);
    add(&fields, "MESSAGE=", record->text);
    add(&fields, "PRIORITY=", priority);
    add(&fields, "SYSLOG_IDENTIFIER=", "pictopy-sync");
    add(&fields, "MESSAGE_ID=", record->message_id);
    add(&fields, "PICTOPY_FOLDER_ID=", record->folder_id);
    add(&fields, "PICTOPY_PATH=", record->path);
    if (fields.failed || sd_journal_sendv(fields.items, fields.count) < 0)
        log_sink_stderr(record);
}
