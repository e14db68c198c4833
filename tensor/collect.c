#include "tensor/collect.h"

#include "tensor/body_pickle.h"

#include <stdio.h>

enum { DEPTH = 64 };

typedef struct {
    PickleValue container;
    size_t next, path_size; /* of its parent's path */
} Level;

typedef struct {
    Reader *r;
    char *path;
    size_t path_size, path_capacity;
    Level level[DEPTH];
    int depth;
} Walk;

static Status append_path(Walk *w, const char *text, size_t size) {
    while (!w->path || w->path_capacity - w->path_size < size + 2) {
        w->path = reader_grow(w->r, w->path, &w->path_capacity, 1);
        if (!w->path) return w->r->status;
    }
    if (w->depth > 1) w->path[w->path_size++] = '.';
    memcpy(w->path + w->path_size, text, size);
    w->path_size += size;
    return OK;
}

/* Data-parallel training wraps a net in an attribute of that name. */
static void strip_module(const char **key, size_t *size) {
    static const char MODULE[] = "module.";
    enum { LENGTH = sizeof MODULE - 1 };
    while (*size > LENGTH && !memcmp(*key, MODULE, LENGTH)) *key += LENGTH, *size -= LENGTH;
}

/* Adds the name of the level's item i; false where it has none that can be written. */
static Status name_item(Walk *w, const Level *level, size_t i, bool *named) {
    char digits[24];
    const PickleValue *key = pickle_key(&level->container, i);
    *named = true;
    if (key && (key->kind == PICKLE_TEXT || key->kind == PICKLE_BYTES)) {
        const char *text = key->text;
        size_t size = key->size;
        *named = !memchr(text, 0, size);
        strip_module(&text, &size);
        return append_path(w, text, size);
    }
    *named = !key || key->kind == PICKLE_INT;
    long long number = key ? (long long)key->integer : (long long)i;
    return append_path(w, digits, (size_t)snprintf(digits, sizeof digits, "%lld", number));
}

static Status load_tensor(Reader *r, const PickleTensor *t, Array *out) {
    RawView v = {.type = t->storage->type,
                 .big_endian = r->big_endian,
                 .bytes = t->storage->bytes,
                 .offset = t->offset,
                 .dims = t->dims};
    memcpy(v.dim, t->dim, sizeof v.dim);
    memcpy(v.stride, t->stride, sizeof v.stride);
    return raw_load(r, &v, out);
}

static Status add(Walk *w, const PickleValue *v) {
    Array array = {0};
    bool text = false, found = true;
    Status status = OK;
    if (v->kind == PICKLE_ARRAY)
        array = v->array->array, text = v->array->text;
    else if (v->kind == PICKLE_TENSOR)
        status = load_tensor(w->r, v->tensor, &array);
    else if (v->kind == PICKLE_OBJECT)
        status = body_pickle_array(w->r, v->object, &array, &found);
    else
        found = false;
    if (status) return error_prefix(status, "%s", reader_quote(w->path, w->path_size));
    if (!found) return OK;
    const char *name = reader_alloc(w->r, w->path_size + 1, 1);
    if (!name) return w->r->status;
    if (w->path_size) memcpy((char *)(uintptr_t)name, w->path, w->path_size);
    return reader_add(w->r, name, array, text);
}

static Status enter(Walk *w, PickleValue v, size_t path_size) {
    if (v.items->seen) return OK;
    v.items->seen = true;
    if (w->depth == DEPTH)
        return fail(ERR_MODEL, "its containers are nested deeper than %d levels", DEPTH);
    w->level[w->depth++] = (Level){.container = v, .path_size = path_size};
    return OK;
}

static Status visit(Walk *w, const PickleValue *v, size_t path_size) {
    if (v->kind == PICKLE_LIST || v->kind == PICKLE_TUPLE || v->kind == PICKLE_DICT)
        return enter(w, *v, path_size);
    return add(w, v);
}

Status collect_arrays(Reader *r, const PickleValue *root) {
    Walk w = {.r = r};
    TRY(visit(&w, root, 0));
    while (w.depth) {
        Level *level = &w.level[w.depth - 1];
        if (level->next == pickle_count(&level->container)) {
            w.path_size = level->path_size;
            w.depth--;
            continue;
        }
        size_t i = level->next++, before = w.path_size;
        int depth = w.depth;
        bool named;
        TRY(name_item(&w, level, i, &named));
        if (named) TRY(visit(&w, pickle_item(&level->container, i), before));
        if (w.depth == depth) w.path_size = before;
    }
    return OK;
}
