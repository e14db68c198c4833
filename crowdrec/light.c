#include "crowdrec/light.h"

#include "crowdrec/hsv.h"

void color_hue(float rgb[3], double hue, double saturation, double lightness) {
    double chroma = saturation * (1 - fabs(2 * lightness - 1));
    for (int k = 0; k < 3; k++) {
        double level = lightness + chroma * (hsv_strength(hue, k) - 0.5);
        rgb[k] = (float)(level * level);
    }
}

Light light_make(Dice *dice, const float up[3], const float right[3], const float forward[3]) {
    Light l;
    double clear = dice_chance(dice, 0.65) ? dice_range(dice, 0.6, 1) : dice_range(dice, 0, 0.35);
    double height = dice_range(dice, 0.45, 1.25), azimuth = dice_range(dice, -M_PI, M_PI);
    double warm = 1 - height / 1.25, level = cos(height);
    for (int k = 0; k < 3; k++) {
        double along = sin(azimuth) * (double)right[k] + cos(azimuth) * (double)forward[k];
        l.to_sun[k] = (float)(sin(height) * (double)up[k] + level * along);
        l.up[k] = up[k];
    }
    double sun = 0.95 * clear, sky = 0.6 - 0.36 * clear;
    color_set(l.sun, (float)(sun * 1.05), (float)(sun * (0.97 - 0.1 * warm)),
              (float)(sun * (0.88 - 0.3 * warm)));
    color_set(l.sky, (float)(sky * 0.92), (float)sky, (float)(sky * (1.08 + 0.12 * clear)));
    for (int k = 0; k < 3; k++) l.earth[k] = 0.3f * l.sky[k] + 0.14f * l.sun[k];
    return l;
}
