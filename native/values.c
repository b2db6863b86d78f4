/* Values of Python, of the bytes that stand for them: what `struct` makes of numbers, and what the
   simplest types make of payloads. */

#include "native.h"

/* A float16, whose every value a double has. */
static double half(uint16_t bits) {
    uint64_t sign = (uint64_t)(bits >> 15) << 63;
    int exponent = bits >> 10 & 31;
    uint64_t fraction = bits & 1023;
    double value;
    if (exponent == 0) { /* of no normal form: a number of units of 2^-24 */
        value = (double)fraction / 16777216.0;
        return sign ? -value : value;
    }
    uint64_t wide = exponent == 31 ? 2047 : (uint64_t)(exponent - 15 + 1023);
    uint64_t pattern = sign | wide << 52 | fraction << 42;
    memcpy(&value, &pattern, sizeof value);
    return value;
}

/* The number at an address, by its code in `struct`; of the code "s", `width` bytes. */
PyObject *number_at(const uint8_t *at, char code, Py_ssize_t width) {
    float single;
    double number;
    switch (code) {
    case '?':
        return PyBool_FromLong(at[0]);
    case 'b':
        return PyLong_FromLong((int8_t)at[0]);
    case 'B':
        return PyLong_FromLong(at[0]);
    case 'h':
        return PyLong_FromLong((int16_t)load16(at));
    case 'H':
        return PyLong_FromLong(load16(at));
    case 'i':
        return PyLong_FromLong((int32_t)load32(at));
    case 'I':
        return PyLong_FromUnsignedLong(load32(at));
    case 'q':
        return PyLong_FromLongLong((long long)load64(at));
    case 'Q':
        return PyLong_FromUnsignedLongLong(load64(at));
    case 'e':
        return PyFloat_FromDouble(half(load16(at)));
    case 'f':
        memcpy(&single, at, sizeof single);
        return PyFloat_FromDouble((double)single);
    case 'd':
        memcpy(&number, at, sizeof number);
        return PyFloat_FromDouble(number);
    case 's':
        return PyBytes_FromStringAndSize((const char *)at, width);
    default:
        PyErr_Format(PyExc_SystemError, "no number has the code %d", code);
        return NULL;
    }
}

/* A part of a memoryview, which lies within it. */
PyObject *part_of(PyObject *view, uint64_t start, uint64_t size) {
    PyObject *first = PyLong_FromUnsignedLongLong(start);
    PyObject *last = PyLong_FromUnsignedLongLong(start + size);
    PyObject *slice = NULL;
    PyObject *part = NULL;
    if (first != NULL && last != NULL)
        slice = PySlice_New(first, last, NULL);
    if (slice != NULL)
        part = PyObject_GetItem(view, slice);
    Py_XDECREF(slice);
    Py_XDECREF(last);
    Py_XDECREF(first);
    return part;
}

/* Whether what is raised is an error of a value, after which Python is to look at it: then it is
   cleared. Ctrl-C is none. */
int is_left_to_python(void) {
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return 0;
    PyErr_Clear();
    return 1;
}
