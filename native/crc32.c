/* CRC-32, as zlib has it, in the fastest way that the processor knows.

   A CRC is what remains of a polynomial over two elements when it is divided by another one, P. It
   stays the same if a part of the message is replaced by any other that leaves the same remainder.
   So 128 bits that stand d bits before the end can be "folded": multiplied, without carries, by what
   x^d leaves, and added to those at the end. Only the last 128 bits are then divided.

   Bits are reflected: the first bit of a byte is its lowest, and stands for the highest power of x.
   The product of two reflected numbers of 64 bits is the reflected product, shifted by one bit;
   hence the constants are those of x^d, shifted as well. tests/read/test_compiled_twin.py
   computes them anew.

   The complement of the register before and after, which makes zeros count, is left to the one
   function that all ways share; a register of 32 bits is simply added to the first four bytes. */

#include "native.h"

#define POLYNOMIAL 0xEDB88320u /* P, reflected, without its highest power */

Crc32 crc32;
CopyCrc32 copy_crc32;

/* By tables: eight bytes at a time. tables[k][b]: what the byte b adds, with k bytes behind it. */

static uint32_t tables[8][256];

static void make_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t crc = tables[k - 1][byte];
            tables[k][byte] = crc >> 8 ^ tables[0][crc & 0xFF];
        }
}

static uint32_t register_by_tables(uint32_t crc, const uint8_t *data, size_t size) {
    for (; size >= 8; size -= 8, data += 8) {
        uint32_t low = load32(data) ^ crc;
        uint32_t high = load32(data + 4);
        crc = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^
              tables[4][low >> 24] ^ tables[3][high & 0xFF] ^ tables[2][high >> 8 & 0xFF] ^
              tables[1][high >> 16 & 0xFF] ^ tables[0][high >> 24];
    }
    for (; size; size--, data++)
        crc = crc >> 8 ^ tables[0][(crc ^ *data) & 0xFF];
    return crc;
}

/* Piece by piece, so that each comes from memory once. */
static uint32_t copy_in_pieces(uint8_t *to, const uint8_t *data, size_t size) {
    const size_t most = 1 << 16;
    uint32_t crc = 0;
    while (size) {
        size_t some = size < most ? size : most;
        crc = crc32(crc, data, some);
        memcpy(to, data, some);
        to += some;
        data += some;
        size -= some;
    }
    return crc;
}

static uint32_t crc32_by_tables(uint32_t crc, const uint8_t *data, size_t size) {
    return ~register_by_tables(~crc, data, size);
}

#if defined(__x86_64__)

#include <immintrin.h>

#define FOLDING __attribute__((target("pclmul,sse4.1,ssse3")))
#define DOUBLE_FOLDING __attribute__((target("vpclmulqdq,avx2,pclmul,sse4.1,ssse3")))
#define WIDE_FOLDING __attribute__((target("vpclmulqdq,avx512f,pclmul,sse4.1,ssse3")))

/* What x^d leaves, shifted: of d = 128 + 32 and 128 - 32, for the two halves of 128 bits that stand
   so many bits before the end; and the same of 256, 512, 1024 and 2048 bits. */
static const uint64_t BY_128[2] = {0x1751997D0, 0x0CCAA009E};
static const uint64_t BY_256[2] = {0x0F1DA05AA, 0x15A546366};
static const uint64_t BY_512[2] = {0x154442BD4, 0x1C6E41596};
static const uint64_t BY_1024[2] = {0x1E88EF372, 0x14A7FE880};
static const uint64_t BY_2048[2] = {0x11542778A, 0x1322D1430};
static const uint64_t BY_64[2] = {0x163CD6124, 0};
/* P, and x^64 divided by it, both reflected: 33 bits. */
static const uint64_t QUOTIENT[2] = {0x1DB710641, 0x1F7011641};

/* Moves the first r bytes of 16 to the end of 16, with zeros before them: at 16 - r. A mask of 0x80
   makes a zero. */
static const uint8_t MOVES[32] = {
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15};

FOLDING static inline __m128i load128(const void *from) {
    return _mm_loadu_si128((const __m128i *)from);
}

FOLDING static inline __m128i fold(__m128i bits, __m128i by, __m128i behind) {
    __m128i first = _mm_clmulepi64_si128(bits, by, 0x00);
    __m128i second = _mm_clmulepi64_si128(bits, by, 0x11);
    return _mm_xor_si128(_mm_xor_si128(first, second), behind);
}

/* The register after 128 bits: to 96 bits, to 64, and by Barrett's method to the remainder. */
FOLDING static inline uint32_t remainder_of(__m128i bits) {
    const __m128i low_half = _mm_set_epi32(0, 0, 0, -1);
    const __m128i quotient = load128(QUOTIENT);
    __m128i high = _mm_clmulepi64_si128(bits, load128(BY_128), 0x10);
    bits = _mm_xor_si128(_mm_srli_si128(bits, 8), high);
    high = _mm_clmulepi64_si128(_mm_and_si128(bits, low_half), load128(BY_64), 0x00);
    bits = _mm_xor_si128(_mm_srli_si128(bits, 4), high);
    __m128i times = _mm_clmulepi64_si128(_mm_and_si128(bits, low_half), quotient, 0x10);
    times = _mm_clmulepi64_si128(_mm_and_si128(times, low_half), quotient, 0x00);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(bits, times), 1);
}

/* Folds `size` bytes, a multiple of 16, onto those before them. */
FOLDING static inline __m128i fold_all(__m128i bits, const uint8_t *data, size_t size) {
    const __m128i by_128 = load128(BY_128);
    if (size >= 112) {
        /* Four at a time: a multiplication takes longer than the next one has to wait for it. */
        const __m128i by_512 = load128(BY_512);
        __m128i second = load128(data);
        __m128i third = load128(data + 16);
        __m128i fourth = load128(data + 32);
        data += 48;
        size -= 48;
        for (; size >= 64; size -= 64, data += 64) {
            bits = fold(bits, by_512, load128(data));
            second = fold(second, by_512, load128(data + 16));
            third = fold(third, by_512, load128(data + 32));
            fourth = fold(fourth, by_512, load128(data + 48));
        }
        bits = fold(bits, by_128, second);
        bits = fold(bits, by_128, third);
        bits = fold(bits, by_128, fourth);
    }
    for (; size; size -= 16, data += 16)
        bits = fold(bits, by_128, load128(data));
    return bits;
}

/* Zeros before a message change nothing once the register is added to its first four bytes: so what
   is no multiple of 16 is made one at its beginning, and there is no rest at the end. */
FOLDING static uint32_t crc32_by_folding(uint32_t crc, const uint8_t *data, size_t size) {
    if (size < 16)
        return ~register_by_tables(~crc, data, size);
    uint32_t start = ~crc;
    size_t rest = size & 15;
    __m128i bits = _mm_xor_si128(load128(data), _mm_cvtsi32_si128((int)start));
    size_t used = 16;
    if (rest) {
        bits = _mm_shuffle_epi8(bits, load128(MOVES + rest));
        uint32_t left = rest < 4 ? start >> 8 * rest : 0;
        __m128i next = _mm_xor_si128(load128(data + rest), _mm_cvtsi32_si128((int)left));
        bits = fold(bits, load128(BY_128), next);
        used += rest;
    }
    return ~remainder_of(fold_all(bits, data + used, size - used));
}

DOUBLE_FOLDING static inline __m256i load256(const void *from) {
    return _mm256_loadu_si256((const __m256i *)from);
}

DOUBLE_FOLDING static inline __m256i double_fold(__m256i bits, __m256i by, __m256i behind) {
    __m256i first = _mm256_clmulepi64_epi128(bits, by, 0x00);
    __m256i second = _mm256_clmulepi64_epi128(bits, by, 0x11);
    return _mm256_xor_si256(_mm256_xor_si256(first, second), behind);
}

/* Memory is asked for so many bytes ahead: the processor itself looks no further than a page. */
#define ASKED_AHEAD 2048

DOUBLE_FOLDING static inline __m256i take256(uint8_t *to, const uint8_t *data, size_t at) {
    __m256i bits = load256(data + at);
    if (to != NULL)
        _mm256_storeu_si256((__m256i *)(to + at), bits);
    return bits;
}

/* Two multiplications by one instruction, on processors without instructions of 512 bits. Of 256
   bytes or more, which are copied meanwhile unless `to` is NULL. */
DOUBLE_FOLDING static inline __attribute__((always_inline)) uint32_t
fold_doubly(uint32_t crc, uint8_t *to, const uint8_t *data, size_t size) {
    const __m256i by_256 = _mm256_broadcastsi128_si256(load128(BY_256));
    const __m256i by_1024 = _mm256_broadcastsi128_si256(load128(BY_1024));
    __m256i start = _mm256_zextsi128_si256(_mm_cvtsi32_si128((int)~crc));
    __m256i first = _mm256_xor_si256(take256(to, data, 0), start);
    __m256i second = take256(to, data, 32);
    __m256i third = take256(to, data, 64);
    __m256i fourth = take256(to, data, 96);
    size_t at = 128;
    for (; size - at >= 128; at += 128) {
        if (size - at > ASKED_AHEAD + 64) {
            __builtin_prefetch(data + at + ASKED_AHEAD);
            __builtin_prefetch(data + at + ASKED_AHEAD + 64);
        }
        first = double_fold(first, by_1024, take256(to, data, at));
        second = double_fold(second, by_1024, take256(to, data, at + 32));
        third = double_fold(third, by_1024, take256(to, data, at + 64));
        fourth = double_fold(fourth, by_1024, take256(to, data, at + 96));
    }
    first = double_fold(first, by_256, second);
    first = double_fold(first, by_256, third);
    first = double_fold(first, by_256, fourth);
    for (; size - at >= 32; at += 32)
        first = double_fold(first, by_256, take256(to, data, at));
    __m128i high = _mm256_extracti128_si256(first, 1);
    __m128i bits = fold(_mm256_castsi256_si128(first), load128(BY_128), high);
    size_t rest = size - at;
    if (to != NULL)
        memcpy(to + at, data + at, rest);
    if (rest >= 16) {
        bits = fold(bits, load128(BY_128), load128(data + at));
        at += 16;
    }
    return ~register_by_tables(remainder_of(bits), data + at, size - at);
}

DOUBLE_FOLDING static uint32_t crc32_by_double_folding(uint32_t crc, const uint8_t *data,
                                                       size_t size) {
    if (size < 256)
        return crc32_by_folding(crc, data, size);
    return fold_doubly(crc, NULL, data, size);
}

DOUBLE_FOLDING static uint32_t copy_by_double_folding(uint8_t *to, const uint8_t *data,
                                                      size_t size) {
    if (size < 256) {
        memcpy(to, data, size);
        return crc32_by_folding(0, data, size);
    }
    return fold_doubly(0, to, data, size);
}

WIDE_FOLDING static inline __m512i wide_fold(__m512i bits, __m512i by, __m512i behind) {
    __m512i first = _mm512_clmulepi64_epi128(bits, by, 0x00);
    __m512i second = _mm512_clmulepi64_epi128(bits, by, 0x11);
    return _mm512_ternarylogic_epi64(first, second, behind, 0x96); /* all three, xor */
}

WIDE_FOLDING static uint32_t crc32_by_wide_folding(uint32_t crc, const uint8_t *data, size_t size) {
    if (size < 512)
        return crc32_by_folding(crc, data, size);
    const __m512i by_512 = _mm512_broadcast_i32x4(load128(BY_512));
    const __m512i by_2048 = _mm512_broadcast_i32x4(load128(BY_2048));
    __m512i start = _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~crc));
    __m512i first = _mm512_xor_si512(_mm512_loadu_si512(data), start);
    __m512i second = _mm512_loadu_si512(data + 64);
    __m512i third = _mm512_loadu_si512(data + 128);
    __m512i fourth = _mm512_loadu_si512(data + 192);
    data += 256;
    size -= 256;
    for (; size >= 256; size -= 256, data += 256) {
        first = wide_fold(first, by_2048, _mm512_loadu_si512(data));
        second = wide_fold(second, by_2048, _mm512_loadu_si512(data + 64));
        third = wide_fold(third, by_2048, _mm512_loadu_si512(data + 128));
        fourth = wide_fold(fourth, by_2048, _mm512_loadu_si512(data + 192));
    }
    first = wide_fold(first, by_512, second);
    first = wide_fold(first, by_512, third);
    first = wide_fold(first, by_512, fourth);
    for (; size >= 64; size -= 64, data += 64)
        first = wide_fold(first, by_512, _mm512_loadu_si512(data));
    const __m128i by_128 = load128(BY_128);
    __m128i bits = _mm512_extracti32x4_epi32(first, 0);
    bits = fold(bits, by_128, _mm512_extracti32x4_epi32(first, 1));
    bits = fold(bits, by_128, _mm512_extracti32x4_epi32(first, 2));
    bits = fold(bits, by_128, _mm512_extracti32x4_epi32(first, 3));
    size_t whole = size & ~(size_t)15;
    bits = fold_all(bits, data, whole);
    return ~register_by_tables(remainder_of(bits), data + whole, size - whole);
}

static int has_folding(void) {
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

static int has_double_folding(void) {
    return has_folding() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("vpclmulqdq");
}

static int has_wide_folding(void) {
    return has_folding() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("vpclmulqdq");
}

#elif defined(__aarch64__)

#include <arm_acle.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

/* By the processor's own instruction, eight bytes at a time. */
__attribute__((target("+crc"))) static uint32_t
crc32_by_instruction(uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (; size >= 8; size -= 8, data += 8)
        crc = __crc32d(crc, load64(data));
    for (; size; size--, data++)
        crc = __crc32b(crc, *data);
    return ~crc;
}

static int has_instruction(void) {
#if defined(__APPLE__)
    return 1; /* all of theirs have it */
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & (1 << 7)) != 0; /* HWCAP_CRC32 */
#else
    return 0;
#endif
}

#endif

/* The ways that this machine knows, the best one last. */

typedef struct {
    const char *name;
    Crc32 function;
} Way;

static Way ways[4] = {{"tables", crc32_by_tables}};
static int way_count = 1;

static void add_way(const char *name, Crc32 function) {
    ways[way_count].name = name;
    ways[way_count].function = function;
    way_count++;
}

void choose_crc32(void) {
    make_tables();
    way_count = 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (has_folding())
        add_way("folding", crc32_by_folding);
    if (has_double_folding())
        add_way("double folding", crc32_by_double_folding);
    if (has_wide_folding())
        add_way("wide folding", crc32_by_wide_folding);
#elif defined(__aarch64__)
    if (has_instruction())
        add_way("instruction", crc32_by_instruction);
#endif
    crc32 = ways[way_count - 1].function;
    copy_crc32 = copy_in_pieces;
#if defined(__x86_64__)
    if (crc32 == crc32_by_double_folding)
        copy_crc32 = copy_by_double_folding;
#endif
}

/* crc32(data, crc=0, way=None) */
PyObject *crc32_of(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count < 1 || count > 3) {
        PyErr_SetString(PyExc_TypeError, "crc32 takes data, crc and way");
        return NULL;
    }
    unsigned long start = 0;
    if (count > 1) {
        start = PyLong_AsUnsignedLongMask(arguments[1]);
        if (start == (unsigned long)-1 && PyErr_Occurred())
            return NULL;
    }
    Crc32 function = crc32;
    if (count > 2) {
        long number = PyLong_AsLong(arguments[2]);
        if (number == -1 && PyErr_Occurred())
            return NULL;
        if (number < 0 || number >= way_count) {
            PyErr_SetString(PyExc_ValueError, "this processor does not know that way");
            return NULL;
        }
        function = ways[number].function;
    }
    Py_buffer data;
    if (get_buffer(arguments[0], &data, 0) < 0)
        return NULL;
    uint32_t crc = (uint32_t)start;
    if ((size_t)data.len < LARGE) {
        crc = function(crc, data.buf, (size_t)data.len);
    } else {
        Py_BEGIN_ALLOW_THREADS
        crc = function(crc, data.buf, (size_t)data.len);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(crc);
}

/* crc32_ways(): their names, in the order of their numbers. */
PyObject *crc32_ways(PyObject *module, PyObject *nothing) {
    (void)module;
    (void)nothing;
    PyObject *names = PyTuple_New(way_count);
    for (int number = 0; names != NULL && number < way_count; number++) {
        PyObject *name = PyUnicode_FromString(ways[number].name);
        if (name == NULL || PyTuple_SetItem(names, number, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}
