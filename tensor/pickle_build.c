#include "tensor/pickle_build.h"

/* What a name stands for when it is called. */
typedef enum {
    DICT,           /* (), (mapping) or (list of pairs) */
    DEFAULT_DICT,   /* (factory) */
    TUPLE,          /* (sequence) */
    SET,            /* (sequence) */
    NO_BYTES,       /* (): what Python 3 writes for b'' in protocol 2 */
    ENCODE,         /* (text, 'latin1') */
    RECONSTRUCTOR,  /* (class, object, None) */
    OBJECT,         /* an instance that only holds a state */
    ARRAY_EMPTY,    /* (ndarray, shape, type), filled by BUILD */
    ARRAY_SCALAR,   /* (dtype, bytes) */
    ARRAY_BUFFER,   /* (bytes, dtype, shape, order) */
    ARRAY_TYPE,     /* (text, align, copy) */
    TENSOR,         /* (storage, offset, size, stride, ...) */
    PARAMETER,      /* (tensor, requires_grad, hooks) */
    STORAGE,        /* only named inside a persistent id */
    STORAGE_UNREAD, /* a type of numbers that no array holds */
    NAME            /* may appear, may not be called */
} Meaning;

static const struct {
    const char *module, *name;
    Meaning meaning;
    RawType type;
} TABLE[] = {
    {"__builtin__", "bytes", NO_BYTES, 0},
    {"__builtin__", "dict", DICT, 0},
    {"__builtin__", "frozenset", SET, 0},
    {"__builtin__", "int", NAME, 0},
    {"__builtin__", "list", NAME, 0},
    {"__builtin__", "object", NAME, 0},
    {"__builtin__", "set", SET, 0},
    {"_codecs", "encode", ENCODE, 0},
    {"argparse", "Namespace", OBJECT, 0},
    {"builtins", "bytes", NO_BYTES, 0},
    {"builtins", "dict", DICT, 0},
    {"builtins", "frozenset", SET, 0},
    {"builtins", "int", NAME, 0},
    {"builtins", "list", NAME, 0},
    {"builtins", "object", NAME, 0},
    {"builtins", "set", SET, 0},
    {"chumpy.ch", "Ch", OBJECT, 0},
    {"collections", "Counter", DICT, 0},
    {"collections", "OrderedDict", DICT, 0},
    {"collections", "defaultdict", DEFAULT_DICT, 0},
    {"copy_reg", "_reconstructor", RECONSTRUCTOR, 0},
    {"copyreg", "_reconstructor", RECONSTRUCTOR, 0},
    {"numpy", "dtype", ARRAY_TYPE, 0},
    {"numpy", "ndarray", NAME, 0},
    {"numpy._core.multiarray", "_reconstruct", ARRAY_EMPTY, 0},
    {"numpy._core.multiarray", "scalar", ARRAY_SCALAR, 0},
    {"numpy._core.numeric", "_frombuffer", ARRAY_BUFFER, 0},
    {"numpy.core.multiarray", "_reconstruct", ARRAY_EMPTY, 0},
    {"numpy.core.multiarray", "scalar", ARRAY_SCALAR, 0},
    {"numpy.core.numeric", "_frombuffer", ARRAY_BUFFER, 0},
    {"scipy.sparse._csc", "csc_matrix", OBJECT, 0},
    {"scipy.sparse.csc", "csc_matrix", OBJECT, 0},
    {"torch", "BFloat16Storage", STORAGE, RAW_BF16},
    {"torch", "BoolStorage", STORAGE, RAW_U8},
    {"torch", "ByteStorage", STORAGE, RAW_U8},
    {"torch", "CharStorage", STORAGE, RAW_I8},
    {"torch", "ComplexDoubleStorage", STORAGE_UNREAD, 0},
    {"torch", "ComplexFloatStorage", STORAGE_UNREAD, 0},
    {"torch", "DoubleStorage", STORAGE, RAW_F64},
    {"torch", "FloatStorage", STORAGE, RAW_F32},
    {"torch", "HalfStorage", STORAGE, RAW_F16},
    {"torch", "IntStorage", STORAGE, RAW_I32},
    {"torch", "LongStorage", STORAGE, RAW_I64},
    {"torch", "QInt32Storage", STORAGE_UNREAD, 0},
    {"torch", "QInt8Storage", STORAGE_UNREAD, 0},
    {"torch", "QUInt8Storage", STORAGE_UNREAD, 0},
    {"torch", "ShortStorage", STORAGE, RAW_I16},
    {"torch", "Size", TUPLE, 0},
    {"torch", "device", TUPLE, 0},
    {"torch._utils", "_rebuild_parameter", PARAMETER, 0},
    {"torch._utils", "_rebuild_tensor", TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR, 0},
};

Status pickle_build_global(PickleVm *vm, Span module, Span name, PickleValue *out) {
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++) {
        if (!reader_equal(module, TABLE[i].module) || !reader_equal(name, TABLE[i].name)) continue;
        *out = (PickleValue){.kind = PICKLE_GLOBAL, .global = (int)i};
        return OK;
    }
    return pickle_vm_fail(vm, "the name %s of module %s is not allowed, and nothing is run",
                          reader_quote(name.data, name.size),
                          reader_quote(module.data, module.size));
}

static Status wrong_arguments(const PickleVm *vm, int global) {
    return pickle_vm_fail(vm, "%s.%s has wrong arguments", TABLE[global].module,
                          TABLE[global].name);
}

static bool is_sequence(PickleValue v) { return v.kind == PICKLE_LIST || v.kind == PICKLE_TUPLE; }
static bool is_text(PickleValue v) { return v.kind == PICKLE_TEXT || v.kind == PICKLE_BYTES; }
static Span span_of(PickleValue v) { return (Span){(const uint8_t *)v.text, v.size}; }

/* ---- Python's own containers ---- */

static Status copy_items(PickleVm *vm, PickleKind kind, PickleValue from, PickleValue *out) {
    TRY(pickle_vm_items(vm, kind, out));
    for (size_t i = 0; i < from.items->count; i++)
        TRY(pickle_vm_append(vm, out->items, from.items->item[i]));
    return OK;
}

static Status make_dict(PickleVm *vm, int global, const PickleItems *arguments, PickleValue *out) {
    TRY(pickle_vm_items(vm, PICKLE_DICT, out));
    if (!arguments->count) return OK;
    PickleValue from = arguments->item[0];
    if (from.kind == PICKLE_DICT) return copy_items(vm, PICKLE_DICT, from, out);
    if (!is_sequence(from)) return wrong_arguments(vm, global);
    for (size_t i = 0; i < from.items->count; i++) {
        PickleValue pair = from.items->item[i];
        if (!is_sequence(pair) || pair.items->count != 2) return wrong_arguments(vm, global);
        TRY(pickle_vm_check_key(vm, &pair.items->item[0]));
        TRY(pickle_vm_append(vm, out->items, pair.items->item[0]));
        TRY(pickle_vm_append(vm, out->items, pair.items->item[1]));
    }
    return OK;
}

static Status make_sequence(PickleVm *vm, int global, PickleKind kind, const PickleItems *a,
                            PickleValue *out) {
    if (!a->count) return pickle_vm_items(vm, kind, out);
    if (is_sequence(a->item[0]) && a->count == 1) return copy_items(vm, kind, a->item[0], out);
    return wrong_arguments(vm, global);
}

/* Latin-1 bytes that were written as UTF-8: code points up to 255 take one or two bytes. */
static Status encode(PickleVm *vm, int global, const PickleItems *a, PickleValue *out) {
    if (a->count != 2 || a->item[0].kind != PICKLE_TEXT || !is_text(a->item[1]) ||
        (!reader_equal(span_of(a->item[1]), "latin1") &&
         !reader_equal(span_of(a->item[1]), "latin-1")))
        return wrong_arguments(vm, global);
    Span s = span_of(a->item[0]);
    char *bytes = reader_alloc(vm->r, s.size + 1, 1);
    if (!bytes) return vm->r->status;
    size_t used = 0;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c >= 0x80) {
            bool two = (c == 0xc2 || c == 0xc3) && i + 1 < s.size && (s.data[i + 1] & 0xc0) == 0x80;
            if (!two) return pickle_vm_fail(vm, "_codecs.encode: a character is not latin-1");
            c = (uint8_t)(c << 6 | (s.data[++i] & 0x3f));
        }
        bytes[used++] = (char)c;
    }
    *out = (PickleValue){.kind = PICKLE_BYTES, .size = used, .text = bytes};
    return OK;
}

static Status make_object(PickleVm *vm, int global, PickleValue *out) {
    PickleObject *object = reader_alloc(vm->r, 1, sizeof *object);
    if (!object) return vm->r->status;
    object->type = arena_printf(vm->r->arena, "%s.%s", TABLE[global].module, TABLE[global].name);
    *out = (PickleValue){.kind = PICKLE_OBJECT, .object = object};
    return OK;
}

static Status reconstruct(PickleVm *vm, int global, const PickleItems *a, PickleValue *out) {
    if (a->count != 3 || a->item[0].kind != PICKLE_GLOBAL ||
        TABLE[a->item[0].global].meaning != OBJECT)
        return wrong_arguments(vm, global);
    return make_object(vm, a->item[0].global, out);
}

/* ---- numpy ---- */

static Status read_shape(PickleVm *vm, PickleValue shape, int *dims, int64_t dim[ARRAY_DIMS]) {
    if (!is_sequence(shape)) return pickle_vm_fail(vm, "an array's shape is no tuple");
    if (shape.items->count > ARRAY_DIMS)
        return pickle_vm_fail(vm, "an array has %zu sizes, at most %d are read", shape.items->count,
                              ARRAY_DIMS);
    *dims = (int)shape.items->count;
    for (int i = 0; i < *dims; i++) {
        if (shape.items->item[i].kind != PICKLE_INT)
            return pickle_vm_fail(vm, "an array's size or stride is no integer");
        dim[i] = shape.items->item[i].integer;
    }
    return OK;
}

static Status make_dtype(PickleVm *vm, int global, const PickleItems *a, PickleValue *out) {
    NpyType *type = reader_alloc(vm->r, 1, sizeof *type);
    if (!type) return vm->r->status;
    if (!a->count || !is_text(a->item[0])) return wrong_arguments(vm, global);
    Status status = npy_type(a->item[0].text, a->item[0].size, type);
    if (status) return error_prefix(status, "pickle byte %zu", vm->opcode_at);
    *out = (PickleValue){.kind = PICKLE_DTYPE, .dtype = type};
    return OK;
}

/* (version, byte order, subarray, field names, fields, ...) */
static Status set_dtype(PickleVm *vm, NpyType *type, PickleValue state) {
    if (state.kind != PICKLE_TUPLE || state.items->count < 5)
        return pickle_vm_fail(vm, "numpy.dtype has a wrong state");
    const PickleValue *item = state.items->item;
    if (!is_text(item[1]) || item[1].size != 1)
        return pickle_vm_fail(vm, "numpy.dtype has a wrong byte order");
    for (int i = 2; i < 5; i++)
        if (item[i].kind != PICKLE_NONE)
            return pickle_vm_fail(vm, "structured arrays are not read");
    type->big_endian = item[1].text[0] == '>';
    return OK;
}

static Status make_array(PickleVm *vm, PickleValue *out) {
    PickleArray *array = reader_alloc(vm->r, 1, sizeof *array);
    if (!array) return vm->r->status;
    array->array.dims = 1; /* of size 0 until it is filled */
    *out = (PickleValue){.kind = PICKLE_ARRAY, .array = array};
    return OK;
}

static Status fill_array(PickleVm *vm, PickleArray *array, PickleValue shape, PickleValue dtype,
                         bool fortran, PickleValue bytes) {
    int dims = 0;
    int64_t dim[ARRAY_DIMS] = {0};
    if (dtype.kind != PICKLE_DTYPE || (bytes.kind != PICKLE_BYTES && bytes.kind != PICKLE_LIST))
        return pickle_vm_fail(vm, "numpy.ndarray has a wrong state");
    TRY(read_shape(vm, shape, &dims, dim));
    Span data = bytes.kind == PICKLE_BYTES ? span_of(bytes) : (Span){0};
    Status status =
        npy_array(vm->r, *dtype.dtype, fortran, dims, dim, data, &array->array, &array->text);
    array->built = true;
    return status ? error_prefix(status, "pickle byte %zu", vm->opcode_at) : OK;
}

/* (version, shape, dtype, fortran, bytes), the oldest without a version */
static Status set_array(PickleVm *vm, PickleArray *array, PickleValue state) {
    if (array->built || state.kind != PICKLE_TUPLE || state.items->count < 4 ||
        state.items->count > 5)
        return pickle_vm_fail(vm, "numpy.ndarray has a wrong state");
    const PickleValue *item = state.items->item + (state.items->count - 4);
    bool fortran = (item[2].kind == PICKLE_BOOL || item[2].kind == PICKLE_INT) && item[2].integer;
    return fill_array(vm, array, item[0], item[1], fortran, item[3]);
}

static Status make_from_buffer(PickleVm *vm, int global, const PickleItems *a, PickleValue *out) {
    if (a->count != 4 || !is_text(a->item[3]) || a->item[3].size != 1)
        return wrong_arguments(vm, global);
    TRY(make_array(vm, out));
    return fill_array(vm, out->array, a->item[2], a->item[1], a->item[3].text[0] == 'F',
                      a->item[0]);
}

static Status make_scalar(PickleVm *vm, int global, const PickleItems *a, PickleValue *out) {
    PickleValue shape = {0}, array = {0};
    if (a->count != 2) return wrong_arguments(vm, global);
    TRY(pickle_vm_items(vm, PICKLE_TUPLE, &shape));
    TRY(make_array(vm, &array));
    TRY(fill_array(vm, array.array, shape, a->item[0], false, a->item[1]));
    const Array *value = &array.array->array;
    if (array.array->text)
        *out = (PickleValue){.kind = PICKLE_TEXT, .size = strlen(value->data), .text = value->data};
    else if (a->item[0].dtype->kind == 'f')
        *out = (PickleValue){.kind = PICKLE_FLOAT, .number = array_get(value, 0)};
    else
        *out = (PickleValue){.kind = a->item[0].dtype->kind == 'b' ? PICKLE_BOOL : PICKLE_INT,
                             .integer = value->dtype == I64   ? *(const int64_t *)value->data
                                        : value->dtype == I32 ? *(const int32_t *)value->data
                                                              : *(const uint8_t *)value->data};
    return OK;
}

/* ---- torch ---- */

static Status make_tensor(PickleVm *vm, int global, const PickleItems *a, PickleValue *out) {
    if (a->count < 4 || a->item[0].kind != PICKLE_STORAGE || a->item[1].kind != PICKLE_INT)
        return wrong_arguments(vm, global);
    PickleTensor *tensor = reader_alloc(vm->r, 1, sizeof *tensor);
    if (!tensor) return vm->r->status;
    int strides;
    tensor->storage = a->item[0].storage;
    tensor->offset = a->item[1].integer;
    TRY(read_shape(vm, a->item[2], &tensor->dims, tensor->dim));
    TRY(read_shape(vm, a->item[3], &strides, tensor->stride));
    if (strides != tensor->dims)
        return pickle_vm_fail(vm, "a tensor has %d sizes and %d strides", tensor->dims, strides);
    *out = (PickleValue){.kind = PICKLE_TENSOR, .tensor = tensor};
    return OK;
}

/* ('storage', class, key, location, count); later versions append None */
Status pickle_build_storage(PickleVm *vm, PickleValue id, PickleValue *out) {
    const PickleItems *a = id.items;
    if (id.kind != PICKLE_TUPLE || a->count < 5 || !is_text(a->item[0]) ||
        !reader_equal(span_of(a->item[0]), "storage") || a->item[1].kind != PICKLE_GLOBAL ||
        !is_text(a->item[2]) || a->item[4].kind != PICKLE_INT || a->item[4].integer < 0)
        return pickle_vm_fail(vm, "a persistent id is not a torch storage");
    if (a->count > 5 && a->item[5].kind != PICKLE_NONE)
        return pickle_vm_fail(vm, "a storage is a view of another one; save the file again by a "
                                  "newer torch");
    TRY(pickle_vm_check_key(vm, &a->item[2]));
    int global = a->item[1].global;
    if (TABLE[global].meaning != STORAGE)
        return pickle_vm_fail(vm, "numbers of type %s.%s are not read", TABLE[global].module,
                              TABLE[global].name);
    PickleStorage *storage = reader_alloc(vm->r, 1, sizeof *storage);
    if (!storage) return vm->r->status;
    *storage = (PickleStorage){.type = TABLE[global].type,
                               .key = span_of(a->item[2]),
                               .count = a->item[4].integer,
                               .next = vm->storages};
    vm->storages = storage;
    *out = (PickleValue){.kind = PICKLE_STORAGE, .storage = storage};
    return OK;
}

/* ---- the opcodes ---- */

Status pickle_build_call(PickleVm *vm, PickleValue callable, PickleValue arguments,
                         PickleValue *out) {
    if (callable.kind != PICKLE_GLOBAL || arguments.kind != PICKLE_TUPLE)
        return pickle_vm_fail(vm, "calls something that is no name, or without a tuple");
    const PickleItems *a = arguments.items;
    int global = callable.global;
    switch (TABLE[global].meaning) {
    case DICT: return make_dict(vm, global, a, out);
    case DEFAULT_DICT: return pickle_vm_items(vm, PICKLE_DICT, out);
    case TUPLE: return make_sequence(vm, global, PICKLE_TUPLE, a, out);
    case SET: return make_sequence(vm, global, PICKLE_SET, a, out);
    case NO_BYTES:
        *out = (PickleValue){.kind = PICKLE_BYTES, .text = ""};
        return a->count ? wrong_arguments(vm, global) : OK;
    case ENCODE: return encode(vm, global, a, out);
    case RECONSTRUCTOR: return reconstruct(vm, global, a, out);
    case OBJECT: return make_object(vm, global, out);
    case ARRAY_EMPTY: return make_array(vm, out);
    case ARRAY_SCALAR: return make_scalar(vm, global, a, out);
    case ARRAY_BUFFER: return make_from_buffer(vm, global, a, out);
    case ARRAY_TYPE: return make_dtype(vm, global, a, out);
    case TENSOR: return make_tensor(vm, global, a, out);
    case PARAMETER:
        if (!a->count || a->item[0].kind != PICKLE_TENSOR) return wrong_arguments(vm, global);
        *out = a->item[0];
        return OK;
    case STORAGE:
    case STORAGE_UNREAD:
    case NAME: break;
    }
    return pickle_vm_fail(vm, "%s.%s may not be called", TABLE[global].module, TABLE[global].name);
}

Status pickle_build_state(PickleVm *vm, PickleValue object, PickleValue state) {
    switch (object.kind) {
    case PICKLE_ARRAY: return set_array(vm, object.array, state);
    case PICKLE_DTYPE: return set_dtype(vm, object.dtype, state);
    case PICKLE_OBJECT: object.object->state = state; return OK;
    case PICKLE_DICT: return OK; /* attributes beside the items, such as torch's _metadata */
    default: return pickle_vm_fail(vm, "gives a state to something that has none");
    }
}
