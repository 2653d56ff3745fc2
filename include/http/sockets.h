#pragma once
/* What civetweb does not let one do with its sockets. */

#include "http/address.h"

/* Why an address cannot be listened on: 0 (it can), or a negative errno. */
int http_sockets_probe(const HttpAddress *address);
/* Shuts down every TCP socket of this process whose own port that is. */
void http_sockets_shutdown(unsigned port);
