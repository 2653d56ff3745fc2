/* Where to listen, and where `pictopy-sync status` connects to. No resolver is asked: its answer
 * for "localhost" is not worth waiting for, and whatever else it says is not wanted here. */

#include "http/address.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool parse_port(const char *text, unsigned *ret_port)
{
    unsigned port = 0;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 5 || text[digits])
        return false;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    if (port > 65535)
        return false;
    *ret_port = port;
    return true;
}

static void set_v4(HttpAddress *address, struct in_addr ip)
{
    address->ip.v4 = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr = ip, .sin_port = htons((uint16_t)address->port)};
    address->length = sizeof(address->ip.v4);
}

static void set_v6(HttpAddress *address, struct in6_addr ip)
{
    address->ip.v6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_addr = ip, .sin6_port = htons((uint16_t)address->port)};
    address->length = sizeof(address->ip.v6);
}

static const char *set_host(HttpAddress *address, const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (strcasecmp(host, "localhost") == 0) {
        address->is_localhost = true;
        set_v4(address, (struct in_addr){htonl(INADDR_LOOPBACK)});
        return NULL;
    }
    if (inet_pton(AF_INET, host, &v4) == 1) {
        if (ntohl(v4.s_addr) >> 24 != IN_LOOPBACKNET)
            return "it is not a loopback address";
        set_v4(address, v4);
        return NULL;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        if (!IN6_IS_ADDR_LOOPBACK(&v6))
            return "it is not a loopback address";
        set_v6(address, v6);
        return NULL;
    }
    return "the host must be localhost or a loopback address";
}

/*
 * http_address_parse() - reads host:port
 * @listen: "localhost:52124", "127.0.0.1:0" or "[::1]:52124"
 * @ret_address: the address
 *
 * Returns NULL, or a few words that say what is wrong.
 */
const char *http_address_parse(const char *listen, HttpAddress *ret_address)
{
    HttpAddress address = {0};
    const char *colon = strrchr(listen, ':');
    char host[INET6_ADDRSTRLEN];
    const char *problem;
    size_t length;

    if (!colon || !parse_port(colon + 1, &address.port))
        return "it must end in a colon and a port from 0 to 65535";
    length = (size_t)(colon - listen);
    if (length >= 2 && listen[0] == '[' && colon[-1] == ']') {
        listen++;
        length -= 2;
    } else if (memchr(listen, ':', length)) {
        return "an IPv6 address must stand in brackets";
    }
    if (length >= sizeof(host))
        return "the host must be localhost or a loopback address";
    memcpy(host, listen, length);
    host[length] = '\0';
    problem = set_host(&address, host);
    if (!problem)
        *ret_address = address;
    return problem;
}

/* http_address_with() - the same address with another port; the IPv6 side of localhost if asked */
HttpAddress http_address_with(const HttpAddress *address, unsigned port, bool v6)
{
    HttpAddress other = *address;

    other.port = port;
    if (v6 || other.ip.any.sa_family == AF_INET6)
        set_v6(&other, in6addr_loopback);
    else
        set_v4(&other, address->ip.v4.sin_addr);
    return other;
}
