#include "tests/netrun.h"

#include "tests/support.h"

#include <math.h>
#include <stdlib.h>

static void succeed(Status status) {
    if (status != OK) fail_msg("%s", error_reason());
}

NetRun netrun_new(const char *name, const Rule *rule, Shape input, NetRunMode mode) {
    NetRun run = {0};
    succeed(net_spec(name, &run.spec));
    run.spec.no_dropout = mode != NETRUN_DROPOUT;
    succeed(net_check_input(&run.spec, input));
    run.params = params_new(support_backend());
    run.graph = graph_new();
    run.scope = (Scope){.graph = run.graph, .params = run.params, .train = mode != NETRUN_EVAL};
    run.x = graph_input(run.graph, "input", F32, input);
    if (run.spec.kind == NET_CLIFF)
        run.bbox_info = graph_input(run.graph, "bbox_info", F32, (Shape){input.n, 1, 1, 3});
    run.y = net_build(&run.spec, &run.scope, run.x, run.bbox_info);
    succeed(params_alloc(run.params));
    succeed(rule_fill(rule, &run.spec, run.params));
    return run;
}

void netrun_plan(NetRun *run, const PlanOptions *options) {
    plan_free(run->plan);
    succeed(plan_new(run->graph, params_backend(run->params), options, &run->plan));
}

void netrun_free(NetRun *run) {
    plan_free(run->plan);
    graph_free(run->graph);
    params_free(run->params);
}

Shape netrun_shape(const json_t *nchw) {
    int dim[4];
    assert_int_equal(json_array_size(nchw), 4);
    for (size_t i = 0; i < 4; i++) dim[i] = (int)json_integer_value(json_array_get(nchw, i));
    return (Shape){dim[0], dim[2], dim[3], dim[1]};
}

/* Copies between the two orders; to_nhwc says which way. */
static void reorder(Shape s, const float *from, float *to, bool to_nhwc) {
    size_t nhwc = 0, image = (size_t)s.h * (size_t)s.w;
    for (size_t n = 0; n < (size_t)s.n; n++)
        for (size_t pixel = 0; pixel < image; pixel++)
            for (size_t c = 0; c < (size_t)s.c; c++, nhwc++) {
                size_t nchw = (n * (size_t)s.c + c) * image + pixel;
                to[to_nhwc ? nhwc : nchw] = from[to_nhwc ? nchw : nhwc];
            }
}

static float *numbers(size_t n) {
    float *values = malloc((n + 1) * sizeof *values);
    assert_non_null(values);
    return values;
}

void netrun_write(NetRun *run, const Tensor *input, const float *nchw) {
    float *nhwc = numbers(shape_size(input->shape));
    reorder(input->shape, nchw, nhwc, true);
    plan_write(run->plan, input, F32, nhwc);
    free(nhwc);
}

void netrun_write_rule(NetRun *run, const Tensor *input, const char *key, uint64_t seed) {
    size_t n = shape_size(input->shape);
    float *nchw = numbers(n);
    rule_numbers(key, seed, n, nchw);
    netrun_write(run, input, nchw);
    free(nchw);
}

float *netrun_read(const NetRun *run, const Tensor *t) {
    size_t n = shape_size(t->shape);
    float *nhwc = numbers(n), *nchw = numbers(n);
    plan_read(run->plan, t, F32, nhwc);
    reorder(t->shape, nhwc, nchw, false);
    free(nhwc);
    return nchw;
}

double netrun_compare(const char *name, const float *got, const float *want, size_t n,
                      size_t stride, double tolerance) {
    float *sample = numbers(n);
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        sample[i] = got[i * stride];
        worst = fmax(worst, fabs((double)sample[i] - want[i]));
    }
    support_close(name, sample, want, n, tolerance * support_slack());
    free(sample);
    return worst;
}
