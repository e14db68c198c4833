/* Madeset: a small set of people for training, in the form of `crowdrec synth`: photos with one
 * coloured dot for each joint, and people.npz with boxes, keypoints, joints and SMPL's parameters.
 *
 *     const char *folder = support_folder();
 *     madeset_write(folder, 8);              // folder/images/, folder/people.npz, folder/body.npz
 */
#ifndef TESTS_MADESET_H
#define TESTS_MADESET_H

void madeset_write(const char *folder, int people);

#endif
