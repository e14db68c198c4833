#include "tensor/pickle_dict.h"

#include <stdlib.h>

static Span span_of(const PickleValue *v) { return (Span){(const uint8_t *)v->text, v->size}; }

/* Python 2's str and text are equal where their bytes are, True and 1 are the same key. */
static PickleKind family(PickleKind kind) {
    if (kind == PICKLE_TEXT) return PICKLE_BYTES;
    return kind == PICKLE_BOOL ? PICKLE_INT : kind;
}

static int compare_keys(const PickleValue *a, const PickleValue *b) {
    PickleKind kind = family(a->kind), other = family(b->kind);
    if (kind != other) return kind < other ? -1 : 1;
    switch (kind) {
    case PICKLE_NONE: return 0;
    case PICKLE_BYTES:
    case PICKLE_BIG: return reader_compare(span_of(a), span_of(b));
    default: /* integers, the bits of floats, the identities of tuples */
        return (a->integer > b->integer) - (a->integer < b->integer);
    }
}

static int compare_pairs(const void *a, const void *b, void *items) {
    const size_t i = *(const size_t *)a, k = *(const size_t *)b;
    const PickleValue *item = items;
    int order = compare_keys(&item[2 * i], &item[2 * k]);
    return order ? order : (i > k) - (i < k);
}

static void sort(PickleItems *dict) {
    size_t pairs = dict->count / 2;
    for (size_t i = 0; i < pairs; i++) dict->sorted[i] = i;
    qsort_r(dict->sorted, pairs, sizeof *dict->sorted, compare_pairs, dict->item);
}

/* Of equal keys the first keeps the last one's value, the others become PICKLE_NOTHING. */
static bool merge_equal(PickleItems *dict) {
    bool merged = false;
    size_t first = 0;
    for (size_t i = 1; i < dict->count / 2; i++) {
        PickleValue *kept = dict->item + 2 * dict->sorted[first];
        PickleValue *pair = dict->item + 2 * dict->sorted[i];
        if (compare_keys(kept, pair)) {
            first = i;
            continue;
        }
        kept[1] = pair[1];
        pair[0].kind = PICKLE_NOTHING;
        merged = true;
    }
    return merged;
}

static void drop_merged(PickleItems *dict) {
    size_t kept = 0;
    for (size_t i = 0; i < dict->count; i += 2) {
        if (dict->item[i].kind == PICKLE_NOTHING) continue;
        dict->item[kept++] = dict->item[i];
        dict->item[kept++] = dict->item[i + 1];
    }
    dict->count = kept;
}

Status pickle_dict_finish(Reader *r, PickleItems *dict) {
    dict->sorted = reader_alloc(r, dict->count / 2, sizeof *dict->sorted);
    if (!dict->sorted) return r->status;
    sort(dict);
    if (!merge_equal(dict)) return OK;
    drop_merged(dict);
    sort(dict);
    return OK;
}

const PickleValue *pickle_dict_find(const PickleItems *dict, const char *key) {
    PickleValue wanted = {.kind = PICKLE_BYTES, .size = strlen(key), .text = key};
    size_t low = 0, high = dict->count / 2;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const PickleValue *pair = dict->item + 2 * dict->sorted[middle];
        int order = compare_keys(&wanted, pair);
        if (!order) return pair + 1;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
