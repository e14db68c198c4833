#include "tensor/pickle.h"

#include "tensor/pickle_dict.h"
#include "tensor/pickle_vm.h"

static Status run(Arena *arena, Span file, PickleValue *root) {
    Reader r;
    PickleVm vm;
    Span rest = file;
    TRY(reader_init(&r, arena, file, NULL));
    TRY(pickle_vm_run(&r, &rest, &vm));
    *root = vm.root;
    return rest.size ? fail(ERR_MODEL, "%zu bytes follow the end of the pickle", rest.size) : OK;
}

Status pickle_load_memory(const char *name, const void *data, size_t size, Pickle *out) {
    *out = (Pickle){.arena = arena_new()};
    uint8_t *copy = arena_try_alloc(out->arena, size + 1);
    if (copy && size) memcpy(copy, data, size);
    Status status = copy ? run(out->arena, (Span){copy, size}, &out->root)
                         : fail(ERR_MEMORY, "no memory for %zu bytes", size);
    if (status == OK) return OK;
    pickle_free(out);
    return error_prefix(status == ERR_MODEL ? ERR_INPUT : status, "%s", name);
}

Status pickle_load(const char *path, Pickle *out) {
    Bytes bytes;
    *out = (Pickle){0};
    TRY(file_read(path, SIZE_MAX / 2, &bytes));
    Status status = pickle_load_memory(path, bytes.data, bytes.size, out);
    file_release(&bytes);
    return status;
}

void pickle_free(Pickle *pickle) {
    arena_free(pickle->arena);
    *pickle = (Pickle){0};
}

static bool has_items(const PickleValue *v) {
    return v && (v->kind == PICKLE_LIST || v->kind == PICKLE_TUPLE || v->kind == PICKLE_SET ||
                 v->kind == PICKLE_DICT);
}

const PickleValue *pickle_get(const PickleValue *dict, const char *key) {
    return dict && dict->kind == PICKLE_DICT ? pickle_dict_find(dict->items, key) : NULL;
}

size_t pickle_count(const PickleValue *v) {
    if (!has_items(v)) return 0;
    return v->kind == PICKLE_DICT ? v->items->count / 2 : v->items->count;
}

const PickleValue *pickle_item(const PickleValue *v, size_t i) {
    if (i >= pickle_count(v)) return NULL;
    return v->kind == PICKLE_DICT ? &v->items->item[2 * i + 1] : &v->items->item[i];
}

const PickleValue *pickle_key(const PickleValue *dict, size_t i) {
    if (!dict || dict->kind != PICKLE_DICT || i >= pickle_count(dict)) return NULL;
    return &dict->items->item[2 * i];
}

const char *pickle_text(const PickleValue *v) {
    return v && v->kind == PICKLE_TEXT ? v->text : NULL;
}

const Array *pickle_array(const PickleValue *v) {
    return v && v->kind == PICKLE_ARRAY && !v->array->text ? &v->array->array : NULL;
}

bool pickle_number(const PickleValue *v, double *out) {
    if (!v) return false;
    if (v->kind == PICKLE_FLOAT) return *out = v->number, true;
    if (v->kind == PICKLE_INT || v->kind == PICKLE_BOOL) return *out = (double)v->integer, true;
    return false;
}

/* The numbers of a leaf: their count, or -1. */
static int leaf_numbers(const PickleValue *v, double *out, int capacity) {
    double number;
    if (pickle_number(v, &number)) {
        if (capacity < 1) return -1;
        *out = number;
        return 1;
    }
    const Array *a = pickle_array(v);
    if (!a || array_size(a) > (size_t)capacity) return -1;
    for (size_t i = 0; i < array_size(a); i++) out[i] = array_get(a, i);
    return (int)array_size(a);
}

/* Nothing empty is taken inside a list, so the walk ends after capacity leaves at the latest. */
int pickle_numbers(const PickleValue *v, double *out, int capacity) {
    enum { DEPTH = ARRAY_DIMS };
    struct {
        const PickleValue *list;
        size_t next;
    } level[DEPTH];
    int used = 0, depth = 0;
    for (const PickleValue *at = v;;) {
        bool list = at && (at->kind == PICKLE_LIST || at->kind == PICKLE_TUPLE);
        int found = list ? (int)!!pickle_count(at) : leaf_numbers(at, out + used, capacity - used);
        if (found < 0 || (depth && !found) || (list && depth == DEPTH)) return -1;
        if (list)
            level[depth].list = at, level[depth++].next = 0;
        else
            used += found;
        while (depth && level[depth - 1].next == pickle_count(level[depth - 1].list)) depth--;
        if (!depth) return used;
        at = pickle_item(level[depth - 1].list, level[depth - 1].next++);
    }
}
