#include "crowdrec/reference.h"

#include "crowdrec/photos.h"

#include <stdio.h>
#include <unistd.h>

static Status open_body(const char *path, const char *given, const char *fallback, Body **out) {
    char beside[4096];
    int folder = (int)(photos_name(path) - path);
    int length = snprintf(beside, sizeof beside, "%.*sbody.npz", folder, path);
    const char *body = given;
    if (!body && length < (int)sizeof beside && !access(beside, F_OK)) body = beside;
    if (!body) body = fallback;
    if (!body) return fail(ERR_USAGE, "%s: no body.npz beside it; give --truth-body FILE", path);
    return body_load(body, NULL, out);
}

Status reference_open(const char *path, const char *body, const char *fallback, Reference *out) {
    *out = (Reference){0};
    TRY(gigacrowd_read(path, &out->file));
    Status status = open_body(path, body, fallback, &out->body);
    if (status) reference_close(out);
    return status;
}

void reference_close(Reference *truth) {
    gigacrowd_free(&truth->file);
    body_free(truth->body);
    *truth = (Reference){0};
}
