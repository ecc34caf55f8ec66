/* Ekphrasis: the C ABI between the host and a plugin library, version 1.0.
 *
 * A plugin is a shared library that exports one symbol, `ekphrasis_plugin`. The host reads the two version
 * numbers there before it runs any of the library's code: majors must be equal, and the host's minor must be
 * at least the plugin's. Then it asks for factories by id.
 *
 * Three rules hold everywhere:
 *   - A published struct is frozen. A change is a new factory id with the next revision ("ekphrasis.reward/2").
 *   - Whoever allocates frees. The host allocates what a plugin writes to; a plugin frees its own instances in
 *     `destroy`. A pointer passed to a function is borrowed for that call, unless its comment says more.
 *   - No exception and no longjmp leaves a function of this ABI.
 *
 * Libraries are never unloaded: "as long as the library" means until the process ends.
 */
#ifndef EKPHRASIS_H
#define EKPHRASIS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EKPHRASIS_ABI_MAJOR 1
#define EKPHRASIS_ABI_MINOR 0
#define EKPHRASIS_REWARD_FACTORY_ID "ekphrasis.reward/1"

#if defined(_WIN32)
#define EKPHRASIS_EXPORT __declspec(dllexport)
#else
#define EKPHRASIS_EXPORT __attribute__((visibility("default")))
#endif

/* Borrowed UTF-8 text, not zero-terminated; `data` may be NULL only when `length` is 0. */
typedef struct ekphrasis_str {
    const char *data;
    size_t length;
} ekphrasis_str;

/* An ekphrasis_str from a string literal, usable in static initialisers. */
#define EKPHRASIS_STR(literal) { literal, sizeof(literal) - 1 }

/* Result of a call. Any value other than EKPHRASIS_OK is an error. */
typedef int32_t ekphrasis_status;
#define EKPHRASIS_OK 0
#define EKPHRASIS_ERROR 1
#define EKPHRASIS_PANIC 2

/* Where a plugin writes the message of an error. Allocated by the host, borrowed for the call. */
typedef struct ekphrasis_error {
    char *data;      /* `capacity` writable bytes for UTF-8 text, not zero-terminated */
    size_t capacity; /* size of `data` in bytes */
    size_t length;   /* bytes written, at most `capacity`; the host sets 0 before the call */
} ekphrasis_error;

/* Writes a zero-terminated `message` (cut to what fits) and gives EKPHRASIS_ERROR to return. */
static inline ekphrasis_status ekphrasis_fail(ekphrasis_error *error, const char *message) {
    if (error != NULL && error->data != NULL) {
        size_t length = strlen(message);
        error->length = length < error->capacity ? length : error->capacity;
        memcpy(error->data, message, error->length);
    }
    return EKPHRASIS_ERROR;
}

/* What the exported symbol holds; it lives as long as the library.
 * The first two fields keep their place in every version of the ABI. */
typedef struct ekphrasis_plugin_entry {
    uint32_t abi_major; /* EKPHRASIS_ABI_MAJOR */
    uint32_t abi_minor; /* EKPHRASIS_ABI_MINOR */
    /* Gives the factory with this id, or NULL when the plugin has none.
     * Ownership: `id` is zero-terminated and borrowed for the call; the factory belongs to the library and
     * lives as long as it. Thread: any, several at a time. */
    const void *(*get_factory)(const char *id);
} ekphrasis_plugin_entry;

/* The one symbol that a plugin defines. */
extern EKPHRASIS_EXPORT const ekphrasis_plugin_entry ekphrasis_plugin;

/* ---- ekphrasis.reward/1: scores for sampled captions -------------------------------------------------- */

/* A number that a config sets when it chooses the reward. Its text lives as long as the library. */
typedef struct ekphrasis_parameter {
    ekphrasis_str name;   /* name by which a config sets it */
    double default_value; /* value when the config does not set it; finite */
    ekphrasis_str doc;    /* one line about it, for listings */
} ekphrasis_parameter;

/* What one reward of a factory is. It and all that it points to live as long as the library. */
typedef struct ekphrasis_reward_description {
    ekphrasis_str name;                    /* name by which a config chooses it */
    ekphrasis_str doc;                     /* what it rewards, for listings */
    const ekphrasis_parameter *parameters; /* [parameter_count]; NULL when there are none */
    size_t parameter_count;                /* number of `parameters` */
} ekphrasis_reward_description;

/* The value of one parameter of an instance. `name` is borrowed for the call. */
typedef struct ekphrasis_parameter_value {
    ekphrasis_str name; /* as in ekphrasis_parameter */
    double value;       /* finite */
} ekphrasis_parameter_value;

/* Token ids with a meaning of their own. */
typedef struct ekphrasis_special_tokens {
    int64_t pad; /* fills a caption up to the width of the batch */
    int64_t bos; /* begins a caption; never in a batch */
    int64_t eos; /* ends a caption */
    int64_t unk; /* stands for a word outside the vocabulary */
} ekphrasis_special_tokens;

/* Captions to score, with the references of their images. Everything in it belongs to the host, is borrowed for
 * one call of `score`, and must be neither written to nor kept. */
typedef struct ekphrasis_reward_batch {
    size_t captions; /* N, the number of captions */
    size_t columns;  /* T, the width of `tokens` */
    /* [captions, columns], row-major: without bos, with eos unless the caption was cut, then pad */
    const int64_t *tokens;
    /* [captions]: tokens of each caption before the padding, eos included; at most `columns` */
    const size_t *lengths;
    /* [captions]: which image of this batch each caption is about, in 0..image_count */
    const size_t *images;
    size_t image_count; /* number of images in this batch */
    /* [image_count + 1]: image i has the references image_offsets[i]..image_offsets[i + 1]; from 0 to
     * reference_count, never falling */
    const size_t *image_offsets;
    size_t reference_count; /* R, the number of references of all images together */
    /* [reference_count + 1]: reference r has the tokens reference_offsets[r]..reference_offsets[r + 1] of
     * `reference_tokens`; from 0, never falling */
    const size_t *reference_offsets;
    /* [reference_offsets[reference_count]]: tokens of the references end to end; without bos and pad, with eos */
    const int64_t *reference_tokens;
    /* number of words; every token of captions and references is in 0..vocabulary_size */
    size_t vocabulary_size;
    const ekphrasis_str *vocabulary;  /* [vocabulary_size]: the word of each token id */
    ekphrasis_special_tokens special; /* token ids with a meaning of their own */
    uint64_t step;                    /* training step that asks, counted from 0 */
} ekphrasis_reward_batch;

/* Makes rewards. It belongs to the library and lives as long as it; every function must be given. */
typedef struct ekphrasis_reward_factory {
    /* Number of rewards that `describe` and `create` know. Thread: any, several at a time. */
    size_t (*count)(void);
    /* Describes reward `index`, or gives NULL when there is none.
     * Ownership: the description belongs to the library and lives as long as it. Thread: any, several at a
     * time. */
    const ekphrasis_reward_description *(*describe)(size_t index);
    /* Makes an instance of reward `index` and writes it to `instance`.
     * `values` has [value_count] entries: one for each described parameter, in that order, defaults filled in.
     * Ownership: `values` is borrowed for the call; the instance belongs to the plugin and is freed by
     * `destroy`; on error nothing is written to `instance`. Thread: any, several at a time. */
    ekphrasis_status (*create)(size_t index, const ekphrasis_parameter_value *values, size_t value_count,
                               void **instance, ekphrasis_error *error);
    /* Writes one finite score for each caption of `batch` to `scores`; higher is better.
     * Ownership: `batch` is borrowed for the call; `scores` has [captions] elements, allocated by the host.
     * Thread: any, but one call at a time on one instance; several instances may score at once. */
    ekphrasis_status (*score)(void *instance, const ekphrasis_reward_batch *batch, double *scores,
                              ekphrasis_error *error);
    /* Frees an instance, once; no other call on it runs then or later. Thread: any. */
    void (*destroy)(void *instance);
} ekphrasis_reward_factory;

#ifdef __cplusplus
}
#endif

#endif
