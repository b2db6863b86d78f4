/* Samples to frames. `Encoder` knows how the fields of a sample are stored; a `Block` has the frames
   of many records, ready to be written but for their place in the log.

   A value of the class that is usual for its field is encoded here. Of any other one `dump`, the
   method of the field's type, makes a number or a payload; if that raises, the sample is left to
   Python, which says what is wrong with it. */

#include "block.h"

enum {
    NUMBER = 0,
    BOOL = 1,
    CATEGORY = 2,
    OTHER_NUMBER = 3, /* whatever `dump` makes, as PAYLOAD */
    TEXT = 4,
    BYTES = 5,
    ARRAY = 6, /* of one dtype and shape */
    PAYLOAD = 7,
};

enum { ADDED = 0, LEFT = 1, FAILED = -1 };

#define SMALLEST_ARENA 512
#define REFERRED 2048 /* bytes of a payload from which on it is written from where it is */
#define FIRST_ARENAS ((Py_ssize_t)1 << 18) /* bytes up to which an arena doubles, as it grows */
#define LARGEST_STEP ((Py_ssize_t)1 << 22) /* by which it grows from then on */

static PyTypeObject *encoder_type;
static PyTypeObject *block_type;

static PyObject *dtype_name;
static PyObject *shape_name;
static PyTypeObject *array_type;

/* Numbers. Each function returns -1, without an exception, if a number does not fit. */

static int store_integer(uint8_t *to, char code, Py_ssize_t width, PyObject *number) {
    uint64_t stored;
    if (code == 'Q') {
        stored = PyLong_AsUnsignedLongLong(number);
        if (stored == UINT64_MAX && PyErr_Occurred()) {
            PyErr_Clear();
            return -1;
        }
    } else {
        int overflow;
        long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
        if (overflow != 0)
            return -1;
        int is_signed = code == 'b' || code == 'h' || code == 'i' || code == 'q';
        if (width < 8) {
            int bits = 8 * (int)width - is_signed;
            long long lowest = is_signed ? -(1LL << bits) : 0;
            if (value < lowest || value >= 1LL << bits)
                return -1;
        }
        stored = (uint64_t)value;
    }
    memcpy(to, &stored, (size_t)width);
    return 0;
}

/* A float16, rounded to the nearest, of two to the even one. */
static int store_half(uint8_t *to, double value) {
    uint64_t pattern;
    memcpy(&pattern, &value, sizeof pattern);
    uint16_t sign = (uint16_t)(pattern >> 48 & 0x8000);
    int exponent = (int)(pattern >> 52 & 2047) - 1023;
    uint64_t fraction = pattern & (((uint64_t)1 << 52) - 1);
    uint16_t bits;
    if (exponent == 1024) {
        if (fraction != 0)
            return -1;
        bits = 31 << 10;
    } else if (exponent < -25) {
        bits = 0;
    } else {
        /* How many of the 53 bits are dropped: 42, or more if it has no normal form. */
        int dropped = exponent < -14 ? 42 + (-14 - exponent) : 42;
        uint64_t whole = fraction | (uint64_t)1 << 52;
        uint64_t kept = whole >> dropped;
        uint64_t rest = whole & (((uint64_t)1 << dropped) - 1);
        uint64_t middle = (uint64_t)1 << (dropped - 1);
        kept += rest > middle || (rest == middle && (kept & 1));
        /* The carry of rounding goes into the exponent, where it belongs. */
        uint64_t base = exponent < -14 ? 0 : (uint64_t)(exponent + 14) << 10;
        if (base + kept >= 31 << 10)
            return -1;
        bits = (uint16_t)(base + kept);
    }
    bits |= sign;
    memcpy(to, &bits, sizeof bits);
    return 0;
}

static int store_float(uint8_t *to, char code, double value) {
    if (code == 'd') {
        memcpy(to, &value, sizeof value);
        return 0;
    }
    if (value != value) /* how NaN is rounded is left to Python */
        return -1;
    if (code == 'e')
        return store_half(to, value);
    float rounded = (float)value;
    int is_infinite = rounded - rounded != 0;
    if (is_infinite && value - value == 0)
        return -1;
    memcpy(to, &rounded, sizeof rounded);
    return 0;
}

/* A number by its code in `struct`, as that packs it. */
static int store_number(uint8_t *to, char code, Py_ssize_t width, PyObject *number) {
    double value;
    switch (code) {
    case '?':
        if (!PyBool_Check(number))
            return -1;
        to[0] = number == Py_True;
        return 0;
    case 's':
        if (!PyBytes_CheckExact(number) || PyBytes_Size(number) != width)
            return -1;
        memcpy(to, PyBytes_AsString(number), (size_t)width);
        return 0;
    case 'e':
    case 'f':
    case 'd':
        if (PyFloat_Check(number))
            return store_float(to, code, PyFloat_AsDouble(number));
        if (!PyLong_CheckExact(number))
            return -1;
        value = PyLong_AsDouble(number);
        if (value == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            return -1;
        }
        return store_float(to, code, value);
    default:
        return PyLong_Check(number) ? store_integer(to, code, width, number) : -1;
    }
}

/* Segments */

static int push_segment(Block *block, PyObject *segment) {
    if (block->segment_count == block->segment_room) {
        Py_ssize_t room = 2 * block->segment_room + 8;
        PyObject **larger = PyMem_Realloc(block->segments, (size_t)room * sizeof *larger);
        if (larger == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        block->segments = larger;
        block->segment_room = room;
    }
    block->segments[block->segment_count++] = segment;
    return 0;
}

/* Ends the arena: what follows is in other bytes. */
static int close_arena(Block *block) {
    if (block->arena == NULL)
        return 0;
    PyObject *arena = block->arena;
    Py_ssize_t used = block->used;
    block->arena = NULL;
    block->used = 0;
    if (used == 0) {
        Py_DECREF(arena);
        return 0;
    }
    if (PyByteArray_Resize(arena, used) < 0 || push_segment(block, arena) < 0) {
        Py_DECREF(arena);
        return -1;
    }
    return 0;
}

/* Makes room in the arena for so many bytes more. */
int make_room(Block *block, Py_ssize_t size) {
    Py_ssize_t room = block->arena == NULL ? 0 : PyByteArray_Size(block->arena);
    if (size <= room - block->used)
        return 0;
    Py_ssize_t step = room < FIRST_ARENAS ? room : LARGEST_STEP;
    Py_ssize_t larger = room + (step > size ? step : size);
    if (larger < SMALLEST_ARENA)
        larger = SMALLEST_ARENA;
    if (block->arena == NULL) {
        block->arena = PyByteArray_FromStringAndSize(NULL, larger);
        return block->arena == NULL ? -1 : 0;
    }
    return PyByteArray_Resize(block->arena, larger);
}

static uint8_t *end_of_arena(Block *block) {
    return (uint8_t *)PyByteArray_AsString(block->arena) + block->used;
}

static void write_padding(Block *block, uint64_t size) {
    size_t padding = -size & 7;
    memset(end_of_arena(block), 0, padding);
    block->used += (Py_ssize_t)padding;
}

/* The checksum of a payload. Other threads run meanwhile if it is large, and if the rest of the record
   stays what it is: see `mutable_payloads`. The block, which is busy, has a reference to what the
   payload lies in, and nobody can change that: it is `bytes`, or the block's own arena. */
static uint32_t checksum_of(const Block *block, const uint8_t *data, size_t size) {
    if (size < LARGE || block->mutable_payloads > 0)
        return crc32(0, data, size);
    uint32_t checksum;
    Py_BEGIN_ALLOW_THREADS
    checksum = crc32(0, data, size);
    Py_END_ALLOW_THREADS
    return checksum;
}

/* Where the next frame begins, and how long it is; nothing of it is in the block yet. */
static int begin_frame(Block *block, Frame *frame) {
    Py_ssize_t head_size = block->encoder->layout.head_size;
    if (block->frame_count == block->frame_room) {
        Py_ssize_t room = 2 * block->frame_room + 1;
        Frame *larger = PyMem_Realloc(block->frames, (size_t)room * sizeof *larger);
        if (larger == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        block->frames = larger;
        block->frame_room = room;
    }
    if (make_room(block, head_size) < 0)
        return -1;
    frame->segment = block->segment_count;
    frame->at = block->used;
    frame->size = (uint64_t)head_size;
    memcpy(end_of_arena(block), block->head, (size_t)head_size);
    block->used += head_size;
    return 0;
}

static void write_size(Block *block, Frame *frame, Py_ssize_t number, uint64_t size,
                       uint32_t checksum) {
    PyObject *holder = block->arena;
    if (frame->segment < block->segment_count)
        holder = block->segments[frame->segment];
    uint8_t *head = (uint8_t *)PyByteArray_AsString(holder) + frame->at;
    store64(head + 16 + 8 * number, size);
    store32(head + 16 + 8 * block->encoder->layout.payload_count + 4 * number, checksum);
    if (size != NONE_SIZE)
        frame->size += (size + 7) & ~(uint64_t)7;
}

/* Copies a payload of any size behind what is in the block. */
static int copy_payload(Block *block, Frame *frame, Py_ssize_t number, const uint8_t *data,
                        Py_ssize_t size) {
    if (make_room(block, size + 8) < 0)
        return -1;
    uint8_t *to = end_of_arena(block);
    memcpy(to, data, (size_t)size);
    /* Of the copy: another thread may change an array while its bytes are read, or after. */
    uint32_t checksum = checksum_of(block, to, (size_t)size);
    block->used += size;
    write_padding(block, (uint64_t)size);
    write_size(block, frame, number, (uint64_t)size, checksum);
    block->given += (uint64_t)size;
    return 0;
}

static int refer_to_payload(Block *block, Frame *frame, Py_ssize_t number, PyObject *payload) {
    size_t size = (size_t)PyBytes_Size(payload);
    uint32_t checksum = checksum_of(block, (const uint8_t *)PyBytes_AsString(payload), size);
    if (close_arena(block) < 0 || push_segment(block, payload) < 0)
        return -1;
    Py_INCREF(payload);
    if (make_room(block, 8) < 0)
        return -1;
    write_padding(block, size);
    write_size(block, frame, number, size, checksum);
    block->given += size;
    return 0;
}

static int add_payload(Block *block, Frame *frame, Py_ssize_t number, PyObject *payload) {
    if (payload == NULL) {
        write_size(block, frame, number, NONE_SIZE, 0);
        return 0;
    }
    if (PyBytes_Check(payload)) {
        Py_ssize_t size = PyBytes_Size(payload);
        if (size >= REFERRED)
            return refer_to_payload(block, frame, number, payload);
        const uint8_t *data = (const uint8_t *)PyBytes_AsString(payload);
        return copy_payload(block, frame, number, data, size);
    }
    Py_buffer buffer;
    if (PyObject_GetBuffer(payload, &buffer, PyBUF_SIMPLE) < 0)
        return -1;
    block->mutable_payloads--;
    int done = copy_payload(block, frame, number, buffer.buf, buffer.len);
    PyBuffer_Release(&buffer);
    return done;
}

static int is_mutable(PyObject *payload) {
    return payload != NULL && !PyBytes_Check(payload);
}

static int write_record(Block *block, Frame *frame) {
    if (begin_frame(block, frame) < 0)
        return -1;
    block->mutable_payloads = 0;
    for (Py_ssize_t k = 0; k < block->encoder->layout.payload_count; k++)
        block->mutable_payloads += is_mutable(block->payloads[k]);
    block->given += (uint64_t)block->encoder->layout.head_size;
    for (Py_ssize_t k = 0; k < block->encoder->layout.payload_count; k++) {
        if (add_payload(block, frame, k, block->payloads[k]) < 0)
            return -1;
    }
    return 0;
}

/* After an error amid a record the block is empty: what can fail is to get memory, and then all of its
   records are lost. */
static void discard(Block *block) {
    empty_block(block);
    Py_CLEAR(block->arena);
}

static void keep_frame(Block *block, const Frame *frame) {
    block->frames[block->frame_count++] = *frame;
    block->size += frame->size;
}

/* Adds the record whose head and payloads are known. */
static int add_record(Block *block) {
    Frame frame;
    if (write_record(block, &frame) < 0) {
        discard(block);
        return -1;
    }
    keep_frame(block, &frame);
    return 0;
}

/* One sample */

static void forget_payloads(Block *block) {
    for (Py_ssize_t k = 0; k < block->encoder->layout.payload_count; k++)
        Py_CLEAR(block->payloads[k]);
}

/* Takes a reference to the payload of the record that is being encoded. */
static void set_payload(Block *block, Py_ssize_t number, PyObject *payload) {
    PyObject *before = block->payloads[number];
    block->payloads[number] = payload;
    Py_XDECREF(before);
}

/* Whether a value is an array whose bytes are what is stored. */
static int is_stored_as_it_is(const Way *way, PyObject *value) {
    if (Py_TYPE(value) != array_type)
        return 0;
    PyObject *dtype = PyObject_GetAttr(value, dtype_name);
    PyObject *shape = dtype == way->dtype ? PyObject_GetAttr(value, shape_name) : NULL;
    int fits = shape != NULL && PyObject_RichCompareBool(shape, way->shape, Py_EQ) == 1;
    Py_XDECREF(shape);
    Py_XDECREF(dtype);
    Py_buffer buffer;
    if (fits && PyObject_GetBuffer(value, &buffer, PyBUF_SIMPLE) == 0) {
        fits = buffer.len == way->width;
        PyBuffer_Release(&buffer);
    } else {
        fits = 0;
    }
    PyErr_Clear();
    return fits;
}

/* What `dump` makes of a value; NULL, with an exception. */
static PyObject *dumped(const Way *way, PyObject *value) {
    PyObject *arguments = PyTuple_Pack(1, value);
    if (arguments == NULL)
        return NULL;
    PyObject *made = PyObject_CallObject(way->dump, arguments);
    Py_DECREF(arguments);
    return made;
}

static int is_usual_number(const Way *way, PyObject *value) {
    if (way->code == 'e' || way->code == 'f' || way->code == 'd')
        return PyFloat_CheckExact(value) || PyLong_CheckExact(value);
    return PyLong_CheckExact(value);
}

static int encode_number(Block *block, const Way *way, PyObject *value) {
    uint8_t *to = block->head + way->at;
    int is_stored = -1;
    if (way->kind == CATEGORY) {
        PyObject *number = NULL;
        if (PyUnicode_CheckExact(value))
            number = PyDict_GetItemWithError(way->names, value);
        if (number != NULL)
            is_stored = store_number(to, way->code, way->width, number);
        else if (PyErr_Occurred())
            return FAILED;
    } else if (way->kind == BOOL) {
        is_stored = store_number(to, way->code, way->width, value);
    } else if (way->kind == NUMBER && is_usual_number(way, value)) {
        is_stored = store_number(to, way->code, way->width, value);
        if (is_stored < 0) /* it does not fit */
            return LEFT;
    }
    if (is_stored < 0) {
        PyObject *number = dumped(way, value);
        if (number == NULL)
            return FAILED;
        is_stored = store_number(to, way->code, way->width, number);
        Py_DECREF(number);
        if (is_stored < 0)
            return LEFT;
    }
    if (way->presence >= 0)
        block->head[way->presence] = 1;
    return ADDED;
}

static int encode_payload(Block *block, const Way *way, PyObject *value) {
    PyObject *payload = NULL;
    if (way->kind == TEXT && PyUnicode_CheckExact(value)) {
        payload = PyUnicode_AsUTF8String(value);
    } else if ((way->kind == BYTES && PyBytes_CheckExact(value)) ||
               (way->kind == ARRAY && is_stored_as_it_is(way, value))) {
        payload = value;
        Py_INCREF(payload);
    } else {
        payload = dumped(way, value);
        if (payload != NULL && !PyBytes_CheckExact(payload)) {
            Py_DECREF(payload);
            return LEFT;
        }
    }
    if (payload == NULL)
        return FAILED;
    set_payload(block, way->at, payload);
    return ADDED;
}

static int encode_value(Block *block, const Way *way, PyObject *value) {
    if (way->present != Py_None) {
        if (value == Py_None)
            return ADDED; /* heads begin as zeros, and payloads as None */
        if (PySet_Contains(way->present, (PyObject *)Py_TYPE(value)) != 1)
            return LEFT;
    }
    if (way->kind <= OTHER_NUMBER)
        return encode_number(block, way, value);
    return encode_payload(block, way, value);
}

/* The value of a field in a sample, as a new reference; NULL, perhaps without an exception. */
static PyObject *value_of(const Encoder *encoder, PyObject *sample, Py_ssize_t i) {
    PyObject *value;
    if (encoder->is_named)
        value = PyDict_GetItemWithError(sample, encoder->ways[i].key);
    else if (PyTuple_CheckExact(sample))
        value = PyTuple_GetItem(sample, i);
    else
        value = PyList_GetItem(sample, i);
    Py_XINCREF(value);
    return value;
}

static int is_usual_sample(const Encoder *encoder, PyObject *sample) {
    if (encoder->is_named)
        return PyDict_CheckExact(sample) && PyDict_Size(sample) == encoder->count;
    if (PyTuple_CheckExact(sample))
        return PyTuple_Size(sample) == encoder->count;
    return PyList_CheckExact(sample) && PyList_Size(sample) == encoder->count;
}

static int encode_fields(Block *block, PyObject *sample) {
    const Encoder *encoder = block->encoder;
    if (encoder->count == 0 || !is_usual_sample(encoder, sample))
        return LEFT;
    memset(block->head, 0, (size_t)encoder->layout.head_size);
    for (Py_ssize_t i = 0; i < encoder->count; i++) {
        PyObject *value = value_of(encoder, sample, i);
        if (value == NULL)
            return PyErr_Occurred() ? FAILED : LEFT;
        int state = encode_value(block, &encoder->ways[i], value);
        Py_DECREF(value);
        if (state != ADDED)
            return state;
    }
    return ADDED;
}

/* Whether all arrays have still the size that they had when their fields were looked at: a field behind
   them may have called Python, which may have let another thread run. Nothing does from here on until
   they are copied. */
static int are_arrays_what_they_were(const Block *block) {
    const Encoder *encoder = block->encoder;
    for (Py_ssize_t i = 0; i < encoder->count; i++) {
        const Way *way = &encoder->ways[i];
        if (way->kind != ARRAY || !is_mutable(block->payloads[way->at]))
            continue;
        Py_buffer buffer;
        if (PyObject_GetBuffer(block->payloads[way->at], &buffer, PyBUF_SIMPLE) < 0) {
            PyErr_Clear();
            return 0;
        }
        int is_same = buffer.len == way->width;
        PyBuffer_Release(&buffer);
        if (!is_same)
            return 0;
    }
    return 1;
}

/* Adds a sample. Returns 1 if it is left to Python, and -1 with an exception: in both cases the block
   is what it was, unless there is no memory. */
int encode_sample(Block *block, PyObject *sample) {
    int state = encode_fields(block, sample);
    if (state == ADDED && block->encoder->count > 1 && !are_arrays_what_they_were(block))
        state = LEFT;
    if (state == FAILED && is_left_to_python())
        state = LEFT;
    if (state == ADDED && add_record(block) < 0)
        state = FAILED;
    forget_payloads(block);
    return state;
}

/* Frames */

/* Writes what a head says of its place in the log, and returns its check. */
uint32_t finish_head(uint8_t *head, const Layout *layout, int kind, uint64_t size, uint32_t prev,
                     uint32_t seed, uint64_t offset) {
    store32(head + 4, prev);
    store64(head + 8, (uint64_t)(MARK << 8 | kind) << 48 | size);
    uint32_t check = crc32(seed, head + 4, (size_t)layout->head_size - 4) ^ offset_mix(offset);
    store32(head, check);
    return check;
}

void empty_block(Block *block) {
    for (Py_ssize_t k = 0; k < block->segment_count; k++)
        Py_DECREF(block->segments[k]);
    block->segment_count = 0;
    block->used = 0;
    block->frame_count = 0;
    block->size = 0;
    block->given = 0;
}

/* An object as a block, borrowed; NULL, without an exception, if it is none. */
Block *block_of(PyObject *object) {
    return PyObject_TypeCheck(object, block_type) ? (Block *)object : NULL;
}

Block *new_block(Encoder *encoder) {
    allocfunc allocate = (allocfunc)PyType_GetSlot(block_type, Py_tp_alloc);
    Block *block = (Block *)allocate(block_type, 0);
    if (block == NULL)
        return NULL;
    Py_INCREF((PyObject *)encoder);
    block->encoder = encoder;
    block->head = PyMem_Calloc(1, (size_t)encoder->layout.head_size);
    block->payloads = PyMem_Calloc((size_t)encoder->layout.payload_count + 1, sizeof(PyObject *));
    if (block->head == NULL || block->payloads == NULL) {
        PyErr_NoMemory();
        Py_DECREF((PyObject *)block);
        return NULL;
    }
    return block;
}

/* Of two calls at once, or one amid another, the second is refused. */
static int enter(Block *block) {
    if (block->is_busy || block->is_finished) {
        PyErr_SetString(PyExc_RuntimeError, "this block is in use, or finished");
        return -1;
    }
    block->is_busy = 1;
    return 0;
}

/* fill(iterator, records, bytes): adds samples until there are so many records or bytes.

   Returns (1, sample) for one that is left to Python; (0, None) where the block is full or the
   iterator is at its end, which is told by (2, None). What the iterator raises is raised, and the
   samples before are in the block. */
static PyObject *block_fill(Block *block, PyObject *const *arguments, Py_ssize_t given) {
    if (expect(given, 3, "fill") < 0)
        return NULL;
    PyObject *iterator = arguments[0];
    Py_ssize_t records = PyLong_AsSsize_t(arguments[1]);
    if (records == -1 && PyErr_Occurred())
        return NULL;
    uint64_t bytes = PyLong_AsUnsignedLongLong(arguments[2]);
    if (bytes == UINT64_MAX && PyErr_Occurred())
        return NULL;
    if (!PyIter_Check(iterator)) {
        PyErr_SetString(PyExc_TypeError, "samples come from an iterator");
        return NULL;
    }
    if (enter(block) < 0)
        return NULL;
    PyObject *answer = NULL;
    while (answer == NULL) {
        if (block->frame_count >= records || block->given >= bytes) {
            answer = Py_BuildValue("(iO)", 0, Py_None);
            break;
        }
        PyObject *sample = PyIter_Next(iterator);
        if (sample == NULL) {
            if (!PyErr_Occurred())
                answer = Py_BuildValue("(iO)", 2, Py_None);
            break;
        }
        int state = encode_sample(block, sample);
        if (state == LEFT)
            answer = Py_BuildValue("(iO)", 1, sample);
        Py_DECREF(sample);
        if (state != ADDED)
            break;
    }
    block->is_busy = 0;
    return answer;
}

/* add(numbers, payloads): a record that Python has encoded, as `Frames.record` takes it. */
static PyObject *block_add(Block *block, PyObject *const *arguments, Py_ssize_t given) {
    if (expect(given, 2, "add") < 0)
        return NULL;
    const Layout *layout = &block->encoder->layout;
    PyObject *payloads = arguments[1];
    if (!PyList_Check(payloads) || PyList_Size(payloads) != layout->payload_count) {
        PyErr_SetString(PyExc_TypeError, "payloads are a list, one for each field of payloads");
        return NULL;
    }
    PyObject *numbers = PySequence_Tuple(arguments[0]);
    if (numbers == NULL)
        return NULL;
    PyObject *packed = PyObject_CallObject(block->encoder->pack, numbers);
    Py_DECREF(numbers);
    if (packed == NULL)
        return NULL;
    Py_ssize_t start = 16 + 12 * layout->payload_count;
    Py_ssize_t size = layout->head_size - start;
    int is_right = PyBytes_CheckExact(packed) && PyBytes_Size(packed) == size &&
                   PyList_Size(payloads) == layout->payload_count;
    if (!is_right) {
        PyErr_SetString(PyExc_TypeError, "numbers that are not packed as bytes of their size");
        Py_DECREF(packed);
        return NULL;
    }
    if (enter(block) < 0) {
        Py_DECREF(packed);
        return NULL;
    }
    memset(block->head, 0, (size_t)start);
    memcpy(block->head + start, PyBytes_AsString(packed), (size_t)size);
    Py_DECREF(packed);
    for (Py_ssize_t k = 0; k < layout->payload_count; k++) {
        PyObject *payload = PyList_GetItem(payloads, k);
        if (payload == Py_None)
            continue;
        Py_INCREF(payload);
        set_payload(block, k, payload);
    }
    int state = add_record(block);
    forget_payloads(block);
    block->is_busy = 0;
    if (state < 0)
        return NULL;
    Py_INCREF(Py_None);
    return Py_None;
}

/* Columns */

static int is_in_head(const Encoder *self, Py_ssize_t at, Py_ssize_t width) {
    Py_ssize_t start = 16 + 12 * self->layout.payload_count;
    return at >= start && width > 0 && width <= 16 && at <= self->layout.head_size - width;
}

/* The values of one field of many records: numbers, or arrays of one size, are memory side by side;
   other payloads are a list. */
typedef struct {
    Py_buffer buffer;
    int has_buffer;
    PyObject *list;
    Py_ssize_t at;
    Py_ssize_t width;
} Column;

static void close_columns(Column *columns, Py_ssize_t count) {
    for (Py_ssize_t k = 0; k < count; k++) {
        if (columns[k].has_buffer)
            PyBuffer_Release(&columns[k].buffer);
        Py_XDECREF(columns[k].list);
    }
    PyMem_Free(columns);
}

/* Opens (at, width, memory) or (at, 0, list), of so many rows. */
static int open_column(PyObject *given, Py_ssize_t rows, Column *column) {
    PyObject *values;
    if (!PyTuple_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "a column is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(given, "nnO", &column->at, &column->width, &values))
        return -1;
    if (PyList_Check(values) && PyList_Size(values) >= rows && column->width == 0) {
        Py_INCREF(values);
        column->list = values;
        return 0;
    }
    if (get_items(values, &column->buffer, 0, column->width, rows) < 0)
        return -1;
    column->has_buffer = 1;
    return 0;
}

static Column *open_columns(PyObject *given, Py_ssize_t rows) {
    Py_ssize_t count = PyTuple_Size(given);
    Column *columns = PyMem_Calloc((size_t)count + 1, sizeof *columns);
    if (columns == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t k = 0; k < count; k++) {
        if (open_column(PyTuple_GetItem(given, k), rows, &columns[k]) < 0) {
            close_columns(columns, count);
            return NULL;
        }
    }
    return columns;
}

static int add_payload_of_column(Block *block, Frame *frame, Py_ssize_t number,
                                 const Column *column, Py_ssize_t row) {
    if (column->has_buffer) {
        const uint8_t *data = (const uint8_t *)column->buffer.buf + column->width * row;
        return copy_payload(block, frame, number, data, column->width);
    }
    PyObject *payload = PyList_GetItem(column->list, row); /* it may be shorter by now */
    if (payload == NULL)
        return -1;
    if (payload == Py_None)
        return add_payload(block, frame, number, NULL);
    Py_INCREF(payload);
    int done = add_payload(block, frame, number, payload);
    Py_DECREF(payload);
    return done;
}

/* A compiler makes one instruction of a copy whose size it knows. */
static inline void copy_number(uint8_t *to, const uint8_t *from, Py_ssize_t width) {
    if (width == 4)
        memcpy(to, from, 4);
    else if (width == 8)
        memcpy(to, from, 8);
    else
        memcpy(to, from, (size_t)width);
}

static int write_row_of_columns(Block *block, Frame *frame, const Column *numbers,
                                Py_ssize_t number_count, const Column *payloads, Py_ssize_t row) {
    for (Py_ssize_t k = 0; k < number_count; k++) {
        const Column *column = &numbers[k];
        const uint8_t *from = (const uint8_t *)column->buffer.buf + column->width * row;
        copy_number(block->head + column->at, from, column->width);
    }
    if (begin_frame(block, frame) < 0)
        return -1;
    block->given += (uint64_t)block->encoder->layout.head_size;
    for (Py_ssize_t k = 0; k < block->encoder->layout.payload_count; k++) {
        if (add_payload_of_column(block, frame, k, &payloads[k], row) < 0)
            return -1;
    }
    return 0;
}

/* Whether the numbers have their places in a head, and each payload is a column. */
static int are_right_columns(const Encoder *encoder, const Column *numbers,
                             Py_ssize_t number_count, Py_ssize_t payload_count) {
    for (Py_ssize_t k = 0; k < number_count; k++) {
        if (!numbers[k].has_buffer || !is_in_head(encoder, numbers[k].at, numbers[k].width))
            return 0;
    }
    return payload_count == encoder->layout.payload_count;
}

/* The bytes that each record takes, without those of payloads in lists. */
static uint64_t size_of_row(const Encoder *encoder, const Column *payloads) {
    uint64_t size = (uint64_t)encoder->layout.head_size;
    for (Py_ssize_t k = 0; k < encoder->layout.payload_count; k++)
        size += ((uint64_t)payloads[k].width + 7) & ~(uint64_t)7;
    return size;
}

static Py_ssize_t add_rows(Block *block, Py_ssize_t first, Py_ssize_t stop, uint64_t bytes,
                           const Column *numbers, Py_ssize_t number_count,
                           const Column *payloads) {
    memset(block->head, 0, (size_t)block->encoder->layout.head_size);
    /* Room for all of them, if they are not larger than a block: it need not grow then. */
    uint64_t room = (uint64_t)(stop - first) * size_of_row(block->encoder, payloads);
    if (stop > first && make_room(block, (Py_ssize_t)(room < bytes ? room : bytes)) < 0)
        return -1;
    Py_ssize_t row = first;
    for (; row < stop && block->given < bytes; row++) {
        Frame frame;
        if (write_row_of_columns(block, &frame, numbers, number_count, payloads, row) < 0) {
            discard(block);
            return -1;
        }
        keep_frame(block, &frame);
    }
    return row;
}

/* add_columns(first, stop, bytes, numbers, payloads): the records of these rows, until there are so
   many bytes. Both are tuples of columns: see `open_column`.

   Returns the row behind the last one that was added. */
static PyObject *block_add_columns(Block *block, PyObject *const *arguments, Py_ssize_t given) {
    if (expect(given, 5, "add_columns") < 0)
        return NULL;
    Py_ssize_t first = PyLong_AsSsize_t(arguments[0]);
    if (first == -1 && PyErr_Occurred())
        return NULL;
    Py_ssize_t stop = PyLong_AsSsize_t(arguments[1]);
    if (stop == -1 && PyErr_Occurred())
        return NULL;
    uint64_t bytes = PyLong_AsUnsignedLongLong(arguments[2]);
    if (bytes == UINT64_MAX && PyErr_Occurred())
        return NULL;
    if (first < 0 || !PyTuple_Check(arguments[3]) || !PyTuple_Check(arguments[4])) {
        PyErr_SetString(PyExc_TypeError, "columns are two tuples");
        return NULL;
    }
    Py_ssize_t number_count = PyTuple_Size(arguments[3]);
    Py_ssize_t payload_count = PyTuple_Size(arguments[4]);
    Column *numbers = open_columns(arguments[3], stop);
    if (numbers == NULL)
        return NULL;
    Column *payloads = open_columns(arguments[4], stop);
    if (payloads == NULL) {
        close_columns(numbers, number_count);
        return NULL;
    }
    PyObject *answer = NULL;
    if (!are_right_columns(block->encoder, numbers, number_count, payload_count)) {
        PyErr_SetString(PyExc_ValueError, "columns that are not those of these records");
    } else if (enter(block) == 0) {
        Py_ssize_t row = add_rows(block, first, stop, bytes, numbers, number_count, payloads);
        block->is_busy = 0;
        if (row >= 0)
            answer = PyLong_FromSsize_t(row);
    }
    close_columns(payloads, payload_count);
    close_columns(numbers, number_count);
    return answer;
}

/* encode_strings(values): strings, a list, in UTF-8; None if one of them is left to Python. */
PyObject *encode_strings(PyObject *module, PyObject *const *arguments, Py_ssize_t given) {
    (void)module;
    if (expect(given, 1, "encode_strings") < 0)
        return NULL;
    if (!PyList_CheckExact(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "strings are a list");
        return NULL;
    }
    Py_ssize_t count = PyList_Size(arguments[0]);
    PyObject *encoded = PyList_New(count);
    for (Py_ssize_t k = 0; encoded != NULL && k < count; k++) {
        PyObject *value = PyList_GetItem(arguments[0], k);
        PyObject *bytes = NULL;
        if (value != NULL && PyUnicode_CheckExact(value))
            bytes = PyUnicode_AsUTF8String(value);
        if (bytes == NULL) {
            Py_CLEAR(encoded);
            break;
        }
        PyList_SetItem(encoded, k, bytes);
    }
    if (encoded == NULL && (!PyErr_Occurred() || is_left_to_python())) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    return encoded;
}

/* finish(kind, prev, seed, offset, width): the frames for a log that ends at `offset`.

   Returns (their bytes as a list, their rows in an index, the check of the last). Frames that are
   pending all have `prev`; others name the one before them. */
static PyObject *block_finish(Block *block, PyObject *const *arguments, Py_ssize_t given) {
    if (expect(given, 5, "finish") < 0)
        return NULL;
    const Layout *layout = &block->encoder->layout;
    int kind = (int)PyLong_AsLong(arguments[0]);
    uint32_t check = (uint32_t)PyLong_AsUnsignedLongMask(arguments[1]);
    uint32_t seed = (uint32_t)PyLong_AsUnsignedLongMask(arguments[2]);
    Py_ssize_t width = PyLong_AsSsize_t(arguments[4]);
    if (PyErr_Occurred())
        return NULL;
    uint64_t offset = PyLong_AsUnsignedLongLong(arguments[3]);
    if (PyErr_Occurred())
        return NULL;
    if ((kind != RECORD && kind != PENDING) ||
        (width != SHORT_ROW && width != 8 + layout->head_size)) {
        PyErr_SetString(PyExc_ValueError, "no such frames");
        return NULL;
    }
    if (enter(block) < 0)
        return NULL;
    block->is_finished = 1;
    PyObject *answer = NULL;
    PyObject *buffers = NULL;
    PyObject *rows = PyBytes_FromStringAndSize(NULL, width * block->frame_count);
    if (rows == NULL || close_arena(block) < 0)
        goto end;
    uint32_t prev = check;
    for (Py_ssize_t k = 0; k < block->frame_count; k++) {
        const Frame *frame = &block->frames[k];
        PyObject *holder = block->segments[frame->segment];
        uint8_t *head = (uint8_t *)PyByteArray_AsString(holder) + frame->at;
        check = finish_head(head, layout, kind, frame->size, prev, seed, offset);
        store_row((uint8_t *)PyBytes_AsString(rows) + width * k, width, offset, head, layout);
        if (kind == RECORD)
            prev = check;
        offset += frame->size;
    }
    buffers = PyList_New(block->segment_count);
    if (buffers == NULL)
        goto end;
    for (Py_ssize_t k = 0; k < block->segment_count; k++) {
        Py_INCREF(block->segments[k]);
        PyList_SetItem(buffers, k, block->segments[k]);
    }
    answer = Py_BuildValue("OOI", buffers, rows, (unsigned int)check);
end:
    block->is_busy = 0;
    Py_XDECREF(buffers);
    Py_XDECREF(rows);
    return answer;
}

static Py_ssize_t block_length(Block *block) {
    return block->frame_count;
}

static PyObject *block_size(Block *block, void *nothing) {
    (void)nothing;
    return PyLong_FromUnsignedLongLong(block->size);
}

static PyObject *block_given(Block *block, void *nothing) {
    (void)nothing;
    return PyLong_FromUnsignedLongLong(block->given);
}

/* Neither type is known to Python's collector: what they refer to (methods of types, bytes, samples
   while they are encoded) does not lead back to them. */

static void block_dealloc(Block *block) {
    Encoder *encoder = block->encoder;
    empty_block(block);
    Py_CLEAR(block->arena);
    if (block->payloads != NULL)
        forget_payloads(block);
    PyMem_Free(block->payloads);
    PyMem_Free(block->head);
    PyMem_Free(block->segments);
    PyMem_Free(block->frames);
    int is_scratch = block->is_scratch;
    free_object((PyObject *)block);
    if (!is_scratch)
        Py_XDECREF((PyObject *)encoder);
}

static PyMethodDef block_methods[] = {
    {"fill", (PyCFunction)(void (*)(void))block_fill, METH_FASTCALL, "Add samples."},
    {"add", (PyCFunction)(void (*)(void))block_add, METH_FASTCALL, "Add an encoded record."},
    {"add_columns", (PyCFunction)(void (*)(void))block_add_columns, METH_FASTCALL, "Add rows."},
    {"finish", (PyCFunction)(void (*)(void))block_finish, METH_FASTCALL, "The frames."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef block_attributes[] = {
    {"size", (getter)block_size, NULL, "Of all frames, in bytes.", NULL},
    {"given", (getter)block_given, NULL, "The same, without padding.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot block_slots[] = {
    {Py_tp_doc, "Frames of records, ready to be written but for their place in the log."},
    {Py_tp_methods, block_methods},
    {Py_tp_getset, block_attributes},
    {Py_tp_dealloc, block_dealloc},
    {Py_sq_length, block_length},
    {0, NULL},
};

static PyType_Spec block_spec = {
    "dsrecords._native._core.Block",
    sizeof(Block),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    block_slots,
};

/* The encoder */

static void clear_way(Way *way) {
    Py_CLEAR(way->key);
    Py_CLEAR(way->present);
    Py_CLEAR(way->dump);
    Py_CLEAR(way->names);
    Py_CLEAR(way->dtype);
    Py_CLEAR(way->shape);
}

static void encoder_dealloc(Encoder *self) {
    Py_XDECREF((PyObject *)self->scratch);
    for (Py_ssize_t i = 0; i < self->count; i++)
        clear_way(&self->ways[i]);
    PyMem_Free(self->ways);
    Py_CLEAR(self->pack);
    Py_CLEAR(self->functions);
    free_object((PyObject *)self);
}

static Py_ssize_t width_of_code(char code) {
    switch (code) {
    case '?':
    case 'b':
    case 'B':
        return 1;
    case 'h':
    case 'H':
    case 'e':
        return 2;
    case 'i':
    case 'I':
    case 'f':
        return 4;
    case 'q':
    case 'Q':
    case 'd':
        return 8;
    default:
        return 0;
    }
}

static int is_right_way(const Encoder *self, const Way *way) {
    if (way->kind < NUMBER || way->kind > PAYLOAD || !PyCallable_Check(way->dump))
        return 0;
    if (way->present != Py_None && !PyFrozenSet_Check(way->present))
        return 0;
    if (way->kind > OTHER_NUMBER)
        return way->at >= 0 && way->at < self->layout.payload_count;
    if (way->code != 's' && way->width != width_of_code(way->code))
        return 0;
    if (way->kind == CATEGORY && !PyDict_Check(way->names))
        return 0;
    if (way->presence >= 0 && !is_in_head(self, way->presence, 1))
        return 0;
    return is_in_head(self, way->at, way->width);
}

/* (key, kind, code, at, width, presence, present, dump, names, dtype, shape) */
static int take_way(const Encoder *self, PyObject *given, Way *way) {
    int code;
    if (!PyTuple_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "a way is a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(given, "OiinnnOOOOO", &way->key, &way->kind, &code, &way->at, &way->width,
                          &way->presence, &way->present, &way->dump, &way->names, &way->dtype,
                          &way->shape)) {
        memset(way, 0, sizeof *way); /* some are borrowed */
        return -1;
    }
    way->code = (char)code;
    Py_INCREF(way->key);
    Py_INCREF(way->present);
    Py_INCREF(way->dump);
    Py_INCREF(way->names);
    Py_INCREF(way->dtype);
    Py_INCREF(way->shape);
    if (!is_right_way(self, way)) {
        PyErr_SetString(PyExc_ValueError, "no such field");
        return -1;
    }
    return 0;
}

/* Encoder(ways, is_named, head_size, payload_count, pack, functions, array) */
static PyObject *encoder_new(PyTypeObject *type, PyObject *arguments, PyObject *names) {
    (void)names;
    PyObject *ways;
    PyObject *pack;
    PyObject *functions;
    PyObject *array;
    int is_named;
    Layout layout;
    if (!PyArg_ParseTuple(arguments, "O!pnnOO!O!", &PyTuple_Type, &ways, &is_named,
                          &layout.head_size, &layout.payload_count, &pack, &PyTuple_Type,
                          &functions, &PyType_Type, &array))
        return NULL;
    if (layout.payload_count < 0 || layout.payload_count > 4096 ||
        layout.head_size < 16 + 12 * layout.payload_count || layout.head_size > 1 << 20 ||
        (layout.head_size & 7) != 0) {
        PyErr_SetString(PyExc_ValueError, "no such heads");
        return NULL;
    }
    Py_INCREF(array);
    PyTypeObject *before = array_type; /* nearly always the same one: NumPy's */
    array_type = (PyTypeObject *)array;
    Py_XDECREF((PyObject *)before);
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Encoder *self = (Encoder *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->layout = layout;
    self->is_named = is_named;
    Py_INCREF(pack);
    self->pack = pack;
    Py_INCREF(functions);
    self->functions = functions;
    Py_ssize_t count = PyTuple_Size(ways);
    self->ways = PyMem_Calloc((size_t)count + 1, sizeof *self->ways);
    if (self->ways == NULL) {
        PyErr_NoMemory();
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        self->count = i + 1;
        if (take_way(self, PyTuple_GetItem(ways, i), &self->ways[i]) < 0) {
            Py_DECREF((PyObject *)self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static PyObject *encoder_block(Encoder *self, PyObject *nothing) {
    (void)nothing;
    return (PyObject *)new_block(self);
}

static PyMethodDef encoder_methods[] = {
    {"block", (PyCFunction)encoder_block, METH_NOARGS, "An empty block."},
    {"append", (PyCFunction)(void (*)(void))append_sample, METH_FASTCALL, "Append a sample."},
    {"write", (PyCFunction)(void (*)(void))write_block, METH_FASTCALL, "Write a block."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "How the samples of a schema become frames."},
    {Py_tp_new, encoder_new},
    {Py_tp_methods, encoder_methods},
    {Py_tp_dealloc, encoder_dealloc},
    {0, NULL},
};

static PyType_Spec encoder_spec = {
    "dsrecords._native._core.Encoder",
    sizeof(Encoder),
    0,
    Py_TPFLAGS_DEFAULT,
    encoder_slots,
};

int add_encoder_types(PyObject *module) {
    dtype_name = PyUnicode_InternFromString("dtype");
    shape_name = PyUnicode_InternFromString("shape");
    block_type = (PyTypeObject *)PyType_FromSpec(&block_spec);
    encoder_type = (PyTypeObject *)PyType_FromSpec(&encoder_spec);
    if (dtype_name == NULL || shape_name == NULL || block_type == NULL || encoder_type == NULL)
        return -1;
    return PyModule_AddType(module, encoder_type);
}
