#include "kernels/winorule.h"

#include "kernels/gemm.h"
#include "kernels/winotile.h"

#include <math.h>

/* Nanoseconds of what a pass is made of, on one thread, with oneDNN 2.6.3; on other processors
 * their ratios are what counts. A direct sum: multiplications, in whole vectors of outputs, that
 * meet no edge; of all, where it makes no difference; those of one tap of one column, for each row
 * of a map starts anew; weights that are repacked; numbers read and written; a call.  In Winograd's
 * form: multiplications of the products, in whole tiles of sums; transformed numbers, with stride 1
 * those of the outputs; transformed weights, and those that the near caches do not hold, once more;
 * tiles and their places; a call.  `margin`: how much longer direct sums must be expected to take,
 * so that what is taken is no loss but for the noise of measurement. */
typedef struct {
    struct {
        double inner, all, row, weight, number, call;
    } direct;
    struct {
        double product, number, weight, far, tile, call;
    } fast;
    double margin;
    int least;  /* tiles; direct sums over fewer take less time than is said here */
    int narrow; /* channels of x and of y; the same */
} Cost;

typedef struct {
    double near;     /* transformed weights that the near caches hold */
    Cost pass[2][3]; /* of strides 1 and 2 */
} Costs;

/* Stride 1: an AMD EPYC of the first generation, fitted to the 3x3 shapes of `bench sweep 500`
 * (direct) and `bench sweep 220`.  Stride 2: one of the fourth with AVX2 alone, fitted to larger
 * shapes like the sweep's with at least 64 tiles and 24 channels. */
static const Costs AVX2 = {
    .near = 500e3,
    .pass = {
        {
            [WINOGRAD_FORWARD] = {{0.0549, 0, 0.663, 0.276, 0.0579, 2540},
                                  {0.0655, 0.514, 0.195, 0.375, 7.8, 9310},
                                  1.15,
                                  0,
                                  0},
            [WINOGRAD_INPUT_GRADIENT] = {{0.0535, 0, 0.392, 0.210, 0.135, 2050},
                                         {0.0685, 0.256, 0.126, 0.447, 5.76, 9870},
                                         1.15,
                                         0,
                                         0},
            [WINOGRAD_WEIGHT_GRADIENT] = {{0.00752, 0.0518, 0.636, 1.35, 1.03, 4140},
                                          {0.0692, 0, 0.198, 1.03, 11.6, 10000},
                                          1.15,
                                          8,
                                          0},
        },
        {
            [WINOGRAD_FORWARD] =
                {{0.0215, 0.000543, 0.312, 0, 0, 0}, {0.019, 0.297, 0, 0.242, 0, 0}, 1.2, 64, 24},
            [WINOGRAD_INPUT_GRADIENT] = {{0.0188, 0.00367, 0.233, 0.028, 0, 0},
                                         {0.014, 0.454, 0, 0.426, 0, 0},
                                         1.15,
                                         64,
                                         24},
            [WINOGRAD_WEIGHT_GRADIENT] =
                {{0.0142, 0.0127, 0.142, 1.24, 0, 0}, {0.0196, 0.342, 0, 1.23, 0, 0}, 1.3, 64, 24},
        }}};

/* One of the fourth: stride 1 fitted to `bench sweep 500`, stride 2 to the larger shapes. */
static const Costs AVX512 = {
    .near = 1e6,
    .pass = {
        {
            [WINOGRAD_FORWARD] = {{0.0166, 0, 0.0988, 0.149, 0.133, 1690},
                                  {0.0131, 0.184, 0.167, 0.115, 0, 1180},
                                  1.15,
                                  0,
                                  0},
            [WINOGRAD_INPUT_GRADIENT] = {{0.0173, 0, 0.0563, 0.101, 0.0327, 1190},
                                         {0.0119, 0.210, 0.131, 0.151, 0, 622},
                                         1.2,
                                         0,
                                         0},
            [WINOGRAD_WEIGHT_GRADIENT] = {{0.0175, 0, 0.264, 0.378, 0.0283, 421},
                                          {0.0140, 0, 0.116, 0.391, 0.332, 2030},
                                          1.3,
                                          0,
                                          0},
        },
        {
            [WINOGRAD_FORWARD] = {{0.018, 0, 0.0946, 0.397, 0.0103, 0},
                                  {0.0171, 0.179, 0.0906, 0.247, 0, 0},
                                  1.15,
                                  64,
                                  24},
            [WINOGRAD_INPUT_GRADIENT] = {{0.015, 0.00233, 0.193, 0.141, 0, 0},
                                         {0.0126, 0.365, 0.177, 0.439, 0, 0},
                                         1.15,
                                         64,
                                         24},
            [WINOGRAD_WEIGHT_GRADIENT] =
                {{0.0212, 0, 0.285, 0.362, 0, 0}, {0.0147, 0.34, 0.0409, 1.36, 0, 0}, 1.25, 64, 24},
        }}};

static double whole(int n, int step) { return (double)winotile_parts(n, step) * step; }

/* Pixels that the three taps of one side find in a map of this size. */
static double inner_taps(int size, int stride) {
    return stride == 1 ? 3.0 * size - 2 : 3.0 * winotile_parts(size, 2) - 1 - size % 2;
}

bool winorule_pays(const Winograd *s, WinogradPass pass) {
    const Costs *costs = isa_best() == ISA_AVX512 ? &AVX512 : &AVX2;
    const Cost *cost = &costs->pass[s->stride - 1][pass];
    int from = pass == WINOGRAD_INPUT_GRADIENT ? s->k : s->c, to = s->c + s->k - from;
    double weights = (double)s->c * s->k, tiles = s->tiles;
    double inputs = (double)s->n * s->h * s->w, outputs = (double)s->n * s->out_h * s->out_w;
    double direct = cost->direct.inner * s->n * inner_taps(s->h, s->stride) *
                        inner_taps(s->w, s->stride) * from * gemm_columns(to) +
                    cost->direct.all * 9 * outputs * weights +
                    cost->direct.row * s->n * s->out_h * weights +
                    cost->direct.weight * 9 * weights +
                    cost->direct.number * (inputs * s->c + outputs * s->k) + cost->direct.call;
    double products = pass == WINOGRAD_WEIGHT_GRADIENT
                          ? tiles * whole(s->k, gemm_rows()) * whole(s->c, gemm_panel())
                          : gemm_height(s->tiles) * (double)from * whole(to, gemm_panel());
    double each = s->stride == 1 ? WINOTILE_TAPS : WINOSTRIDE_PRODUCTS;
    double numbers = s->stride == 1 ? WINOTILE_TAPS * tiles * to
                                    : tiles * (each * s->c + WINOSTRIDE_TAPS * (double)s->k);
    double times = s->stride == 1 || pass == WINOGRAD_WEIGHT_GRADIENT
                       ? 1
                       : winotile_parts(s->tiles, WINOTILE_STEP); /* that far weights are read */
    double fast = cost->fast.product * each * products + cost->fast.number * numbers +
                  cost->fast.weight * each * weights + cost->fast.tile * each * tiles +
                  cost->fast.far * times * fmax(0, each * weights - costs->near) + cost->fast.call;
    bool measured = s->tiles >= cost->least && s->c >= cost->narrow && s->k >= cost->narrow;
    return measured && direct > cost->margin * fast;
}
