/* `Network.encrypt_all` of `_order.feistel`, cell by cell: docs/order-permutation.md specifies it. */

#include "native.h"

#define FIRST_FACTOR 0x7FEB352Du
#define MOST_PAIRS 64

/* A compiler makes vectors of the loops over cells side by side, as wide as it is allowed to: so the
   same lines are compiled for several kinds of processors, and the best one is chosen at run time. */
#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t mix(uint32_t half, uint32_t key, uint32_t factor) {
    uint32_t mixed = (half ^ key) * FIRST_FACTOR;
    mixed ^= mixed >> 15;
    return mixed * factor;
}

INLINE void permute_all(const int64_t *cells, int64_t *out, Py_ssize_t count, int low_bits,
                        uint32_t columns, const uint32_t *keys, Py_ssize_t pairs) {
    enum { SIDE = 32 };
    uint32_t low_mask = low_bits ? UINT32_MAX >> (32 - low_bits) : 0;
    Py_ssize_t k = 0;
    while (k < count) {
        Py_ssize_t some = count - k < SIDE ? count - k : SIDE;
        uint32_t high[SIDE] = {0};
        uint32_t low[SIDE] = {0};
        for (Py_ssize_t n = 0; n < some; n++) {
            uint64_t cell = (uint64_t)cells[k + n];
            high[n] = (uint32_t)(cell >> low_bits);
            low[n] = (uint32_t)cell & low_mask;
        }
        for (Py_ssize_t pair = 0; pair < pairs; pair++) {
            const uint32_t *of_pair = keys + 4 * pair;
            for (int n = 0; n < SIDE; n++) {
                uint64_t added = (uint64_t)mix(low[n], of_pair[0], of_pair[1]) * columns;
                uint32_t sum = high[n] + (uint32_t)(added >> 32);
                uint32_t less = sum - columns;
                high[n] = less < sum ? less : sum;
            }
            if (low_bits)
                for (int n = 0; n < SIDE; n++)
                    low[n] ^= mix(high[n], of_pair[2], of_pair[3]) >> (32 - low_bits);
        }
        for (Py_ssize_t n = 0; n < some; n++)
            out[k + n] = (int64_t)((uint64_t)high[n] << low_bits | low[n]);
        k += some;
    }
}

typedef void (*Permute)(const int64_t *cells, int64_t *out, Py_ssize_t count, int low_bits,
                        uint32_t columns, const uint32_t *keys, Py_ssize_t pairs);

static void permute_anywhere(const int64_t *cells, int64_t *out, Py_ssize_t count, int low_bits,
                             uint32_t columns, const uint32_t *keys, Py_ssize_t pairs) {
    permute_all(cells, out, count, low_bits, columns, keys, pairs);
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static void
permute_with_avx2(const int64_t *cells, int64_t *out, Py_ssize_t count, int low_bits,
                  uint32_t columns, const uint32_t *keys, Py_ssize_t pairs) {
    permute_all(cells, out, count, low_bits, columns, keys, pairs);
}

__attribute__((target("avx512f,avx512vl,avx512dq"))) static void
permute_with_avx512(const int64_t *cells, int64_t *out, Py_ssize_t count, int low_bits,
                    uint32_t columns, const uint32_t *keys, Py_ssize_t pairs) {
    permute_all(cells, out, count, low_bits, columns, keys, pairs);
}

static Permute best(void) {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        return permute_with_avx512;
    return __builtin_cpu_supports("avx2") ? permute_with_avx2 : permute_anywhere;
}

#else

static Permute best(void) {
    return permute_anywhere;
}

#endif

/* permute(cells, count, low_bits, columns, keys, out) */
PyObject *permute(PyObject *module, PyObject *const *arguments, Py_ssize_t given) {
    (void)module;
    if (expect(given, 6, "permute") < 0)
        return NULL;
    Py_ssize_t count = PyLong_AsSsize_t(arguments[1]);
    long low_bits = PyLong_AsLong(arguments[2]);
    unsigned long columns = PyLong_AsUnsignedLong(arguments[3]);
    if (PyErr_Occurred())
        return NULL;
    Py_buffer cells;
    Py_buffer keys;
    Py_buffer out;
    if (get_items(arguments[0], &cells, 0, 8, count) < 0)
        return NULL;
    if (get_buffer(arguments[4], &keys, 0) < 0) {
        PyBuffer_Release(&cells);
        return NULL;
    }
    Py_ssize_t pairs = keys.len / 16;
    int fails = low_bits < 0 || low_bits > 31 || columns > UINT32_MAX || pairs > MOST_PAIRS;
    if (fails)
        PyErr_SetString(PyExc_ValueError, "no network");
    if (fails || get_items(arguments[5], &out, 1, 8, count) < 0) {
        PyBuffer_Release(&keys);
        PyBuffer_Release(&cells);
        return NULL;
    }
    uint32_t copy[4 * MOST_PAIRS];
    memcpy(copy, keys.buf, (size_t)(16 * pairs));
    PyThreadState *state = count > 4096 ? PyEval_SaveThread() : NULL;
    best()(cells.buf, out.buf, count, (int)low_bits, (uint32_t)columns, copy, pairs);
    if (state != NULL)
        PyEval_RestoreThread(state);
    PyBuffer_Release(&out);
    PyBuffer_Release(&keys);
    PyBuffer_Release(&cells);
    Py_INCREF(Py_None);
    return Py_None;
}
