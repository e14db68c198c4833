/* Weights: the argument that names a network's parameters, a path or "rule:NET:SEED[:GAIN]". */
#ifndef CROWDREC_WEIGHTS_H
#define CROWDREC_WEIGHTS_H

#include "nets/net.h"

enum { WEIGHTS_TEXT = 4096 };

/* Puts a file of mean parameters into a rule (rule.h): "rule:cliff_hr48:1" and "mean.npz" ->
 * "rule:cliff_hr48:1::mean.npz".  mean NULL copies.  ERR_USAGE when the weights are a path, which
 * brings its own mean. */
Status weights_with_mean(const char *weights, const char *mean, char text[WEIGHTS_TEXT]);

/* What the input of a network of that kind usually means: "bgr255", "imagenet" or "alphapose". */
const char *weights_colors(const NetSpec *spec);

/* What the network's input means, "bgr255", "imagenet" or "alphapose"; for a YOLOX as detect.h
 * finds it out. */
Status weights_input(const char *weights, const NetSpec *spec, const char **out);

#endif
