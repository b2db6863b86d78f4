/* What the files of the compiled twin share.

   The twin does what the functions in Python do, for what is usual, and faster. Whatever is
   unusual (another class, a damaged byte, a number that does not fit) it leaves to them: so each
   error is raised in one place, in Python, and both give the same values.

   Two rules hold in all files. No offset or size is used before it was compared with the length of
   the memory that it leads into, which the buffer protocol tells; none is believed because a file
   says so. And while the interpreter's lock is released, nothing is touched but memory that is held
   by a reference of our own. */

#ifndef DSRECORDS_NATIVE_H
#define DSRECORDS_NATIVE_H

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The rules of docs/records-format.md, as `_format.layout` states them. */
#define NONE_SIZE UINT64_MAX
#define LARGEST_FRAME (((uint64_t)1 << 48) - 8)
#define SIZE_BITS (((uint64_t)1 << 48) - 1)
#define MARK 0xD5
#define RECORD 1
#define PENDING 2
#define COMMIT 3
#define REVISION 4
#define COMMIT_SIZE 40 /* of one without an edit */
#define SHORT_ROW 16
#define UNKNOWN_SIZE UINT32_MAX
#define ROW_FACTOR 0x9E3779B1u

/* The parts of a record in `_read.verification`. */
#define HEAD_PART ((uint64_t)1)
#define SINGLE_PAYLOADS 61
#define REST_PART ((uint64_t)1 << 63)

/* Bytes from which on it pays to let other threads run meanwhile. */
#define LARGE ((size_t)1 << 16)

/* Loads from and stores to any address: a compiler makes one instruction of each. */

static inline uint16_t load16(const uint8_t *from) {
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline uint32_t load32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline uint64_t load64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void store32(uint8_t *to, uint32_t value) {
    memcpy(to, &value, sizeof value);
}

static inline void store64(uint8_t *to, uint64_t value) {
    memcpy(to, &value, sizeof value);
}

/* The 32 bits that the check of a frame at this offset is mixed with. */
static inline uint32_t offset_mix(uint64_t offset) {
    return (uint32_t)(offset >> 3);
}

/* The 32 bits that the check in a row with this number is mixed with, but for the salt. */
static inline uint32_t row_mix(uint64_t row) {
    return (uint32_t)row * ROW_FACTOR;
}

static inline uint64_t size_of_word(uint64_t word) {
    return word & SIZE_BITS;
}

/* The kind of the frame with this word; 0, which no frame has, if it is no frame's. */
static inline int kind_of_word(uint64_t word) {
    return word >> 56 == MARK ? (int)(word >> 48 & 0xFF) : 0;
}

/* The size of a frame that consists of a head and these payloads; more than any frame has, if one
   of the sizes is. */
static inline uint64_t extent(const uint8_t *sizes, Py_ssize_t count, uint64_t head_size) {
    uint64_t size = head_size;
    for (Py_ssize_t k = 0; k < count; k++) {
        uint64_t payload = load64(sizes + 8 * k);
        if (payload == NONE_SIZE)
            continue;
        if (payload > LARGEST_FRAME || size > LARGEST_FRAME)
            return UINT64_MAX;
        size += (payload + 7) & ~(uint64_t)7;
    }
    return size;
}

/* crc32.c */

typedef uint32_t (*Crc32)(uint32_t crc, const uint8_t *data, size_t size);
extern Crc32 crc32;
/* Copies bytes, and returns the checksum of what it has copied. */
typedef uint32_t (*CopyCrc32)(uint8_t *to, const uint8_t *data, size_t size);
extern CopyCrc32 copy_crc32;
void choose_crc32(void);
PyObject *crc32_of(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *crc32_ways(PyObject *module, PyObject *nothing);

/* buffers.c: memory of other objects */

int get_buffer(PyObject *object, Py_buffer *buffer, int is_writable);
int get_items(PyObject *object, Py_buffer *buffer, int is_writable, Py_ssize_t width,
              Py_ssize_t count);
int expect(Py_ssize_t count, Py_ssize_t wanted, const char *name);
int is_page_in_memory(const uint8_t *at);
PyObject *will_need(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *page_in_memory(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

/* values.c: values of Python */

PyObject *number_at(const uint8_t *at, char code, Py_ssize_t width);
PyObject *part_of(PyObject *view, uint64_t start, uint64_t size);
int is_left_to_python(void);

/* types.c: base classes of Python's, with attributes in a struct */

#define TYPE(name, lower, text) TYPE_WITH(name, lower, text, 0, NULL)

/* The same, and one more slot of it. */
#define TYPE_WITH(name, lower, text, slot, function)                                               \
    static PyType_Slot lower##_slots[] = {                                                         \
        {Py_tp_doc, text},                                                                         \
        {Py_tp_members, lower##_members},                                                          \
        {Py_tp_traverse, lower##_traverse},                                                        \
        {Py_tp_clear, lower##_clear},                                                              \
        {Py_tp_dealloc, lower##_dealloc},                                                          \
        {slot, function},                                                                          \
        {0, NULL},                                                                                 \
    };                                                                                             \
    static PyType_Spec lower##_spec = {                                                            \
        "dsrecords._native._core." #name,                                                          \
        sizeof(name),                                                                              \
        0,                                                                                         \
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,                             \
        lower##_slots,                                                                             \
    };

void free_object(PyObject *self);
PyTypeObject *add_type(PyObject *module, PyType_Spec *spec);
int is_of(PyObject *object, PyTypeObject *base, PyTypeObject **known);

/* snapshot.c: the state of a list of records, in reach of C */

typedef struct {
    PyObject *object; /* whose memory it is; NULL: none */
    Py_buffer buffer;
} Window;

typedef struct {
    PyObject_HEAD
    PyObject *mapped_words;
    Py_ssize_t direct;
    Py_ssize_t row_size;
    unsigned int salt;
    Py_ssize_t kept;
    Py_ssize_t used;
    PyObject *appended;
    Window rows;
} Entries;

typedef struct {
    PyObject_HEAD
    PyObject *bits;
    Window window;
} Verified;

typedef struct {
    PyObject_HEAD
    PyObject *data;
    PyObject *entries;
    PyObject *verified;
    PyObject *schema;
    PyObject *log_object;
    PyObject *mark;
    Py_ssize_t first_offset;
    unsigned int seed;
    int mode;
    Window log;
    Py_ssize_t near_position; /* of a record that was found, and where it was: a guess for others */
    uint64_t near_offset;
    unsigned int ready_calls; /* that one after the other found their records in memory */
} Snapshot;

/* What C may do with a list: `Snapshot.mode`. */
enum {
    NOTHING = 0,    /* its records are somewhere else */
    READ = 1,       /* what is verified: the rest may not be in memory yet */
    VERIFY = 2,     /* what is read for the first time */
    VERIFY_ALL = 3, /* whatever is read */
    TRUST = 4       /* sizes and offsets are compared, checksums are not */
};

/* How the heads of a list are laid out. */
typedef struct {
    Py_ssize_t head_size;
    Py_ssize_t payload_count;
} Layout;

/* One record, as its row says. */
typedef struct {
    const uint8_t *head; /* `head_size` bytes; the check in it may be mixed with that of a row */
    uint64_t offset;     /* of its frame */
    uint64_t known;      /* the parts that are verified */
    const uint8_t *row;
} Record;

/* What the check of a head is before it is mixed with the offset of its frame. */
static inline uint32_t head_checksum(const Snapshot *snapshot, const Layout *layout,
                                     const uint8_t *head) {
    return crc32(snapshot->seed, head + 4, (size_t)layout->head_size - 4);
}

int add_snapshot_types(PyObject *module);
Snapshot *snapshot_of(PyObject *object);
int are_parts_ours(const Snapshot *snapshot);
int open_windows(Snapshot *snapshot);
void guess_record(const Snapshot *snapshot, const Layout *layout, Py_ssize_t i);
int find_record(Snapshot *snapshot, const Layout *layout, Py_ssize_t i, Record *record);
int is_right_head(Snapshot *snapshot, const Layout *layout, Py_ssize_t i, const Record *record,
                  uint64_t length);
int is_head_with(Snapshot *snapshot, const Layout *layout, Py_ssize_t i, const Record *record,
                 uint64_t length, const uint32_t *known);
int remember(Snapshot *snapshot, Py_ssize_t i, uint64_t parts);

/* batch.c */

#define AHEAD 32 /* records that are asked for together: so the memory is waited for but once */

/* Positions: an array of int64, or those of a range. */
typedef struct {
    Py_buffer buffer; /* without an object if it is a range */
    const int64_t *array;
    Py_ssize_t start;
    Py_ssize_t step;
    Py_ssize_t count;
} Positions;

Py_ssize_t find_heads(Snapshot *snapshot, const Layout *layout, const Positions *positions,
                      Py_ssize_t first, Py_ssize_t count, uint64_t end, Record *records);
Py_ssize_t remember_heads(Snapshot *snapshot, const Positions *positions, Py_ssize_t first,
                          Py_ssize_t count, const Record *records);

/* frames.c */

void store_row(uint8_t *row, Py_ssize_t width, uint64_t offset, const uint8_t *head,
               const Layout *layout);

/* block.c, append.c: writing */

int add_encoder_types(PyObject *module);
int add_writer_types(PyObject *module);
PyObject *encode_strings(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

/* reader.c, dataset.c: single samples */

PyObject *read_sample(PyObject *read, PyObject *snapshot, PyObject *index);
int add_dataset_types(PyObject *module);

/* reader.c, batch.c, pack.c, frames.c, permutation.c */

int add_reader_type(PyObject *module);
PyObject *gather_numbers(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *gather_heads(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *copy_payloads(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *load_payloads(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *frame_checks(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *pack_records(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *walk(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *permute(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

#endif
