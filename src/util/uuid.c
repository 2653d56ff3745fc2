/* Random UUIDs (RFC 9562, version 4). */

#include "util/uuid.h"

#include <stddef.h>
#include <sys/random.h>

#include "util/error.h"

/*
 * uuid_generate() - make a random UUID
 * @ret_text: 36 characters in lower case and a zero
 *
 * Return: 0 or a negative errno of getrandom(2).
 */
int uuid_generate(char ret_text[UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];
    size_t at = 0;

    /* Up to 256 bytes come whole and are not interrupted once the pool is ready: getrandom(2). */
    while (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        if (errno != EINTR)
            return error_errno();
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40); /* version 4 */
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80); /* the variant of RFC 9562 */
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            ret_text[at++] = '-';
        ret_text[at++] = digits[bytes[i] >> 4];
        ret_text[at++] = digits[bytes[i] & 15];
    }
    ret_text[at] = '\0';
    return 0;
}
