#include "crowdrec/detloss.h"

static const float BOX_WEIGHT = 5;

/* Columns of the network's rows: box, objectness, classes; of op assign's: box, raw box. */
enum { BOX = 0, OBJECT = 4, CLASSES = 5, RAW_BOX = 4 };

/* Where each anchor belongs; no gradient passes. */
static void assign(const Scope *m, const NetOutput *y, Shape input, AssignVariant variant,
                   DetLoss *l) {
    l->foreground =
        BUILD_OP(m, assign, AssignAttr, y->decoded, l->labels, NULL, input.h, input.w, variant);
    l->match = graph_output(m->graph, l->foreground, 1);
    l->target = graph_output(m->graph, l->foreground, 2);
}

static Tensor *box_loss(const Scope *m, const NetOutput *y, const DetLoss *l) {
    Tensor *element = BUILD_OP(m, iouloss, NoAttr, slice(m, y->decoded, AXIS_C, BOX, 4),
                               slice(m, l->match, AXIS_C, BOX, 4), l->foreground, 0);
    return scale(m, sum(m, element, AXES_ALL), BOX_WEIGHT);
}

static Tensor *l1_loss(const Scope *m, const NetOutput *y, const DetLoss *l) {
    Tensor *element = loss(m, L1, slice(m, y->raw, AXIS_C, BOX, 4),
                           slice(m, l->match, AXIS_C, RAW_BOX, 4), l->foreground);
    Tensor *image = sum(m, element, 1 << AXIS_H | 1 << AXIS_C);
    return sum(m, mul(m, image, l->l1_weight), AXES_ALL);
}

DetLoss detloss_build(const Scope *m, const NetOutput *y, Shape input, int boxes,
                      AssignVariant variant) {
    int n = input.n, classes = y->raw->shape.c - CLASSES;
    DetLoss l = {.labels = graph_input(m->graph, "labels", F32, (Shape){n, boxes, 1, 5}),
                 .l1_weight = graph_input(m->graph, "l1_weight", F32, (Shape){n, 1, 1, 1})};
    assign(m, y, input, variant, &l);
    Tensor *people = unary(m, CLAMP_MIN, sum(m, l.foreground, AXES_ALL), 1);
    Tensor *object = loss(m, BCE, slice(m, y->raw, AXIS_C, OBJECT, 1), l.foreground, NULL);
    Tensor *class =
        loss(m, BCE, slice(m, y->raw, AXIS_C, CLASSES, classes), l.target, l.foreground);
    l.box = divide(m, box_loss(m, y, &l), people);
    l.object = divide(m, sum(m, object, AXES_ALL), people);
    l.class = divide(m, sum(m, class, AXES_ALL), people);
    l.l1 = divide(m, l1_loss(m, y, &l), people);
    l.total = add(m, add(m, add(m, l.box, l.object), l.class), l.l1);
    return l;
}
