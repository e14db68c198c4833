#include "autograd/params.h"

#include "tensor/rng.h"
#include "tensor/zeros.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN_NUMBERS = 16 };

struct Params {
    Arena *arena;
    const Backend *backend;
    Param *param;
    int count, capacity;
    int *table; /* hash of keys: index + 1, 0 for a free place */
    int table_size;
    size_t learned_end, size; /* numbers: end of the weights, end of the buffers */
    void *weights, *gradients, *moment[2], *snapshot, *hyper;
};

Params *params_new(const Backend *backend) {
    Params *p = calloc(1, sizeof *p);
    CHECK(p, "out of memory");
    p->arena = arena_new();
    p->backend = backend;
    return p;
}

void params_free(Params *p) {
    if (!p) return;
    void *slab[] = {p->weights, p->gradients, p->moment[0], p->moment[1], p->snapshot, p->hyper};
    for (size_t i = 0; i < sizeof slab / sizeof *slab; i++)
        if (slab[i]) p->backend->release(slab[i]);
    arena_free(p->arena);
    free(p->param);
    free(p->table);
    free(p);
}

const Backend *params_backend(const Params *p) { return p->backend; }
int params_count(const Params *p) { return p->count; }
const Param *params_at(const Params *p, int i) { return &p->param[i]; }

/* The key's place in the table: where it is, or the free place where it belongs. */
static int *place_of(const Params *p, const char *key) {
    uint64_t i = rng_splitmix(rng_fnv1a(key));
    for (;; i++) {
        int *place = &p->table[i % (uint64_t)p->table_size];
        if (!*place || !strcmp(p->param[*place - 1].key, key)) return place;
    }
}

static void table_grow(Params *p) {
    if (2 * (p->count + 1) < p->table_size) return;
    free(p->table);
    p->table_size = p->table_size ? 2 * p->table_size : 1024;
    p->table = calloc((size_t)p->table_size, sizeof *p->table);
    CHECK(p->table, "out of memory");
    for (int i = 0; i < p->count; i++) *place_of(p, p->param[i].key) = i + 1;
}

int params_find(const Params *p, const char *key) {
    return p->table_size ? *place_of(p, key) - 1 : -1;
}

static Shape engine_shape(int dims, const int *dim) {
    switch (dims) {
    case 0: return (Shape){1, 1, 1, 1};
    case 1: return (Shape){1, 1, 1, dim[0]};
    case 2: return (Shape){dim[0], 1, 1, dim[1]};
    case 4: return (Shape){dim[0], dim[2], dim[3], dim[1]};
    }
    CHECK(false, "a parameter has 0, 1, 2 or 4 dimensions, not %d", dims);
}

int params_declare(Params *p, const char *key, ParamKind kind, int dims, const int *dim) {
    Shape shape = engine_shape(dims, dim);
    int found = params_find(p, key);
    if (found >= 0) {
        CHECK(p->param[found].dims == dims && shape_equal(p->param[found].shape, shape),
              "%s declared as %s and as %s", key, shape_text(p->param[found].shape),
              shape_text(shape));
        return found;
    }
    CHECK(!p->weights, "%s declared after params_alloc", key);
    table_grow(p);
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 256;
        p->param = realloc(p->param, (size_t)p->capacity * sizeof *p->param);
        CHECK(p->param, "out of memory");
    }
    Param *new = &p->param[p->count];
    *new = (Param){arena_strdup(p->arena, key), kind, .dims = dims, .shape = shape};
    if (dims) memcpy(new->dim, dim, (size_t)dims * sizeof *dim);
    *place_of(p, key) = ++p->count;
    return p->count - 1;
}

size_t params_learned(const Params *p) {
    size_t n = 0;
    for (int i = 0; i < p->count; i++)
        if (p->param[i].kind == PARAM_WEIGHT && !p->param[i].frozen)
            n += shape_size(p->param[i].shape);
    return n;
}

int params_freeze(Params *p, const char *prefix, bool frozen) {
    int found = 0;
    for (int i = 0; i < p->count; i++) {
        if (p->param[i].kind != PARAM_WEIGHT) continue;
        if (strncmp(p->param[i].key, prefix, strlen(prefix))) continue;
        p->param[i].frozen = frozen;
        found++;
    }
    return found;
}

static size_t lay_out(Params *p, ParamKind kind, size_t offset) {
    for (int i = 0; i < p->count; i++) {
        if (p->param[i].kind != kind) continue;
        p->param[i].offset = offset;
        size_t size = shape_size(p->param[i].shape);
        offset += (size + ALIGN_NUMBERS - 1) / ALIGN_NUMBERS * ALIGN_NUMBERS;
    }
    return offset;
}

/* A zeroed slab, or NULL. */
static void *slab_new(const Params *p, size_t numbers) {
    size_t bytes = (numbers ? numbers : 1) * p->backend->real_size;
    void *slab = p->backend->alloc(bytes);
    if (slab) p->backend->fill(slab, 0, bytes);
    return slab;
}

Status params_alloc(Params *p) {
    CHECK(!p->weights, "params_alloc twice");
    p->learned_end = lay_out(p, PARAM_WEIGHT, 0);
    p->size = lay_out(p, PARAM_BUFFER, p->learned_end);
    p->weights = slab_new(p, p->size);
    if (p->weights) return OK;
    return fail(ERR_MEMORY,
                "the weights need %.1f MiB, %s has %.1f MiB free; use a smaller network",
                (double)(p->size * p->backend->real_size) / 0x1p20, p->backend->name,
                (double)p->backend->free_memory() / 0x1p20);
}

void *params_weights(const Params *p) { return p->weights; }
size_t params_slab(const Params *p) { return p->learned_end; }

void *params_gradients(Params *p) {
    if (!p->gradients) p->gradients = slab_new(p, p->learned_end);
    return p->gradients;
}

void *params_moment(Params *p, int which) {
    if (!p->moment[which]) p->moment[which] = slab_new(p, p->learned_end);
    return p->moment[which];
}

/* Index in the engine's layout of number i in PyTorch's: conv weights [o,i,kh,kw] lie as o,kh,kw,i.
 */
static size_t engine_index(const Param *a, size_t i) {
    if (a->dims != 4) return i;
    size_t w = (size_t)a->shape.w, h = (size_t)a->shape.h, c = (size_t)a->shape.c;
    size_t x = i % w, y = i / w % h, ci = i / (w * h) % c, o = i / (w * h * c);
    return ((o * h + y) * w + x) * c + ci;
}

static void *host_buffer(const Params *p, const Param *a) {
    void *host = malloc((shape_size(a->shape) + 1) * p->backend->real_size);
    CHECK(host, "out of memory");
    return host;
}

static void *address(const Params *p, void *slab, const Param *a) {
    return (char *)slab + a->offset * p->backend->real_size;
}

static void write_slab(Params *p, void *slab, const Param *a, const double *values) {
    size_t size = shape_size(a->shape), real = p->backend->real_size;
    void *host = host_buffer(p, a);
    for (size_t k = 0; k < size; k++) {
        size_t to = engine_index(a, k);
        if (real == sizeof(double))
            ((double *)host)[to] = values[k];
        else
            ((float *)host)[to] = (float)values[k];
    }
    p->backend->write(address(p, slab, a), host, size * real);
    free(host);
}

void params_set(Params *p, int i, const double *values) {
    write_slab(p, p->weights, &p->param[i], values);
}

static void read_slab(const Params *p, void *slab, const Param *a, double *values) {
    size_t size = shape_size(a->shape), real = p->backend->real_size;
    void *host = host_buffer(p, a);
    p->backend->sync();
    p->backend->read(host, address(p, slab, a), size * real);
    for (size_t k = 0; k < size; k++) {
        size_t from = engine_index(a, k);
        values[k] = real == sizeof(double) ? ((double *)host)[from] : ((float *)host)[from];
    }
    free(host);
}

void params_get(const Params *p, int i, double *values) {
    read_slab(p, p->weights, &p->param[i], values);
}

void params_get_gradient(const Params *p, int i, double *values) {
    CHECK(p->gradients, "no plan has made gradients yet");
    CHECK(p->param[i].kind == PARAM_WEIGHT, "%s is a buffer", p->param[i].key);
    read_slab(p, p->gradients, &p->param[i], values);
}

void params_get_moment(const Params *p, int which, int i, double *values) {
    CHECK(p->param[i].kind == PARAM_WEIGHT, "%s is a buffer", p->param[i].key);
    if (p->moment[which])
        read_slab(p, p->moment[which], &p->param[i], values);
    else
        memset(values, 0, shape_size(p->param[i].shape) * sizeof *values);
}

Status params_set_moment(Params *p, int which, int i, const double *values) {
    CHECK(p->param[i].kind == PARAM_WEIGHT, "%s is a buffer", p->param[i].key);
    if (!params_moment(p, which))
        return fail(ERR_MEMORY, "no memory for the moments of %zu weights", p->learned_end);
    write_slab(p, p->moment[which], &p->param[i], values);
    return OK;
}

static bool same_dims(const Param *a, const Array *array) {
    if (a->dims != array->dims) return false;
    for (int i = 0; i < a->dims; i++)
        if (a->dim[i] != array->dim[i]) return false;
    return true;
}

static const char *dims_text(const Param *a) {
    Array shape = {.dims = a->dims};
    for (int i = 0; i < a->dims; i++) shape.dim[i] = a->dim[i];
    return array_shape_text(&shape);
}

typedef struct {
    const char *name;
    const Array *array;
} Entry;

static int entry_order(const void *a, const void *b) {
    return strcmp(((const Entry *)a)->name, ((const Entry *)b)->name);
}

/* The file's arrays below prefix, sorted by the rest of their names. */
static Entry *index_new(const ArrayFile *file, const char *prefix, size_t *count) {
    Entry *index = calloc((size_t)file->count + 1, sizeof *index);
    CHECK(index, "out of memory");
    size_t length = strlen(prefix);
    *count = 0;
    for (int i = 0; i < file->count; i++)
        if (!strncmp(file->array[i].name, prefix, length))
            index[(*count)++] = (Entry){file->array[i].name + length, &file->array[i]};
    qsort(index, *count, sizeof *index, entry_order);
    return index;
}

static void load_one(Params *p, int i, const Array *array) {
    size_t size = array_size(array);
    double *values = malloc((size + 1) * sizeof *values);
    CHECK(values, "out of memory");
    for (size_t k = 0; k < size; k++) values[k] = array_get(array, k);
    params_set(p, i, values);
    free(values);
}

/* Puts the file's array of every parameter into array. */
static Status match(const Params *p, const ArrayFile *file, const char *prefix,
                    const Array **array) {
    size_t count;
    Entry *index = index_new(file, prefix, &count);
    int missing = 0, first_missing = -1;
    Status status = OK;
    for (int i = 0; i < p->count && status == OK; i++) {
        const Param *a = &p->param[i];
        Entry wanted = {a->key, NULL};
        const Entry *found = bsearch(&wanted, index, count, sizeof *index, entry_order);
        array[i] = found ? found->array : NULL;
        if (!found && !missing++) first_missing = i;
        if (found && !same_dims(a, found->array))
            status = fail(ERR_MODEL, "%s%s is %s, the network needs %s", prefix, a->key,
                          array_shape_text(found->array), dims_text(a));
    }
    free(index);
    if (status == OK && missing)
        status = fail(ERR_MODEL, "%d of %d parameters are missing, the first is %s%s", missing,
                      p->count, prefix, p->param[first_missing].key);
    return status;
}

Status params_check(const Params *p, const ArrayFile *file, const char *prefix) {
    const Array **array = zeros(p->count, sizeof *array);
    Status status = match(p, file, prefix, array);
    free(array);
    return status;
}

/* No number beyond what single precision holds, which backends compute in. */
static bool is_finite(const Array *a) {
    size_t size = array_size(a);
    bool good = true;
    if (a->dtype == F32) /* what most files hold; a loop that compilers make vectors of */
        for (size_t k = 0; k < size; k++) good &= fabsf(((const float *)a->data)[k]) <= FLT_MAX;
    else
        for (size_t k = 0; k < size; k++) good &= fabs(array_get(a, k)) <= (double)FLT_MAX;
    return good;
}

static Status check_finite(const Params *p, const Array **array, const char *prefix) {
    for (int i = 0; i < p->count; i++) {
        CHECK(array[i], "%s has no array", p->param[i].key);
        if (!is_finite(array[i]))
            return fail(ERR_MODEL,
                        "%s%s holds a number that is not finite, expected weights; give a file "
                        "whose training did not fail",
                        prefix, p->param[i].key);
    }
    return OK;
}

Status params_load(Params *p, const ArrayFile *file, const char *prefix) {
    const Array **array = zeros(p->count, sizeof *array);
    Status status = match(p, file, prefix, array);
    if (status == OK) status = check_finite(p, array, prefix);
    for (int i = 0; status == OK && i < p->count; i++) load_one(p, i, array[i]);
    free(array);
    return status;
}

ArrayFile params_arrays(const Params *p) {
    ArrayFile f = {.arena = arena_new(), .kind = "safetensors", .count = p->count};
    f.array = arena_alloc(f.arena, (size_t)p->count * sizeof *f.array + 1);
    for (int i = 0; i < p->count; i++) {
        const Param *a = &p->param[i];
        size_t size = shape_size(a->shape);
        double *values = malloc((size + 1) * sizeof *values);
        CHECK(values, "out of memory");
        params_get(p, i, values);
        float *data = arena_alloc(f.arena, size * sizeof *data + 1);
        for (size_t k = 0; k < size; k++) data[k] = (float)values[k];
        free(values);
        f.array[i] = (Array){arena_strdup(f.arena, a->key), F32, .dims = a->dims, .data = data};
        for (int d = 0; d < a->dims; d++) f.array[i].dim[d] = a->dim[d];
    }
    return f;
}

/* Slab to slab, through the host where the backend's memory is its own. */
static void slab_copy(const Params *p, void *to, const void *from) {
    size_t step = (size_t)1 << 22, bytes = p->size * p->backend->real_size;
    char *host = malloc(step);
    CHECK(host, "out of memory");
    for (size_t at = 0; at < bytes; at += step) {
        size_t part = bytes - at < step ? bytes - at : step;
        p->backend->read(host, (const char *)from + at, part);
        p->backend->write((char *)to + at, host, part);
    }
    free(host);
}

Status params_snapshot(Params *p) {
    if (!p->snapshot) p->snapshot = slab_new(p, p->size);
    if (!p->snapshot)
        return fail(ERR_MEMORY,
                    "no room for a copy of the weights (%.1f MiB); use a smaller network",
                    (double)(p->size * p->backend->real_size) / 0x1p20);
    p->backend->sync();
    slab_copy(p, p->snapshot, p->weights);
    return OK;
}

void params_reset(Params *p) {
    CHECK(p->snapshot, "params_reset without params_snapshot");
    slab_copy(p, p->weights, p->snapshot);
    for (int which = 0; which < 2; which++)
        if (p->moment[which])
            p->backend->fill(p->moment[which], 0, p->learned_end * p->backend->real_size);
}

static Tensor numbers_of(void *data, size_t numbers) {
    return (Tensor){.dtype = F32, .shape = {1, 1, 1, (int)numbers}, .data = data};
}

Status params_average(Params *average, const Params *weights, double share) {
    const Backend *b = average->backend;
    CHECK(average->size == weights->size, "an average of other parameters");
    if (!average->hyper) average->hyper = slab_new(average, UPDATE_HYPER);
    if (!average->hyper) return fail(ERR_MEMORY, "no memory for a moving average of weights");
    const float narrow = (float)share;
    b->write(average->hyper, b->real_size == sizeof share ? (const void *)&share : &narrow,
             b->real_size);
    const UpdateRange all = {0, average->size};
    const UpdateAttr attr = {.kind = UPDATE_AVERAGE, .ranges = 1, .range = &all};
    b->op[OP_update].forward(&(Call){
        .attr = &attr,
        .in = {numbers_of(average->weights, average->size),
               numbers_of(weights->weights, weights->size),
               {.dtype = F32},
               {.dtype = F32},
               numbers_of(average->hyper, UPDATE_HYPER)},
    });
    b->sync();
    return OK;
}

void params_zero_gradients(Params *p) {
    p->backend->fill(params_gradients(p), 0, p->learned_end * p->backend->real_size);
}
