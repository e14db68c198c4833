/* skin: linear blend skinning with shape and pose blend shapes (SMPL, Loper et al. 2015).
 *
 * Forward: every person's numbers, then one thread for each person and vertex.  Backward: the same
 * threads leave each vertex at rest and its gradient; one thread for each number of a person sums
 * over a part of the mesh; one block for each person adds the parts and goes back the chain. */
#include "kernels/person.cuh"

enum {
    TILE = 32,    /* vertices of a block */
    GROUP = 8,    /* people of a block */
    COLUMNS = 32, /* columns of the blend shapes that a block takes at a time */
    PARTS = 32,   /* of the mesh, over which gradients are summed */
    THREADS = 256 /* where nothing else is said */
};

/* A vertex of a person: at rest with its gradient, and the gradient of it posed. */
typedef struct {
    REAL rest[3], drest[3], d[3];
} Vertex;

/* What every kernel gets. */
typedef struct {
    Body b;
    int vertices;
    const REAL *weights; /* [v,j] */
    REAL *numbers;       /* [n][size] */
    Vertex *vertex;      /* [n][v], backward only */
    REAL *parts;         /* [PARTS][n][size], backward only */
} Skin;

void CUDA(skin_prepare)(Call *c, bool backward) {
    Body b = person_of_skin(c);
    size_t people = (size_t)b.people, numbers = people * (size_t)b.size * sizeof(REAL);
    size_t vertices = people * (size_t)c->in[2].shape.w * sizeof(Vertex);
    c->workspace_size = numbers + (backward ? PARTS * numbers + vertices : 0);
}

static Skin skin_of(const Call *c) {
    Skin s;
    s.b = person_of_skin(c);
    size_t numbers = (size_t)s.b.people * (size_t)s.b.size;
    s.vertices = c->in[2].shape.w;
    s.weights = cuda_data(&c->in[7]);
    s.numbers = (REAL *)c->workspace;
    s.parts = s.numbers + numbers;
    s.vertex = (Vertex *)(s.parts + PARTS * numbers);
    return s;
}

void CUDA(skin_drop)(Call *c) { (void)c; }

/* Block: person; joints [n][j][3] may be NULL. */
static __global__ void skin_people(Skin s, REAL *__restrict__ joints) {
    __shared__ PersonChain chain;
    size_t person = blockIdx.x;
    person_chain(&s.b, (int)person, &chain);
    person_put(&s.b, (int)person, &chain, s.numbers + person * (size_t)s.b.size);
    REAL *place = joints ? joints + person * 3 * (size_t)s.b.joints : NULL;
    BLOCK_EACH(i, place ? 3 * s.b.joints : 0) place[i] = chain.t[i];
}

/* The person and the vertex of a thread, and the first vertex of its block.  Threads beyond the
 * last take part in loading. */
typedef struct {
    int person, vertex, first;
    bool valid;
} Place;

static __device__ Place place_of(const Skin *s) {
    Place p;
    int tiles = (s->vertices + TILE - 1) / TILE;
    p.first = (int)blockIdx.x % tiles * TILE;
    p.vertex = p.first + (int)threadIdx.x % TILE;
    p.person = (int)blockIdx.x / tiles * GROUP + (int)threadIdx.x / TILE;
    p.valid = p.vertex < s->vertices && p.person < s->b.people;
    return p;
}

/* y += rows [v][3][n] of the thread's vertex times x.  Called by the whole block. */
static __device__ void add_rows(const Skin *s, const Place *p, const REAL *__restrict__ rows, int n,
                                const REAL *x, REAL *y) {
    __shared__ REAL tile[3 * TILE][COLUMNS + 1];
    size_t first = 3 * (size_t)p->first;
    int left = 3 * (s->vertices - p->first), own = 3 * (p->vertex - p->first);
    for (int start = 0; start < n; start += COLUMNS) {
        int columns = n - start < COLUMNS ? n - start : COLUMNS;
        BLOCK_EACH(i, 3 * TILE * COLUMNS) {
            int row = i / COLUMNS, k = i % COLUMNS;
            if (row < left && k < columns)
                tile[row][k] = rows[(first + (size_t)row) * (size_t)n + (size_t)(start + k)];
        }
        __syncthreads();
        for (int k = 0; p->valid && k < columns; k++)
            for (int i = 0; i < 3; i++) y[i] += tile[own + i][k] * x[start + k];
        __syncthreads();
    }
}

/* The thread's vertex before it is posed.  Called by the whole block. */
static __device__ void rest_of(const Skin *s, const Place *p, REAL *y) {
    const Body *b = &s->b;
    const REAL *x = s->numbers + (size_t)p->person * (size_t)b->size;
    for (int i = 0; i < 3; i++) y[i] = p->valid ? b->points.base[3 * (size_t)p->vertex + i] : 0;
    add_rows(s, p, b->points.shape, b->betas, x, y);
    add_rows(s, p, b->points.pose, b->features, x + b->betas, y);
}

/* The blend of the joints' matrices at the thread's vertex. */
static __device__ void blend(const Skin *s, const Place *p, REAL *m) {
    const Body *b = &s->b;
    const REAL *weights = s->weights + (size_t)p->vertex * (size_t)b->joints;
    const REAL *matrix = s->numbers + (size_t)p->person * (size_t)b->size + b->matrices;
    for (int i = 0; i < 12; i++) m[i] = 0;
    for (int j = 0; j < b->joints; j++, matrix += 12) {
        REAL weight = weights[j];
        for (int i = 0; weight != 0 && i < 12; i++) m[i] += weight * matrix[i];
    }
}

static __device__ size_t index_of(const Skin *s, const Place *p) {
    return (size_t)p->person * (size_t)s->vertices + (size_t)p->vertex;
}

static __global__ void __launch_bounds__(THREADS) skin_vertices(Skin s, REAL *__restrict__ out) {
    Place p = place_of(&s);
    REAL rest[3], posed[3], m[12];
    rest_of(&s, &p, rest);
    if (!p.valid) return;
    blend(&s, &p, m);
    geom_apply(m, rest, posed);
    for (int i = 0; i < 3; i++) out[3 * index_of(&s, &p) + i] = posed[i] + m[9 + i];
}

static __global__ void __launch_bounds__(THREADS)
    skin_vertices_back(Skin s, const REAL *__restrict__ dout) {
    Place p = place_of(&s);
    REAL m[12];
    Vertex v;
    rest_of(&s, &p, v.rest);
    if (!p.valid) return;
    for (int i = 0; i < 3; i++) v.d[i] = dout[3 * index_of(&s, &p) + i];
    blend(&s, &p, m);
    geom_apply_transposed(m, v.d, v.drest);
    s.vertex[index_of(&s, &p)] = v;
}

/* Adds what vertex v gives to the gradient of number x, for all people of a group. */
static __device__ void add_vertex(const Skin *s, int x, size_t v, const Vertex *group, REAL *sum) {
    const Body *b = &s->b;
    if (x >= b->matrices) {
        int joint = (x - b->matrices) / 12, i = (x - b->matrices) % 12;
        REAL weight = s->weights[v * (size_t)b->joints + (size_t)joint];
        for (int n = 0; weight != 0 && n < GROUP; n++)
            sum[n] +=
                weight * (i < 9 ? group[n].d[i / 3] * group[n].rest[i % 3] : group[n].d[i - 9]);
        return;
    }
    bool shape = x < b->betas;
    size_t columns = shape ? b->points.betas : b->points.features;
    const REAL *column = shape ? b->points.shape + x : b->points.pose + (x - b->betas);
    REAL row[3];
    for (int i = 0; i < 3; i++) row[i] = column[(3 * v + (size_t)i) * columns];
    for (int n = 0; n < GROUP; n++) sum[n] += geom_dot(row, group[n].drest);
}

/* Block: a part of the mesh and a group of people.  A thread sums one number of all of them. */
static __global__ void __launch_bounds__(THREADS) skin_numbers_back(Skin s) {
    __shared__ Vertex tile[TILE][GROUP];
    int part = (int)blockIdx.x % PARTS, first_person = (int)blockIdx.x / PARTS * GROUP;
    size_t vertices = (size_t)s.vertices, size = (size_t)s.b.size, people = (size_t)s.b.people;
    int first = (int)(vertices * (size_t)part / PARTS);
    int end = (int)(vertices * (size_t)(part + 1) / PARTS);
    for (int turn = 0; turn < s.b.size; turn += (int)blockDim.x) {
        int x = turn + (int)threadIdx.x;
        REAL sum[GROUP] = {0};
        for (int start = first; start < end; start += TILE) {
            int count = end - start < TILE ? end - start : TILE;
            BLOCK_EACH(i, count * GROUP) {
                int person = first_person + i % GROUP;
                size_t from = (size_t)person * vertices + (size_t)(start + i / GROUP);
                tile[i / GROUP][i % GROUP] = person < s.b.people ? s.vertex[from] : Vertex();
            }
            __syncthreads();
            for (int v = 0; x < s.b.size && v < count; v++)
                add_vertex(&s, x, (size_t)(start + v), tile[v], sum);
            __syncthreads();
        }
        for (int n = 0; x < s.b.size && n < GROUP && first_person + n < s.b.people; n++)
            s.parts[((size_t)part * people + (size_t)(first_person + n)) * size + (size_t)x] =
                sum[n];
    }
}

/* Block: person.  result.numbers is set here. */
static __global__ void skin_people_back(Skin s, PersonBack result) {
    SHARED(REAL, gradients);
    __shared__ PersonChain chain;
    size_t person = blockIdx.x, size = (size_t)s.b.size, step = (size_t)s.b.people * size;
    person_chain(&s.b, (int)person, &chain);
    BLOCK_EACH(x, s.b.size) {
        REAL sum = 0;
        for (int part = 0; part < PARTS; part++)
            sum += s.parts[(size_t)part * step + person * size + (size_t)x];
        gradients[x] = sum;
    }
    __syncthreads();
    result.numbers = gradients;
    person_back(&s.b, (int)person, &chain, &result);
}

static unsigned groups(const Skin *s) { return (unsigned)((s->b.people + GROUP - 1) / GROUP); }

static unsigned vertex_blocks(const Skin *s) {
    return groups(s) * (unsigned)((s->vertices + TILE - 1) / TILE);
}

void CUDA(skin_forward)(const Call *c) {
    Skin s = skin_of(c);
    if (!s.b.people) return;
    LAUNCH(skin_people, (unsigned)s.b.people, THREADS, 0, s, cuda_data(&c->out[1]));
    if (s.vertices) LAUNCH(skin_vertices, vertex_blocks(&s), THREADS, 0, s, cuda_data(&c->out[0]));
}

void CUDA(skin_backward)(const Call *c) {
    Skin s = skin_of(c);
    PersonBack result = {
        NULL,     cuda_data(&c->dout[1]), cuda_data(&c->din[0]), cuda_data(&c->din[1]), c->add[0],
        c->add[1]};
    if (!s.b.people) return;
    LAUNCH(skin_people, (unsigned)s.b.people, THREADS, 0, s, (REAL *)NULL);
    if (s.vertices)
        LAUNCH(skin_vertices_back, vertex_blocks(&s), THREADS, 0, s, cuda_data(&c->dout[0]));
    LAUNCH(skin_numbers_back, groups(&s) * PARTS, THREADS, 0, s);
    LAUNCH(skin_people_back, (unsigned)s.b.people, THREADS, (size_t)s.b.size * sizeof(REAL), s,
           result);
}
