#include "tests/opblock.h"

#include <string.h>

enum { GUARD = 64, POISON = 0xff };

OpBlock opblock_make(Arena *arena, const Backend *b, Dtype dtype, size_t count) {
    size_t size = dtype == F32 ? b->real_size : dtype_size(dtype);
    OpBlock block = {.b = b, .dtype = dtype, .count = count, .bytes = count * size};
    size_t whole = block.bytes + 2 * GUARD;
    block.host = arena_alloc(arena, whole);
    block.raw = b->alloc(whole);
    CHECK(block.raw, "%zu bytes", whole);
    memset(block.host, POISON, whole);
    b->write(block.raw, block.host, whole);
    return block;
}

void opblock_drop(OpBlock *block) {
    if (block->raw) block->b->release(block->raw);
    *block = (OpBlock){0};
}

void *opblock_data(const OpBlock *block) { return block->raw ? block->raw + GUARD : NULL; }

static bool is_float(const OpBlock *block) { return block->b->real_size == sizeof(float); }

void opblock_write(OpBlock *block, const double *values) {
    void *data = block->host + GUARD;
    for (size_t i = 0; i < block->count; i++) {
        if (block->dtype == I32)
            ((int32_t *)data)[i] = (int32_t)values[i];
        else if (block->dtype == U8)
            ((uint8_t *)data)[i] = (uint8_t)values[i];
        else if (block->dtype == BF16)
            ((uint16_t *)data)[i] = bfloat_from_float((float)values[i]);
        else if (is_float(block))
            ((float *)data)[i] = (float)values[i];
        else
            ((double *)data)[i] = values[i];
    }
    block->b->write(block->raw, block->host, block->bytes + 2 * GUARD);
}

static double number_at(const OpBlock *block, size_t i) {
    const void *data = block->host + GUARD;
    if (block->dtype == I32) return ((const int32_t *)data)[i];
    if (block->dtype == U8) return ((const uint8_t *)data)[i];
    if (block->dtype == BF16) return (double)bfloat_to_float(((const uint16_t *)data)[i]);
    return is_float(block) ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

Status opblock_read(const OpBlock *block, Arena *arena, double **values) {
    size_t end = GUARD + block->bytes, whole = end + GUARD;
    if (!block->raw) return OK;
    block->b->read(block->host, block->raw, whole);
    for (size_t at = 0; at < whole; at++)
        if ((at < GUARD || at >= end) && block->host[at] != POISON)
            return fail(ERR_INPUT, "byte %td outside of %zu was written on %s",
                        (ptrdiff_t)at - GUARD, block->bytes, block->b->name);
    if (!values) return OK;
    *values = arena_alloc(arena, (block->count + 1) * sizeof **values);
    for (size_t i = 0; i < block->count; i++) (*values)[i] = number_at(block, i);
    return OK;
}
