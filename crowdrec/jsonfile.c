#include "crowdrec/jsonfile.h"

#include "tensor/file.h"
#include "tensor/reader.h"

#include <math.h>
#include <stdlib.h>

Status jsonfile_read(const char *path, json_t **out) {
    Bytes bytes;
    json_error_t error;
    *out = NULL;
    TRY(file_read(path, JSONFILE_MAX_BYTES, &bytes));
    *out = json_loadb((const char *)bytes.data, bytes.size, JSON_REJECT_DUPLICATES, &error);
    file_release(&bytes);
    if (*out) return OK;
    return fail(ERR_INPUT, "%s: no JSON at line %d, column %d: %s", path, error.line, error.column,
                reader_quote(error.text, strlen(error.text)));
}

Status jsonfile_write(const char *path, int digits, json_t *root) {
    char *text = NULL;
    if (root) text = json_dumps(root, JSON_REAL_PRECISION(digits));
    json_decref(root);
    if (!text) return fail(ERR_MEMORY, "%s: no memory for its text", path);
    size_t length = strlen(text);
    text[length] = '\n'; /* in place of the end */
    Status status = file_write(path, text, length + 1);
    free(text);
    return status;
}

void jsonfile_field(FILE *out, const char *key, double value) {
    if (isfinite(value))
        fprintf(out, ", \"%s\": %.9g", key, value);
    else
        fprintf(out, ", \"%s\": null", key);
}

bool jsonfile_is_plain(const char *text) {
    json_t *json = json_string(text);
    json_decref(json);
    for (const char *c = text; *c && json; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) return false;
    return json != NULL;
}

json_t *jsonfile_text(const char *text) {
    json_t *json = json_string(text);
    if (json) return json;
    char *copy = strdup(text);
    CHECK(copy, "out of memory");
    for (char *at = copy; *at; at++)
        if (*at & 0x80) *at = '?';
    json = json_string(copy);
    free(copy);
    return json;
}

json_t *jsonfile_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *jsonfile_floats(const float *values, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(array, jsonfile_number(values[i]));
    return array;
}

json_t *jsonfile_rows(const float *values, int rows, int columns) {
    json_t *array = json_array();
    for (int i = 0; i < rows; i++)
        json_array_append_new(array, jsonfile_floats(values + i * columns, columns));
    return array;
}

bool jsonfile_numbers(const json_t *array, int count, double limit, double *out) {
    if (!json_is_array(array) || json_array_size(array) != (size_t)count) return false;
    for (int i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, (size_t)i);
        if (!json_is_number(item)) return false;
        out[i] = json_number_value(item);
        if (!(fabs(out[i]) <= limit)) return false;
    }
    return true;
}
