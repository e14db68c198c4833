/* Jsonfile: JSON files read with distrust and written whole, and the numbers in them.
 *
 *     json_t *root;
 *     TRY(jsonfile_read("boxes.json", &root));
 *     json_decref(root);
 *     TRY(jsonfile_write("result.json", JSONFILE_FLOAT, json_pack(...)));
 *
 * jansson keeps to RFC 8259: UTF-8, no NaN, nesting up to 2048; doubled keys are refused as well.
 */
#ifndef CROWDREC_JSONFILE_H
#define CROWDREC_JSONFILE_H

#include "tensor/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A list of numbers takes about ten times the memory of its text, the worst tree fifty times. */
enum { JSONFILE_MAX_BYTES = 512 << 20 };

/* ERR_INPUT with line and column where the text is no JSON. */
Status jsonfile_read(const char *path, json_t **out);

/* Significant digits that bring a float or a double back exactly. */
enum { JSONFILE_FLOAT = 9, JSONFILE_DOUBLE = 17 };

/* Takes over root, which NULL makes an ERR_MEMORY.  Atomic. */
Status jsonfile_write(const char *path, int digits, json_t *root);

/* Appends `, "key": value` with nine digits to a line that is written as text; null where the value
 * is not finite. */
void jsonfile_field(FILE *out, const char *key, double value);

/* Whether a text is UTF-8 without control characters, so that a file's or a line's reader finds it
 * as it was. */
bool jsonfile_is_plain(const char *text);

/* Text from outside; bytes of a name that is not UTF-8 become '?'. */
json_t *jsonfile_text(const char *text);

/* A finite number; JSON null for others, which JSON does not have. */
json_t *jsonfile_number(double value);
json_t *jsonfile_floats(const float *values, int count);
json_t *jsonfile_rows(const float *values, int rows, int columns); /* nested */

/* Array of exactly count finite numbers, of magnitude up to limit? */
bool jsonfile_numbers(const json_t *array, int count, double limit, double *out);

#endif
