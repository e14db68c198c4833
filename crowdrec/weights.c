#include "crowdrec/weights.h"

#include "crowdrec/detect.h"
#include "nets/rule.h"

#include <stdio.h>

enum { COLONS = 4 }; /* of rule:NET:SEED:GAIN:MEAN */

Status weights_with_mean(const char *weights, const char *mean, char text[WEIGHTS_TEXT]) {
    int colons = 0;
    for (const char *at = weights; *at; at++) colons += *at == ':';
    if (mean && !rule_is(weights))
        return fail(ERR_USAGE, "--mean: %s is a checkpoint, which brings its own", weights);
    if (mean && colons >= COLONS) return fail(ERR_USAGE, "--mean: the rule names one already");
    int fill = mean ? COLONS - colons : 0;
    int length = snprintf(text, WEIGHTS_TEXT, "%s%.*s%s", weights, fill, "::::", mean ? mean : "");
    if (length >= 0 && length < WEIGHTS_TEXT) return OK;
    return fail(ERR_USAGE, "weights: longer than %d characters", WEIGHTS_TEXT - 1);
}

/* The smallest input makes the smallest plan. */
static Status yolox_input(const char *weights, const char **out) {
    Detector *detector;
    TRY(detect_open(weights, &(DetectOptions){.height = 32, .width = 32}, &detector));
    *out = detect_input(detector);
    detect_close(detector);
    return OK;
}

const char *weights_colors(const NetSpec *spec) {
    static const char *const name[] = {[NET_BGR_255] = "bgr255",
                                       [NET_RGB_IMAGENET] = "imagenet",
                                       [NET_RGB_ALPHAPOSE] = "alphapose"};
    return name[spec->colors];
}

Status weights_input(const char *weights, const NetSpec *spec, const char **out) {
    if (spec->kind == NET_YOLOX) return yolox_input(weights, out);
    *out = weights_colors(spec);
    return OK;
}
