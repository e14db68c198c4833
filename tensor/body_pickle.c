#include "tensor/body_pickle.h"

static Status chumpy_array(const PickleObject *object, Array *out) {
    const Array *x = pickle_array(pickle_get(&object->state, "x"));
    if (!x)
        return fail(ERR_MODEL, "a %s has no array 'x'; save the model without chumpy",
                    object->type);
    *out = *x;
    return OK;
}

static bool is_vector(const Array *a, size_t size) {
    return a && a->dims == 1 && array_size(a) == size;
}

/* Column c holds the elements indptr[c] .. indptr[c + 1] of indices (rows) and data. */
static Status fill_dense(const Array *data, const Array *indices, const Array *indptr, int64_t rows,
                         int64_t columns, double *out) {
    size_t stored = array_size(data);
    for (int64_t c = 0; c < columns; c++) {
        double from = array_get(indptr, (size_t)c), to = array_get(indptr, (size_t)c + 1);
        if (!(0 <= from && from <= to && to <= (double)stored))
            return fail(ERR_MODEL, "a sparse matrix has a wrong column start");
        for (size_t i = (size_t)from; i < (size_t)to; i++) {
            double row = array_get(indices, i);
            if (!(0 <= row && row < (double)rows))
                return fail(ERR_MODEL, "a sparse matrix has the row %g of %lld", row,
                            (long long)rows);
            out[(int64_t)row * columns + c] += array_get(data, i); /* scipy adds up repeats */
        }
    }
    return OK;
}

static Status csc_array(Reader *r, const PickleObject *object, Array *out) {
    const Array *data = pickle_array(pickle_get(&object->state, "data"));
    const Array *indices = pickle_array(pickle_get(&object->state, "indices"));
    const Array *indptr = pickle_array(pickle_get(&object->state, "indptr"));
    const PickleValue *shape = pickle_get(&object->state, "_shape");
    const PickleValue *rows = pickle_item(shape, 0), *columns = pickle_item(shape, 1);
    if (pickle_count(shape) != 2 || rows->kind != PICKLE_INT || columns->kind != PICKLE_INT ||
        rows->integer < 0 || columns->integer < 0 || columns->integer == INT64_MAX)
        return fail(ERR_MODEL, "a sparse matrix has a wrong shape");
    if (!data || !is_vector(data, array_size(data)) || !is_vector(indices, array_size(data)) ||
        !is_vector(indptr, (size_t)columns->integer + 1))
        return fail(ERR_MODEL, "a sparse matrix lacks data, indices or indptr of matching sizes");
    *out = (Array){.dtype = F64, .dims = 2, .dim = {rows->integer, columns->integer}};
    size_t count;
    TRY(raw_count(out->dims, out->dim, &count));
    out->data = reader_alloc(r, count, sizeof(double));
    if (!out->data) return r->status;
    return fill_dense(data, indices, indptr, rows->integer, columns->integer, out->data);
}

Status body_pickle_array(Reader *r, const PickleObject *object, Array *out, bool *found) {
    bool chumpy = !strncmp(object->type, "chumpy.", 7), scipy = !strncmp(object->type, "scipy.", 6);
    *found = chumpy || scipy;
    if (chumpy) return chumpy_array(object, out);
    return scipy ? csc_array(r, object, out) : OK;
}
