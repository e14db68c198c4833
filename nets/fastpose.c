#include "nets/fastpose.h"

#include "nets/resnet.h"

/* Dense upsampling convolution: [n,h,w,c] -> [n,2h,2w,out]. */
static Tensor *duc(const Scope *m, Tensor *x, int out) {
    x = conv(m, "conv", x, .out = 4 * out, .k = 3, .norm = "bn", .act = ACT_RELU);
    return named(m, pixel_shuffle(m, x, 2));
}

Tensor *fastpose_build(const Scope *m, Tensor *x, int joints) {
    x = resnet_build(at(m, "preact"), x, true);
    x = named(at(m, "suffle1"), pixel_shuffle(m, x, 2));
    x = duc(at(m, "duc1"), x, 256);
    x = duc(at(m, "duc2"), x, 128);
    return conv(m, "conv_out", x, .out = joints, .k = 3);
}
