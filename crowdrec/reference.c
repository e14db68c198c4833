#include "crowdrec/reference.h"

#include "crowdrec/photos.h"

#include <stdio.h>
#include <unistd.h>

const char *reference_body(const char *path, const char *body, const char *fallback,
                           char beside[FILE_PATH]) {
    int folder = (int)(photos_name(path) - path);
    int length = snprintf(beside, FILE_PATH, "%.*sbody.npz", folder, path);
    if (body) return body;
    return length < FILE_PATH && !access(beside, F_OK) ? beside : fallback;
}

static Status open_body(const char *path, const char *given, const char *fallback,
                        const char *regressor, Body **out) {
    char beside[FILE_PATH];
    const char *body = reference_body(path, given, fallback, beside);
    if (!body) return fail(ERR_USAGE, "%s: no body.npz beside it; give --truth-body FILE", path);
    bool same = fallback && file_is_same(body, fallback);
    return body_load(body, same ? regressor : NULL, out);
}

Status reference_open(const char *path, const char *body, const char *fallback,
                      const char *regressor, Reference *out) {
    *out = (Reference){0};
    TRY(gigacrowd_read(path, &out->file));
    Status status = open_body(path, body, fallback, regressor, &out->body);
    if (status) reference_close(out);
    return status;
}

void reference_close(Reference *truth) {
    gigacrowd_free(&truth->file);
    body_free(truth->body);
    *truth = (Reference){0};
}
