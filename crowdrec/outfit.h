/* Outfit: skin, hair and clothes of one person as colours on the body's surface.
 *
 *     Outfit outfit = outfit_make(&dice);
 *     outfit_color(&outfit, template_point, 0.006f, rgb);
 *
 * A colour belongs to a place of the resting template of the made-up body (smpl/figure.h: metres,
 * arms stretched out along x), so clothes bend with the limbs and add nothing to the silhouette.
 */
#ifndef CROWDREC_OUTFIT_H
#define CROWDREC_OUTFIT_H

#include "crowdrec/dice.h"

typedef enum {
    PATTERN_PLAIN,
    PATTERN_HOOPS,
    PATTERN_STRIPES,
    PATTERN_CHECKS,
    PATTERN_DOTS,
    PATTERN_PATCHES,
    PATTERN_HALVES,
    PATTERN_LOGO,
    PATTERNS
} Pattern;

typedef struct {
    float first[3], second[3];
    Pattern pattern;
    float period, gloss; /* metres; share of what folds shade */
} Cloth;

typedef struct {
    uint32_t seed;
    Cloth shirt, trousers;
    float skin[3], hair[3], shoes[3], soles[3], belt[3];
    float sleeve, hem, neckline; /* |x| where sleeves, y where the shirt ends; depth of a V neck */
    float leg;                   /* y where the trousers end */
    float hairline, hair_length; /* y over the forehead, and at the back of the head */
    float cuff;                  /* y where shoes or boots begin */
    float beard;                 /* strength, 0..1 */
    bool jacket, has_belt, cap;
} Outfit;

Outfit outfit_make(Dice *dice);

/* Albedo at a point of the template; grain: metres a pixel spans there. */
void outfit_color(const Outfit *o, const float point[3], float grain, float rgb[3]);

#endif
