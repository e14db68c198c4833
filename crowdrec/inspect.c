#include "crowdrec/inspect.h"

#include "crowdrec/image.h"
#include "crowdrec/jsonfile.h"
#include "crowdrec/photos.h"
#include "crowdrec/weights.h"
#include "smpl/body.h"
#include "tensor/file.h"
#include "tensor/reader.h"
#include "tensor/safetensors.h"

#include <string.h>
#include <strings.h>

enum { FIRST_ARRAYS = 20 };

/* One line: the key in a column of its own. */
#define LINE(out, key, ...) \
    (fprintf(out, "%-12s ", key ":"), fprintf(out, __VA_ARGS__), fputc('\n', out))

/* A file's text without what would steer the terminal or look like a line of ours. */
static const char *plain(Arena *arena, const char *text) {
    char *out = arena_printf(arena, "%s", text);
    for (unsigned char *c = (unsigned char *)out; *c; c++)
        if (*c < 0x20 || *c >= 0x7f) *c = '?';
    return out;
}

/* ---- arrays ---- */

static void list_arrays(const ArrayFile *f, int all, FILE *out) {
    int shown = all || f->count <= FIRST_ARRAYS ? f->count : FIRST_ARRAYS;
    for (int i = 0; i < shown; i++) {
        const Array *a = &f->array[i];
        fprintf(out, "  %s %s %s\n", plain(f->arena, a->name), dtype_name(a->dtype),
                array_shape_text(a));
    }
    if (shown < f->count) fprintf(out, "  ... and %d more; --all lists them\n", f->count - shown);
}

static void list_meta(const ArrayFile *f, FILE *out) {
    for (int i = 0; i < f->meta_count; i++)
        fprintf(out, "  %s = %s\n", plain(f->arena, f->meta[i].key),
                plain(f->arena, f->meta[i].value));
}

/* ---- weights ---- */

typedef struct {
    size_t learned, fixed; /* numbers */
    int missing;
    const char *first_missing;
} Inventory;

static size_t numbers_of(const Param *p) {
    size_t numbers = 1;
    for (int i = 0; i < p->dims; i++) numbers *= (size_t)p->dim[i];
    return numbers;
}

/* Compares what the network needs with what the file has, by name. */
static Inventory take_inventory(const Params *params, const ArrayFile *f) {
    Inventory found = {0};
    char name[512];
    for (int i = 0; i < params_count(params); i++) {
        const Param *p = params_at(params, i);
        *(p->kind == PARAM_WEIGHT ? &found.learned : &found.fixed) += numbers_of(p);
        snprintf(name, sizeof name, "%s%s", file_state_prefix(f), p->key);
        if (array_find(f, name)) continue;
        if (!found.missing++) found.first_missing = p->key;
    }
    return found;
}

static void report_net(const char *path, const NetSpec *spec, const ArrayFile *f, FILE *out) {
    Params *params = params_new(backend_find("cpu"));
    net_declare(spec, params);
    Inventory found = take_inventory(params, f);
    LINE(out, "kind", "network weights");
    LINE(out, "network", "%s", spec->name);
    if (spec->classes) LINE(out, "classes", "%d", spec->classes);
    if (spec->joints) LINE(out, "joints", "%d", spec->joints);
    LINE(out, "parameters", "%zu, and %zu fixed numbers", found.learned, found.fixed);
    if (found.missing)
        LINE(out, "incomplete", "%d arrays are missing, the first is %s", found.missing,
             found.first_missing);
    const char *input = "unknown";
    if (!found.missing && weights_input(path, spec, &input)) input = "unknown";
    LINE(out, "input", "%dx%d (height x width), %s", spec->height, spec->width, input);
    const char *licence = array_meta(f, "licence");
    LINE(out, "licence", "%s", licence ? plain(f->arena, licence) : "not stated in the file");
    params_free(params);
}

/* ---- bodies ---- */

static Status report_body(const char *path, FILE *out) {
    Body *body;
    TRY(body_load(path, NULL, &body));
    LINE(out, "kind", "body model");
    LINE(out, "vertices", "%d", body->vertices);
    LINE(out, "faces", "%d", body->faces);
    LINE(out, "joints", "%d", BODY_JOINTS);
    LINE(out, "betas", "%d", BODY_BETAS);
    LINE(out, "pose shapes", "%s", body->posedirs ? "yes" : "no");
    LINE(out, "halpe joints", "%s", body->halpe_source);
    body_free(body);
    return OK;
}

static Status report_arrays(const char *path, int all, FILE *out) {
    ArrayFile f;
    NetSpec spec;
    TRY(file_load(path, &f));
    Status status = OK;
    LINE(out, "file", "%s", path);
    LINE(out, "format", "%s", f.kind);
    if (array_find(&f, "v_template") && array_find(&f, "shapedirs"))
        status = report_body(path, out);
    else if (net_identify(&f, &spec) == OK)
        report_net(path, &spec, &f, out);
    else
        LINE(out, "kind", "arrays");
    if (status == OK) {
        list_meta(&f, out);
        LINE(out, "arrays", "%d", f.count);
        list_arrays(&f, all, out);
    }
    array_file_free(&f);
    return status;
}

/* ---- photos and JSON ---- */

static Status report_photo(const char *path, FILE *out) {
    Image image;
    TRY(image_read(path, &image));
    LINE(out, "file", "%s", path);
    LINE(out, "kind", "photo");
    LINE(out, "size", "%dx%d (width x height, as shown)", image.width, image.height);
    image_free(&image);
    return OK;
}

static size_t length_of(const json_t *root, const char *key) {
    return json_array_size(json_object_get(root, key));
}

static void describe_json(const json_t *root, FILE *out) {
    const char *schema = json_string_value(json_object_get(root, "schema"));
    const json_t *first =
        json_is_object(root) ? json_object_iter_value(json_object_iter((json_t *)root)) : NULL;
    if (schema)
        LINE(out, "kind", "%s, version %d, %zu people", reader_quote(schema, strlen(schema)),
             (int)json_integer_value(json_object_get(root, "version")), length_of(root, "people"));
    else if (json_object_get(root, "annotations"))
        LINE(out, "kind", "COCO, %zu images, %zu annotations", length_of(root, "images"),
             length_of(root, "annotations"));
    else if (json_object_get(first, "person_list"))
        LINE(out, "kind", "GigaCrowd results, %zu photos", json_object_size(root));
    else if (json_is_array(root))
        LINE(out, "kind", "JSON list of %zu", json_array_size(root));
    else
        LINE(out, "kind", "JSON object of %zu", json_object_size(root));
}

static Status report_json(const char *path, FILE *out) {
    json_t *root;
    TRY(jsonfile_read(path, &root));
    LINE(out, "file", "%s", path);
    LINE(out, "format", "JSON");
    describe_json(root, out);
    json_decref(root);
    return OK;
}

/* ---- telling apart ---- */

static bool is_photo(const uint8_t *head, size_t size) {
    static const struct {
        size_t length;
        const char *bytes;
    } magic[] = {{2, "\xff\xd8"}, {4, "\x89PNG"}, {4, "GIF8"}, {2, "BM"}, {2, "P5"}, {2, "P6"}};
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if (size >= magic[i].length && !memcmp(head, magic[i].bytes, magic[i].length)) return true;
    return false;
}

/* TGA has no mark of its own. */
static bool is_tga(const char *path) {
    const char *name = photos_name(path);
    return !strcasecmp(name + photos_stem(name), ".tga");
}

Status inspect_file(const char *path, int all, FILE *report) {
    uint8_t head[64];
    size_t size = file_head(path, head, sizeof head), at = 0;
    /* Before photos and JSON, since its length may begin like any of them. */
    if (safetensors_is((Span){head, size})) return report_arrays(path, all, report);
    while (at < size && memchr(" \t\r\n", head[at], 4)) at++;
    bool json = at < size && (head[at] == '{' || head[at] == '[');
    if (is_photo(head, size) || is_tga(path)) return report_photo(path, report);
    return json ? report_json(path, report) : report_arrays(path, all, report);
}
