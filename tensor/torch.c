#include "tensor/torch.h"

#include "tensor/collect.h"

#include <stdlib.h>

/* ---- what both containers share ---- */

typedef struct {
    PickleStorage **storage; /* by key; a storage that several tensors use stands there often */
    size_t count;
} Storages;

static int compare_storages(const void *a, const void *b) {
    const PickleStorage *const *x = a, *const *y = b;
    return reader_compare((*x)->key, (*y)->key);
}

static Status sort_storages(PickleVm *vm, Storages *out) {
    size_t count = 0;
    for (PickleStorage *s = vm->storages; s; s = s->next) count++;
    out->storage = reader_alloc(vm->r, count, sizeof *out->storage);
    if (!out->storage) return vm->r->status;
    for (PickleStorage *s = vm->storages; s; s = s->next) out->storage[out->count++] = s;
    qsort(out->storage, count, sizeof *out->storage, compare_storages);
    return OK;
}

/* The first of the storages with that key; they stand side by side. */
static size_t find_key(const Storages *all, Span key) {
    size_t low = 0, high = all->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reader_compare(all->storage[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_key(const Storages *all, size_t i, Span key) {
    return i < all->count && !reader_compare(all->storage[i]->key, key);
}

static Status give_bytes(PickleStorage *s, Span bytes) {
    uint64_t size;
    if (__builtin_mul_overflow((uint64_t)s->count, raw_size(s->type), &size) || size != bytes.size)
        return fail(ERR_MODEL, "storage %s of %lld elements of %zu bytes has %zu bytes of data",
                    reader_quote(s->key.data, s->key.size), (long long)s->count, raw_size(s->type),
                    bytes.size);
    s->bytes = bytes;
    return OK;
}

static bool holds_tensor(const PickleValue *v) {
    for (size_t i = 0; i < pickle_count(v); i++)
        if (pickle_item(v, i)->kind == PICKLE_TENSOR) return true;
    return false;
}

/* The names under which training programs put a state dict beside other things, tensors among
 * them. */
static const char *find_prefix(const PickleValue *root) {
    static const struct {
        const char *key, *prefix;
    } KNOWN[] = {
        {"state_dict", "state_dict."},
        {"model", "model."},
        {"model_state_dict", "model_state_dict."},
        {"net", "net."},
        {"network", "network."},
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (holds_tensor(pickle_get(root, KNOWN[i].key))) return KNOWN[i].prefix;
    return "";
}

static Status collect(Reader *r, const PickleValue *root) {
    if (root->kind < PICKLE_LIST)
        return fail(ERR_MODEL, "the checkpoint is a single value, expected a dict of tensors");
    TRY(collect_arrays(r, root));
    if (!r->out->count) return fail(ERR_MODEL, "the checkpoint holds no tensors");
    const char *prefix = find_prefix(root);
    return *prefix ? reader_add_meta(r, "state_prefix", prefix) : OK;
}

/* ---- zip ---- */

static const char PICKLE_NAME[] = "data.pkl";
enum { PICKLE_NAME_SIZE = sizeof PICKLE_NAME - 1 };

/* "data.pkl", or inside one folder "NAME/data.pkl"; the folder with its slash is the prefix. */
static const ZipEntry *find_pickle(const Zip *zip, Span *prefix) {
    for (size_t i = 0; i < zip->count; i++) {
        Span name = zip->entry[i].name;
        if (name.size < PICKLE_NAME_SIZE) continue;
        *prefix = (Span){name.data, name.size - PICKLE_NAME_SIZE};
        const uint8_t *slash = prefix->size ? memchr(name.data, '/', prefix->size) : NULL;
        bool in_folder = slash ? slash + 1 == name.data + prefix->size : !prefix->size;
        if (in_folder && !memcmp(name.data + prefix->size, PICKLE_NAME, PICKLE_NAME_SIZE))
            return &zip->entry[i];
    }
    return NULL;
}

bool torch_is_zip(const Zip *zip) {
    Span prefix;
    return find_pickle(zip, &prefix);
}

/* The entry prefix + folder + name. */
static const ZipEntry *find_entry(Reader *r, const Zip *zip, Span prefix, const char *folder,
                                  Span name) {
    const Span part[] = {prefix, reader_span(folder), name};
    size_t size = 0;
    for (int i = 0; i < 3; i++) size += part[i].size;
    char *path = reader_alloc(r, size, 1), *end = path;
    if (!path) return NULL;
    for (int i = 0; i < 3; i++) {
        if (part[i].size) memcpy(end, part[i].data, part[i].size);
        end += part[i].size;
    }
    return zip_find(zip, path, size);
}

static Status read_byte_order(Reader *r, const Zip *zip, Span prefix) {
    const ZipEntry *e = find_entry(r, zip, prefix, "byteorder", (Span){0});
    Span order;
    if (!e) return OK;
    TRY(zip_read(r, e, &order));
    r->big_endian = reader_equal(order, "big");
    return r->big_endian || reader_equal(order, "little")
               ? OK
               : fail(ERR_MODEL, "the byte order is %s, expected little or big",
                      reader_quote(order.data, order.size));
}

static Status read_storages(Reader *r, const Zip *zip, Span prefix, const Storages *all) {
    for (size_t i = 0; i < all->count; i++) {
        Span key = all->storage[i]->key, bytes;
        if (i && has_key(all, i - 1, key)) {
            bytes = all->storage[i - 1]->bytes;
        } else {
            const ZipEntry *e = find_entry(r, zip, prefix, "data/", key);
            if (!e)
                return fail(ERR_MODEL, "storage %s is not in the archive",
                            reader_quote(key.data, key.size));
            TRY(zip_read(r, e, &bytes));
        }
        TRY(give_bytes(all->storage[i], bytes));
    }
    return OK;
}

Status torch_load_zip(Reader *r, const Zip *zip) {
    Span prefix = {0}, code;
    const ZipEntry *e = find_pickle(zip, &prefix);
    r->out->kind = "torch zip";
    if (find_entry(r, zip, prefix, "constants.pkl", (Span){0}))
        return fail(ERR_MODEL, "is a TorchScript archive; save the state dict instead");
    PickleVm vm;
    Storages all = {0};
    TRY(zip_read(r, e, &code));
    TRY(pickle_vm_run(r, &code, &vm));
    TRY(read_byte_order(r, zip, prefix));
    TRY(sort_storages(&vm, &all));
    TRY(read_storages(r, zip, prefix, &all));
    return collect(r, &vm.root);
}

/* ---- legacy: magic, version, system, object, list of keys, then the storages in that order ----
 */

bool torch_is_legacy(const PickleValue *first) {
    static const uint8_t MAGIC[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return first->kind == PICKLE_BIG && first->size == sizeof MAGIC &&
           !memcmp(first->text, MAGIC, sizeof MAGIC);
}

static Status read_head(Reader *r, Span *rest) {
    enum { PROTOCOL_VERSION = 1001 };
    PickleVm vm;
    TRY(pickle_vm_run(r, rest, &vm));
    if (vm.root.kind != PICKLE_INT || vm.root.integer != PROTOCOL_VERSION)
        return fail(ERR_MODEL, "the legacy checkpoint's version is not %d", PROTOCOL_VERSION);
    TRY(pickle_vm_run(r, rest, &vm));
    const PickleValue *little = pickle_get(&vm.root, "little_endian");
    if (!little || little->kind != PICKLE_BOOL)
        return fail(ERR_MODEL, "the legacy checkpoint does not tell its byte order");
    r->big_endian = !little->integer;
    return OK;
}

/* One storage: its number of elements, 8 bytes, and the elements. */
static Status read_record(const Storages *all, Span key, bool big_endian, Span *rest) {
    Span head, bytes;
    size_t i = find_key(all, key);
    if (!has_key(all, i, key))
        return fail(ERR_MODEL, "storage %s is listed, but no tensor uses it",
                    reader_quote(key.data, key.size));
    if (!reader_take(rest, 8, &head)) return fail(ERR_MODEL, "the file ends before a storage");
    uint64_t count = reader_u64(head.data), size;
    if (big_endian) count = __builtin_bswap64(count);
    if (__builtin_mul_overflow(count, raw_size(all->storage[i]->type), &size) ||
        !reader_take(rest, size, &bytes))
        return fail(ERR_MODEL, "storage %s claims %lld elements, the file has %zu bytes left",
                    reader_quote(key.data, key.size), (long long)count, rest->size);
    for (; has_key(all, i, key); i++) TRY(give_bytes(all->storage[i], bytes));
    return OK;
}

Status torch_load_legacy(Reader *r, Span rest) {
    PickleVm object, keys;
    Storages all = {0};
    r->out->kind = "torch legacy";
    TRY(read_head(r, &rest));
    TRY(pickle_vm_run(r, &rest, &object));
    TRY(pickle_vm_run(r, &rest, &keys));
    TRY(sort_storages(&object, &all));
    if (keys.root.kind != PICKLE_LIST) return fail(ERR_MODEL, "the list of storages is missing");
    for (size_t i = 0; i < pickle_count(&keys.root); i++) {
        const PickleValue *key = pickle_item(&keys.root, i);
        if (key->kind != PICKLE_TEXT && key->kind != PICKLE_BYTES)
            return fail(ERR_MODEL, "a storage's key is no text");
        Span name = {(const uint8_t *)key->text, key->size};
        TRY(read_record(&all, name, r->big_endian, &rest));
    }
    for (size_t i = 0; i < all.count; i++)
        if (!all.storage[i]->bytes.data)
            return fail(ERR_MODEL, "storage %s is not in the file",
                        reader_quote(all.storage[i]->key.data, all.storage[i]->key.size));
    return collect(r, &object.root);
}
