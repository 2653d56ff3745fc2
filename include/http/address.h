#pragma once
/* host:port as in http.listen. */

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

typedef struct HttpAddress {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } ip;
    socklen_t length;
    unsigned port;
    bool is_localhost; /* written as the name: both 127.0.0.1 (which ip is) and ::1 are meant */
} HttpAddress;

/* Only loopback: the service asks nobody for a password. Returns NULL, or what is wrong. */
const char *http_address_parse(const char *listen, HttpAddress *ret_address);
/* The address as a socket address with another port; [::1] for localhost when v6 is set. */
HttpAddress http_address_with(const HttpAddress *address, unsigned port, bool v6);
