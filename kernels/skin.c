/* skin: linear blend skinning with shape and pose blend shapes (SMPL, Loper et al. 2015). */
#include "kernels/body.h"

/* Vertices are taken in pieces that stay in cache; gradients are summed over a fixed number of
 * parts of the mesh, so that they do not depend on the number of threads. */
enum { PIECE = 32, PARTS = 16 };

void KERNEL(skin_prepare)(Call *c, bool backward) {
    Body b = person_of_skin(c);
    size_t blocks = body_lanes(&b) * sizeof(Lane);
    c->workspace_size = backward ? (1 + PARTS) * blocks : blocks;
}

void KERNEL(skin_drop)(Call *c) { (void)c; }

/* What a piece of the mesh needs: vertices first..end-1 of the people of one block. */
typedef struct {
    const Body *b;
    const BodyPoints *points;
    const REAL *weights; /* [v,j] */
    size_t count;        /* vertices of the mesh */
    const Lane *blocks;
} Mesh;

/* The blend of the joints' matrices at one vertex. */
VECTOR_INLINE void blend(const Body *b, const REAL *weights, const Lane *block, Lane *m) {
    const Lane *matrix = block + b->matrices;
    memset(m, 0, 12 * sizeof *m);
    for (int j = 0; j < b->joints; j++, matrix += 12)
        if (weights[j] != 0)
            for (int i = 0; i < 12; i++) m[i] += weights[j] * matrix[i];
}

/* Vertices first .. first+count-1. */
VECTOR_INLINE void number(size_t first, size_t count, size_t *vertex) {
    for (size_t q = 0; q < count; q++) vertex[q] = first + q;
}

VECTOR_INLINE void vertices(const Mesh *mesh, int k, size_t first, size_t count, REAL *out) {
    const Body *b = mesh->b;
    const Lane *block = mesh->blocks + (size_t)k * (size_t)b->size;
    Lane rest[3 * BODY_GROUP], posed[3], m[12];
    size_t vertex[BODY_GROUP];
    number(first, count, vertex);
    body_points(mesh->points, vertex, count, block, rest);
    for (size_t q = 0; q < count; q++) {
        size_t v = vertex[q];
        blend(b, mesh->weights + (size_t)b->joints * v, block, m);
        body_transform(m, rest + 3 * q, 1, posed);
        body_store(b, k, posed, out + 3 * v, 3 * mesh->count);
    }
}

static void piece(const Mesh *mesh, int k, size_t first, size_t end, REAL *out) {
    size_t v = first;
    for (; v + BODY_GROUP <= end; v += BODY_GROUP) vertices(mesh, k, v, BODY_GROUP, out);
    for (; v < end; v++) vertices(mesh, k, v, 1, out);
}

/* Adds to the block's gradient. */
VECTOR_INLINE void vertices_back(const Mesh *mesh, int k, size_t first, size_t count,
                                 const REAL *dout, Lane *gradient) {
    const Body *b = mesh->b;
    const Lane *block = mesh->blocks + (size_t)k * (size_t)b->size;
    Lane d[3], rest[3 * BODY_GROUP], drest[3 * BODY_GROUP], m[12];
    size_t vertex[BODY_GROUP];
    number(first, count, vertex);
    body_points(mesh->points, vertex, count, block, rest);
    for (size_t q = 0; q < count; q++) {
        const REAL *weights = mesh->weights + (size_t)b->joints * vertex[q];
        Lane *dmatrix = gradient + b->matrices;
        body_load(b, k, dout + 3 * vertex[q], 3 * mesh->count, d);
        blend(b, weights, block, m);
        body_transform_back(m, d, drest + 3 * q);
        for (int j = 0; j < b->joints; j++, dmatrix += 12)
            if (weights[j] != 0) body_matrix_back(weights[j], d, rest + 3 * q, 1, dmatrix);
    }
    body_points_back(mesh->points, vertex, count, drest, gradient);
}

static void piece_back(const Mesh *mesh, int k, size_t first, size_t end, const REAL *dout,
                       Lane *gradient) {
    size_t v = first;
    for (; v + BODY_GROUP <= end; v += BODY_GROUP)
        vertices_back(mesh, k, v, BODY_GROUP, dout, gradient);
    for (; v < end; v++) vertices_back(mesh, k, v, 1, dout, gradient);
}

void KERNEL(skin_forward)(const Call *c) {
    Body b = person_of_skin(c);
    Mesh mesh = {&b, &b.points, c->in[7].data, (size_t)c->in[2].shape.w, c->workspace};
    body_fill(&b, c->workspace, c->out[1].data);
    PARALLEL_FOR
    for (size_t first = 0; first < mesh.count; first += PIECE) {
        size_t end = first + PIECE < mesh.count ? first + PIECE : mesh.count;
        for (int k = 0; k < body_blocks(&b); k++) piece(&mesh, k, first, end, c->out[0].data);
    }
}

void KERNEL(skin_backward)(const Call *c) {
    Body b = person_of_skin(c);
    Mesh mesh = {&b, &b.points, c->in[7].data, (size_t)c->in[2].shape.w, c->workspace};
    size_t size = (size_t)b.size, all = body_lanes(&b);
    Lane *parts = (Lane *)c->workspace + all;
    body_fill(&b, c->workspace, NULL);
    memset(parts, 0, PARTS * all * sizeof *parts);
    PARALLEL_FOR
    for (size_t part = 0; part < PARTS; part++) {
        size_t last = mesh.count * (part + 1) / PARTS;
        for (size_t first = mesh.count * part / PARTS; first < last; first += PIECE) {
            size_t end = first + PIECE < last ? first + PIECE : last;
            for (int k = 0; k < body_blocks(&b); k++)
                piece_back(&mesh, k, first, end, c->dout[0].data,
                           parts + part * all + (size_t)k * size);
        }
    }
    body_end(&b, c, parts, PARTS, c->dout[1].data);
}
