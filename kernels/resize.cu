/* resize: outputs read up to four inputs; gradients are gathered, so that inputs are written once.
 */
#include "kernels/pixel.cuh"
#include "kernels/stored.cuh"
extern "C" {
#include "kernels/resize.h"
}

typedef struct {
    Sampling rows, columns;
    unsigned c;
} Resize;

static Resize describe(const Call *c, Shape x, Shape y) {
    ResizeKind kind = ((const ResizeAttr *)c->attr)->kind;
    Resize r = {{kind, x.h, y.h}, {kind, x.w, y.w}, (unsigned)x.c};
    return r;
}

template <int N>
static __global__ void resize_values(size_t count, Resize r, Stored x, Stored residual, Stored y) {
    unsigned packs = r.c / N;
    int h = r.rows.in, w = r.columns.in;
    EACH(i, count) {
        Pixel p = pixel_at((unsigned)i, r.rows.out, r.columns.out, packs);
        Tap a = resize_tap(r.rows, p.row), b = resize_tap(r.columns, p.column);
        Pack<N> first = stored_load<N>(x, pixel_pack(p, h, w, packs, a.first, b.first));
        Pack<N> sum = stored_load<N>(residual, i);
        if (r.rows.kind == RESIZE_NEAREST) {
            add_scaled<N>(sum, first, 1);
            stored_put<N>(y, i, sum, false);
            continue;
        }
        add_scaled<N>(sum, first, (1 - a.t) * (1 - b.t));
        add_scaled<N>(sum, stored_load<N>(x, pixel_pack(p, h, w, packs, a.first, b.second)),
                      (1 - a.t) * b.t);
        add_scaled<N>(sum, stored_load<N>(x, pixel_pack(p, h, w, packs, a.second, b.first)),
                      a.t * (1 - b.t));
        add_scaled<N>(sum, stored_load<N>(x, pixel_pack(p, h, w, packs, a.second, b.second)),
                      a.t * b.t);
        stored_put<N>(y, i, sum, false);
    }
}

template <int N>
static __global__ void resize_gradients(size_t count, Resize r, Stored dy, Stored dx, bool add) {
    unsigned packs = r.c / N;
    EACH(i, count) {
        Pixel p = pixel_at((unsigned)i, r.rows.in, r.columns.in, packs);
        int top, bottom, left, right;
        Pack<N> sum = {};
        resize_reach(r.rows, p.row, &top, &bottom);
        resize_reach(r.columns, p.column, &left, &right);
        for (int row = top; row < bottom; row++) {
            REAL down = resize_share(r.rows, row, p.row);
            if (down == 0) continue;
            for (int column = left; column < right; column++) {
                REAL scale = down * resize_share(r.columns, column, p.column);
                size_t at = pixel_pack(p, r.rows.out, r.columns.out, packs, row, column);
                if (scale != 0) add_scaled<N>(sum, stored_load<N>(dy, at), scale);
            }
        }
        stored_put<N>(dx, i, sum, add);
    }
}

void CUDA(resize_forward)(const Call *c) {
    Resize r = describe(c, c->in[0].shape, c->out[0].shape);
    Stored x = stored_of(&c->in[0]), residual = stored_of(&c->in[1]), y = stored_of(&c->out[0]);
    unsigned size = cuda_small(shape_size(c->out[0].shape));
    LAUNCH_PACKS(stored_fours(r.c, x, residual, y), resize_values, size, r, x, residual, y);
}

void CUDA(resize_backward)(const Call *c) {
    Resize r = describe(c, c->in[0].shape, c->dout[0].shape);
    Stored dy = stored_of(&c->dout[0]), dx = stored_of(&c->din[0]), dr = stored_of(&c->din[1]);
    unsigned inputs = cuda_small(shape_size(c->in[0].shape));
    if (dx.data)
        LAUNCH_PACKS(stored_fours(r.c, dy, dx), resize_gradients, inputs, r, dy, dx, c->add[0]);
    if (dr.data) stored_move(shape_size(c->dout[0].shape), dy, dr, c->add[1]);
}
