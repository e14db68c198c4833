#include "nets/backbone.h"

#include "kernels/backend.h"
#include "nets/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "encoder.";

static const char *bare(const char *key) {
    size_t length = sizeof PREFIX - 1;
    return strncmp(key, PREFIX, length) ? key : key + length;
}

/* The parameter of that bare name; -1 if absent. */
static int find(const Params *p, const char *key) {
    char full[256];
    int i = params_find(p, key);
    if (i >= 0) return i;
    snprintf(full, sizeof full, "%s%s", PREFIX, key);
    return params_find(p, full);
}

static bool fits(const Param *a, const Param *b) {
    return a->dims == b->dims && !memcmp(a->dim, b->dim, (size_t)a->dims * sizeof *a->dim);
}

static void copy(const Params *from, int source, Params *to, int target) {
    double *values = malloc(shape_size(params_at(to, target)->shape) * sizeof *values + 1);
    CHECK(values, "out of memory");
    params_get(from, source, values);
    params_set(to, target, values);
    free(values);
}

Status backbone_load(const char *weights, Params *to, int *taken) {
    NetSpec spec;
    Params *from;
    TRY(net_open(weights, &backend_cpu, &spec, &from));
    *taken = 0;
    for (int i = 0; i < params_count(to); i++) {
        int source = find(from, bare(params_at(to, i)->key));
        if (source < 0 || !fits(params_at(from, source), params_at(to, i))) continue;
        copy(from, source, to, i);
        ++*taken;
    }
    params_free(from);
    if (!*taken)
        return fail(ERR_MODEL,
                    "%s: a %s, of which nothing fits the network to be trained; use one "
                    "with the same backbone",
                    weights, spec.name);
    return OK;
}
