#include "smpl/joints.h"

#include "tensor/error.h"

#include <string.h>

#define ORDER(order, text) static const Joint joint_##order[] = {
#define JOINT(order, name, text, parent, flip) {text, order##_##parent, order##_##flip},
#define END(order) \
    }              \
    ;
#include "smpl/joints.def"

static const JointOrderInfo order_info[] = {
#define ORDER(order, text) {text, order##_COUNT, joint_##order},
#define JOINT(order, name, text, parent, flip)
#define END(order)
#include "smpl/joints.def"
};

#define MAP(target, source, ...)                                                   \
    static const int map_##target##_##source[] = {__VA_ARGS__};                    \
    _Static_assert(sizeof map_##target##_##source == target##_COUNT * sizeof(int), \
                   #target " from " #source);
#include "smpl/joints.def"

static const struct {
    JointOrder target, source;
    const int *list;
} map_info[] = {
#define MAP(target, source, ...) {JOINTS_##target, JOINTS_##source, map_##target##_##source},
#include "smpl/joints.def"
};

enum { MAPS = sizeof map_info / sizeof *map_info };

const JointOrderInfo *joints_order(JointOrder order) {
    CHECK(order < JOINTS_ORDERS, "order %d", order);
    return &order_info[order];
}

const int *joints_map(JointOrder target, JointOrder source) {
    for (int i = 0; i < MAPS; i++)
        if (map_info[i].target == target && map_info[i].source == source) return map_info[i].list;
    return NULL;
}

void joints_convert(JointOrder from, JointOrder to, const float *in, int width, float *out) {
    const int *direct = joints_map(to, from), *inverse = joints_map(from, to);
    const int *list = direct ? direct : inverse;
    CHECK(list, "no map between %s and %s", joints_order(from)->name, joints_order(to)->name);
    size_t row = (size_t)width * sizeof *out;
    memset(out, 0, (size_t)joints_order(to)->count * row);
    for (int i = joints_order(direct ? to : from)->count - 1; i >= 0; i--) {
        if (list[i] < 0) continue;
        int target = direct ? i : list[i], source = direct ? list[i] : i;
        memcpy(out + target * width, in + source * width, row);
    }
}
