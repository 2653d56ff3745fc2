#pragma once
/* The HTTP API of PictoPy's sync service (contract section 6), on civetweb's threads. */

#include <stdint.h>

#include "loop/mailbox.h"
#include "sync/snapshot.h"
#include "util/cleanup.h"

typedef struct HttpServer HttpServer;

/* Borrowed; must live as long as the server. */
typedef struct HttpServerOptions {
    const char *listen;              /* host:port; port 0 takes a free one */
    const char *allowed_origins;     /* separated by spaces */
    const char *shutdown_token_file; /* "" = off */
    SnapshotBox *snapshots;
    Mailbox *mailbox;               /* of the loop */
    void (*deliver)(MailboxItem *); /* entry of a Call in the loop's thread */
} HttpServerOptions;

#define HTTP_E_ADDRESS_IN_USE 1
#define HTTP_E_LISTEN         2 /* the address cannot be parsed or bound; logged */

int http_server_start(const HttpServerOptions *options, HttpServer **ret_server);
unsigned http_server_port(const HttpServer *server); /* the port it really listens on */
/* Stops accepting, waits for requests under way. The mailbox must be closed or served meanwhile. */
HttpServer *http_server_free(HttpServer *server);
CLEANUP_DEFINE(HttpServer *, http_server_free)

/* GET http://host:port/path of a running daemon, for `pictopy-sync status`. Negative errno when
 * nobody answers. The caller frees the body. */
int http_get(const char *listen, const char *path, int *ret_status, char **ret_body);
int http_post(const char *listen, const char *path, int *ret_status, char **ret_body);
