/* The kinds of value that the configuration knows: addresses, origins, URLs. */

#include <ctype.h>
#include <string.h>

#include "util/config_types.h"
#include "util/error.h"

/* Is it ":" and a port up to 65535 to the end, or, where that is allowed, nothing? */
static bool is_port(const char *s, size_t length, bool optional)
{
    unsigned port = 0;

    if (length == 0)
        return optional;
    if (s[0] != ':' || length < 2 || length > 6)
        return false;
    for (size_t i = 1; i < length; i++) {
        if (!isdigit((unsigned char)s[i]))
            return false;
        port = port * 10 + (unsigned)(s[i] - '0');
    }
    return port <= 65535;
}

/* The length of a host at s, "[…]" for an IPv6 address; 0 when there is none. */
static size_t host_length(const char *s)
{
    size_t n;

    if (s[0] == '[') {
        n = strspn(s + 1, "0123456789abcdefABCDEF:.");
        return n >= 2 && s[n + 1] == ']' ? n + 2 : 0;
    }
    for (n = 0; isalnum((unsigned char)s[n]) || s[n] == '-' || s[n] == '.' || s[n] == '_'; n++)
        ;
    return n;
}

/* Only the loopback: whoever can reach the port can stop the daemon. */
static bool is_loopback(const char *s, size_t length)
{
    static const char *const names[] = {"localhost", "[::1]"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == length && strncmp(s, names[i], length) == 0)
            return true;
    return length > 4 && strncmp(s, "127.", 4) == 0 && strspn(s, "0123456789.") == length;
}

static int parse_listen(const ConfigKey *key, const char *value, Config *config)
{
    size_t n = host_length(value);

    if (!is_loopback(value, n) || !is_port(value + n, strlen(value + n), false))
        return CONFIG_E_INVALID;
    return config_take_string(key, config, strdup(value));
}

static void describe_listen(const ConfigKey *key UNUSED, Text *out)
{
    text_append(out, "localhost:PORT, 127.0.0.1:PORT or [::1]:PORT; port 0 takes a free one");
}

const ConfigType config_type_listen = {parse_listen, describe_listen, true};

/* Is it scheme://host[:port], as long as length? */
static bool is_origin(const char *s, size_t length)
{
    size_t scheme = 0, host;

    while (isalnum((unsigned char)s[scheme]) || s[scheme] == '+' || s[scheme] == '-' ||
           s[scheme] == '.')
        scheme++;
    if (!isalpha((unsigned char)s[0]) || strncmp(s + scheme, "://", 3) != 0)
        return false;
    s += scheme + 3;
    length -= scheme + 3;
    host = host_length(s);
    return host > 0 && is_port(s + host, length - host, true);
}

static int parse_origins(const ConfigKey *key, const char *value, Config *config)
{
    const char *at = value;

    while (*(at += strspn(at, " \t"))) {
        size_t n = strcspn(at, " \t");

        if (!is_origin(at, n))
            return CONFIG_E_INVALID;
        at += n;
    }
    return config_take_string(key, config, strdup(value));
}

static void describe_origins(const ConfigKey *key UNUSED, Text *out)
{
    text_append(out, "origins, separated by spaces, such as http://localhost:1420");
}

const ConfigType config_type_origins = {parse_origins, describe_origins, true};

static int parse_url(const ConfigKey *key, const char *value, Config *config)
{
    size_t length = strlen(value);

    if (length > 0 && value[length - 1] == '/')
        length--; /* requests add their own */
    if (strncmp(value, "http://", 7) != 0 && strncmp(value, "https://", 8) != 0)
        return CONFIG_E_INVALID;
    if (!is_origin(value, length))
        return CONFIG_E_INVALID;
    return config_take_string(key, config, strndup(value, length));
}

static void describe_url(const ConfigKey *key UNUSED, Text *out)
{
    text_append(out, "http://HOST:PORT or https://HOST:PORT");
}

const ConfigType config_type_url = {parse_url, describe_url, true};
