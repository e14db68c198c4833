#include "nets/resnet.h"

/* A gate for each channel, from the map's mean. */
static Tensor *squeeze_excite(const Scope *m, Tensor *x) {
    int c = x->shape.c;
    Tensor *gate = linear(m, "fc.0", mean(m, x, AXES_HW), c, ACT_RELU);
    return mul(m, x, sigmoid(m, linear(m, "fc.2", gate, c, ACT_NONE)));
}

Tensor *resnet_bottleneck(const Scope *m, Tensor *x, int width, int stride, bool squeeze) {
    Tensor *skip = x;
    if (stride != 1 || x->shape.c != 4 * width)
        skip = conv(at(m, "downsample"), "0", x, .out = 4 * width, .stride = stride, .norm = "1");
    Tensor *y = conv(m, "conv1", x, .out = width, .norm = "bn1", .act = ACT_RELU);
    y = conv(m, "conv2", y, .out = width, .k = 3, .stride = stride, .norm = "bn2", .act = ACT_RELU);
    y = conv(m, "conv3", y, .out = 4 * width, .norm = "bn3");
    if (squeeze) y = squeeze_excite(at(m, "se"), y);
    return named(m, relu(m, add(m, y, skip)));
}

void resnet_tap(const Scope *m, const char *name, Tensor *x, int out, int k) {
    conv(m, name, x, .out = out, .k = k, .stride = 2, .no_bias = true);
}

Tensor *resnet_build(const Scope *m, Tensor *x, bool squeeze) {
    static const int blocks[] = {3, 4, 6, 3};
    resnet_tap(m, "conv1", x, 64, 7);
    x = conv(m, "conv1", x, .out = 64, .k = 7, .stride = 2, .norm = "bn1", .act = ACT_RELU);
    x = named(at(m, "maxpool"), maxpool(m, x, 3, 2, 1));
    for (int stage = 0; stage < 4; stage++) {
        const Scope *layer = at(m, "layer%d", stage + 1);
        for (int i = 0; i < blocks[stage]; i++)
            x = resnet_bottleneck(at(layer, "%d", i), x, 64 << stage, i == 0 && stage > 0 ? 2 : 1,
                                  squeeze && i == 0);
        named(layer, x);
    }
    return x;
}
