/* SHA-256 (FIPS 180-4), for fixtures that name the hash of an array's bytes.
 *
 *     char hex[SHA256_TEXT];
 *     sha256_text(data, size, hex);
 */
#ifndef TESTS_SHA256_H
#define TESTS_SHA256_H

#include <stddef.h>

enum { SHA256_TEXT = 65 };

void sha256_text(const void *data, size_t size, char out[SHA256_TEXT]);

#endif
