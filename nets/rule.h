/* Rule: parameters that are a function of key, index and seed, so that networks can be compared
 * and run without any weight file.
 *
 *     Rule rule;
 *     TRY(rule_parse("rule:cliff_hr48:1", &spec, &rule));
 *     ... net_declare, params_alloc ...
 *     TRY(rule_fill(&rule, &spec, params));
 *
 * Number i of a key is v = rng_signed(rng_stream(key, seed), i) in [-1, 1), times
 * sqrt(3 gain / fan_in) for conv and sqrt(3 / fan_in) for linear weights; norms' weights are
 * 1 + 0.1 v, running_var 1 + 0.2 v, running_mean and biases 0.1 v; CLIFF's decoders (dec*) are
 * multiplied by 0.01.  Each number is rounded to float once.
 *
 * CLIFF's mean body (init_pose, init_shape, init_cam, or pose, shape, cam) comes from an npz of
 * mean parameters.  Without one it is: identity rotations but for the root, which is turned by pi
 * about x as in the public mean; betas 0; camera s = 0.9, tx = ty = 0.
 */
#ifndef NETS_RULE_H
#define NETS_RULE_H

#include "nets/net.h"

typedef struct {
    uint64_t seed;
    double gain;      /* of conv weights */
    const char *mean; /* path of the mean parameters, NULL: the default above */
    char text[4096];  /* what mean points into */
} Rule;

/* Whether a weights argument asks for the rule: begins with "rule:". */
bool rule_is(const char *weights);

/* "rule:NET:SEED[:GAIN[:MEAN.npz]]"; an empty GAIN is the one at which the network's values neither
 * grow nor die: 0.6, CLIFF 0.5 with HRNet and 0.7 with ResNet-50. */
Status rule_parse(const char *weights, NetSpec *spec, Rule *rule);

/* Fills all parameters.  ERR_MODEL when the mean parameters are missing or unsuitable. */
Status rule_fill(const Rule *rule, const NetSpec *spec, Params *params);

/* Gives a CLIFF's parameters the mean body that a rule without a file has. */
void rule_mean(Params *params);

/* The same from an npz of mean parameters; ERR_MODEL when it is missing or unsuitable. */
Status rule_mean_file(const char *path, Params *params);

/* The first n numbers v of a key, as used for inputs. */
void rule_numbers(const char *key, uint64_t seed, size_t n, float *out);

#endif
