/* Reads DSRecords files, version 2 of the format (docs/records-format.md). C99, no dependency.

     if (dsr_open(&file, rec, rec_size, idx, idx_size, 0)) return complain(&file.error);
     for (uint64_t i = 0; i < file.count; i++)
       if (!dsr_read(&file, i, &frame) && !dsr_get(&file, &frame, &file.fields[0], &value))
         use(value.bytes, value.size);
     dsr_close(&file);

   `rec` and `idx` (NULL if there is none) are the bytes of the files, which must stay as they are. A
   value is a piece of them: a number, little-endian, or a payload; NULL is None. Functions return 0, or
   the code in file.error. Checksums are verified at each use. One thread at a time. */
#ifndef DSRECORDS_H
#define DSRECORDS_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
enum { DSR_OK, DSR_CORRUPT, DSR_UNSUPPORTED, DSR_STALE_VIEW, DSR_NO_MEMORY, DSR_NOT_THERE };
enum { DSR_RECORD = 1, DSR_PENDING, DSR_COMMIT, DSR_REVISION, DSR_METADATA, DSR_SKIPPED = 128 };
enum { DSR_TAKE_LAST = 1, DSR_DELETE };
typedef struct { int code; uint64_t offset; const char *needed; } dsr_error; /* offset: of a frame */
typedef struct { const uint8_t *bytes; uint64_t size; } dsr_value;
typedef struct { uint64_t at, size; const uint8_t *head; uint32_t check; int kind; } dsr_frame;
typedef struct { const char *json; uint64_t payload, width, at, present; } dsr_field; /* width 0: a payload */
typedef struct {
  dsr_error error;
  uint64_t count, field_count, payload_count; /* count: of records */
  dsr_field *fields; /* dsr_member(field.json, "name") is its name, as JSON */
  int warns; /* the index could not be used; or the file may have been cut, and no index tells */
  char *json; /* of the header; from here on: private */
  const uint8_t *rec, *rows, *slot; /* of the index; if none can be used, one that covers nothing */
  uint8_t nothing[128];
  uint64_t size, start, head, hashed, *list, end, batch, metadata; /* batch: where the last one starts */
  uint32_t seed, check;
} dsr_file;
#define DSR_NONE UINT64_MAX
#define DSR_ROW (UINT64_MAX / 2 + 1) /* in the list: the number of a row, not an offset */
#define DSR_NEED(condition, otherwise, where) \
  do if (!(condition)) return (file->error = (dsr_error){otherwise, where, #condition}).code; while (0)

static uint64_t dsr_number(const uint8_t *bytes, int width) {
  uint64_t number = 0;
  while (width--) number = number << 8 | bytes[width];
  return number;
}
static uint32_t dsr_u32(const uint8_t *bytes) { return (uint32_t)dsr_number(bytes, 4); }
static uint64_t dsr_u64(const uint8_t *bytes) { return dsr_number(bytes, 8); }
static uint32_t dsr_crc(uint32_t crc, const uint8_t *bytes, uint64_t size) { /* half a byte at a time */
  static const uint32_t table[] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
  for (crc = ~crc; size--; bytes++) {
    crc = crc >> 4 ^ table[(crc ^ *bytes) & 15];
    crc = crc >> 4 ^ table[(crc ^ *bytes >> 4) & 15];
  }
  return ~crc;
}

/* The header. Of its JSON, which ends with a zero here, only the structure is looked at. */
static const char *dsr_skip(const char *at) { /* behind a value; NULL if it has no end */
  if (*at && !strchr("{[\"", *at)) return at + strcspn(at, ",]} \t\r\n");
  for (int depth = 0; *at; at++) {
    if (*at == '"') while (*++at != '"') if (!*at || (*at == '\\' && !*++at)) return NULL;
    depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
    if (!depth) return at + 1;
  }
  return NULL;
}
static const char *dsr_member(const char *object, const char *key) { /* its value; "" if none, or two */
  const char *found = "", *at = object + 1;
  while (at && *object == '{' && *(at += strspn(at, " \t\r\n,")) == '"') {
    const char *name = at + 1, *value = dsr_skip(at);
    value += strspn(value, " \t\r\n:");
    if (!strncmp(name, key, strlen(key)) && name[strlen(key)] == '"') found = *found ? "" : value;
    at = dsr_skip(value);
  }
  return found;
}
static int dsr_states(const char *object, const char *key, uint64_t number) {
  const char *value = dsr_member(object, key), *end = value + strspn(value, "0123456789");
  return end > value && end == dsr_skip(value) && strtoull(value, NULL, 10) == number;
}
static uint64_t dsr_width(const char *type, const char *end) { /* of a scalar, in bytes; 0 of other types */
  static const char *const words[] = {
    "bool", "int8", "uint8", "int16", "uint16", "float16", "bfloat16", "int32", "uint32", "float32", "int64",
    "uint64", "float64", "complex64", "complex128", "category[", "datetime64[", "timedelta64["};
  static const uint8_t widths[] = {1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8, 16, 2, 8, 8};
  for (int i = 0; i < 18; i++) {
    const char *behind = type + strlen(words[i]);
    if (strncmp(type, words[i], strlen(words[i]))) continue;
    if (i < 15 ? behind == end : i == 15 || strchr(behind, ']') == end - 1) return widths[i];
  }
  return 0;
}
static int dsr_fields(dsr_file *file) { /* and that they lie in a head by the rule */
  const char *at = dsr_skip(file->json) ? dsr_member(file->json, "fields") : "";
  DSR_NEED(*at == '[', DSR_CORRUPT, 40);
  for (at++; *(at += strspn(at, " \t\r\n,")) == '{'; at = dsr_skip(at)) {
    const char *type = dsr_member(at, "type");
    DSR_NEED(*type == '"' && file->field_count < 4096, DSR_CORRUPT, 40);
    const char *end = dsr_skip(type) - 1;
    int is_optional = end[-1] == '?';
    uint64_t width = dsr_width(type + 1, end - is_optional);
    uint64_t payload = width ? DSR_NONE : file->payload_count++;
    DSR_NEED(width || *dsr_member(at, "payload"), DSR_UNSUPPORTED, 40);
    file->fields[file->field_count++] = (dsr_field){at, payload, width, 0, width && is_optional};
  }
  uint64_t end = 16 + 12 * file->payload_count;
  for (uint64_t width = 16; width; width /= 2)
    for (dsr_field *field = file->fields; field->json; field++) {
      if (field->width != width) continue;
      field->at = (end + width - 1) / width * width;
      end = field->at + width;
    }
  for (dsr_field *field = file->fields; field->json; field++) {
    if (field->present) field->present = end++;
    const char *key = field->width ? "at" : "payload";
    DSR_NEED(dsr_states(field->json, key, field->width ? field->at : field->payload), DSR_CORRUPT, 40);
    DSR_NEED(!field->present || dsr_states(field->json, "present", field->present), DSR_CORRUPT, 40);
  }
  file->head = (end + 7) / 8 * 8;
  DSR_NEED(file->field_count && dsr_states(file->json, "head", file->head), DSR_CORRUPT, 40);
  return DSR_OK;
}
static int dsr_header(dsr_file *file) {
  const uint8_t *rec = file->rec;
  DSR_NEED(file->size >= 40 && !memcmp(rec, "\x89" "DSR\r\n\x1a\n", 8), DSR_CORRUPT, 0);
  DSR_NEED(dsr_number(rec + 12, 3) == 2, DSR_UNSUPPORTED, 12); /* the version, and no read flag */
  uint64_t start = dsr_u32(rec + 16), length = dsr_u32(rec + 20);
  DSR_NEED(start % 4096 == 0 && start <= 1 << 24 && 40 + length <= start, DSR_CORRUPT, 16);
  DSR_NEED(start <= file->size && dsr_crc(0, rec + 12, start - 12) == dsr_u32(rec + 8), DSR_CORRUPT, 8);
  file->start = start;
  file->seed = dsr_crc(0, rec + 24, 16);
  file->json = calloc(1, length + 1);
  file->fields = calloc(4096 + 1, sizeof *file->fields); /* the last has no JSON */
  DSR_NEED(file->json && file->fields, DSR_NO_MEMORY, 0);
  memcpy(file->json, rec + 40, length);
  return dsr_fields(file);
}

/* Frames. */
static int dsr_is_pending(int kind) { return kind == DSR_PENDING || kind == DSR_REVISION; }
static int dsr_is_record(int kind) { return kind == DSR_RECORD || dsr_is_pending(kind); }
static int dsr_verify(dsr_file *file, uint64_t at, const uint8_t *head, uint32_t check, dsr_frame *frame) {
  uint64_t size = dsr_number(head + 8, 6), least = 16, covered = size;
  int kind = head[14];
  *frame = (dsr_frame){at, size, head, check, kind};
  if (kind == DSR_COMMIT) least = 40;
  if (kind == DSR_METADATA) least = 24;
  if (kind >= DSR_SKIPPED) least = covered = 32;
  if (dsr_is_record(kind)) least = covered = file->head;
  if (kind == DSR_REVISION) least += 8 * file->payload_count + 8;
  DSR_NEED(head[15] == 0xD5 && kind && (kind != DSR_REVISION || file->payload_count), DSR_CORRUPT, at);
  DSR_NEED(size % 8 == 0 && least <= size && size <= file->size - at, DSR_CORRUPT, at);
  DSR_NEED(!dsr_is_pending(kind) || !dsr_u32(head + 4), DSR_CORRUPT, at);
  file->hashed += covered;
  DSR_NEED(check == (dsr_crc(file->seed, head + 4, covered - 4) ^ (uint32_t)(at / 8)), DSR_CORRUPT, at);
  return DSR_OK;
}
static int dsr_frame_at(dsr_file *file, uint64_t at, dsr_frame *frame) {
  DSR_NEED(at <= file->size && file->size - at >= 16, DSR_CORRUPT, at);
  return dsr_verify(file, at, file->rec + at, dsr_u32(file->rec + at), frame);
}
/* Where the payloads are; and the checksum of the one that is wanted, or of all that lie in this frame. */
static int dsr_payload(dsr_file *file, const dsr_frame *frame, uint64_t wanted, int all, dsr_value *value) {
  uint64_t count = file->payload_count, at = frame->at, next = at + file->head, end = at + frame->size;
  const uint8_t *sizes = frame->head + 16, *table = frame->kind == DSR_REVISION ? file->rec + next : NULL;
  if (table) {
    uint32_t check = frame->check;
    uint8_t bytes[] = {check & 255, check >> 8 & 255, check >> 16 & 255, check >> 24};
    uint32_t right = dsr_crc(dsr_crc(0, bytes, 4), table, 8 * count);
    DSR_NEED(dsr_u64(table + 8 * count) == right, DSR_CORRUPT, next);
    next += 8 * count + 8;
  }
  for (uint64_t i = 0; i < count; i++) {
    uint64_t stated = dsr_u64(sizes + 8 * i), size = stated == DSR_NONE ? 0 : stated;
    uint64_t offset = table ? dsr_u64(table + 8 * i) : size ? next : 0;
    int is_new = size && offset == next && size <= end - next;
    int is_old = offset < at && offset % 8 == 0 && offset >= file->start && size <= at - offset;
    DSR_NEED(size ? is_new || is_old : !offset, DSR_CORRUPT, at);
    if (is_new) next += (size + 7) / 8 * 8;
    if (i != wanted && !(all && is_new)) continue;
    DSR_NEED(dsr_crc(0, file->rec + offset, size) == dsr_u32(sizes + 8 * count + 4 * i), DSR_CORRUPT, offset);
    *value = (dsr_value){stated == DSR_NONE ? NULL : file->rec + offset, size};
  }
  DSR_NEED(next == end, DSR_CORRUPT, at);
  return DSR_OK;
}

/* The log. */
static int dsr_commit(dsr_file *file, const dsr_frame *commit, uint64_t pending, uint32_t checks) {
  const uint8_t *head = commit->head, *numbers = head + 40;
  uint64_t at = commit->at, n = (commit->size - 40) / 8, op = dsr_u32(head + 36), from = 0, kept = 0;
  DSR_NEED(dsr_u64(head + 16) == file->end && dsr_u64(head + 24) == pending, DSR_CORRUPT, at);
  DSR_NEED(dsr_u32(head + 32) == checks, DSR_CORRUPT, at);
  DSR_NEED(op <= DSR_DELETE, DSR_UNSUPPORTED, at);
  DSR_NEED(op != DSR_DELETE || n % 2 == 0, DSR_CORRUPT, at);
  file->count += pending;
  for (uint64_t i = 0; op == DSR_TAKE_LAST && i < n; i++) {
    uint64_t position = dsr_u64(numbers + 8 * i);
    DSR_NEED(position < file->count, DSR_CORRUPT, at);
    file->list[position] = file->list[--file->count];
  }
  for (uint64_t i = 0; op == DSR_DELETE && i <= n; i += 2) { /* behind the last range: the rest */
    uint64_t start = i < n ? dsr_u64(numbers + 8 * i) : file->count;
    uint64_t stop = i < n ? dsr_u64(numbers + 8 * i + 8) : file->count + 1;
    DSR_NEED(from <= start && start < stop && stop <= file->count + (i == n), DSR_CORRUPT, at);
    while (from < start) file->list[kept++] = file->list[from++];
    from = stop;
  }
  if (op == DSR_DELETE) file->count = kept;
  return DSR_OK;
}
static int dsr_log(dsr_file *file, uint64_t durable, uint64_t vouched) { /* what it means */
  uint64_t at = dsr_u64(file->slot + 48), pending = 0;
  uint32_t checks = 0;
  dsr_frame frame;
  dsr_value value;
  file->count = dsr_u64(file->slot + 40);
  file->check = dsr_u32(file->slot + 64);
  file->metadata = dsr_u64(file->slot + 88);
  file->end = file->batch = at;
  for (uint64_t i = 0; i < file->count; i++) file->list[i] = DSR_ROW + i;
  for (; at < file->size && !dsr_frame_at(file, at, &frame); at += frame.size) {
    int kind = frame.kind, is_record = dsr_is_record(kind), is_pending = dsr_is_pending(kind);
    uint32_t prev = dsr_u32(frame.head + 4), past = is_pending ? 0 : file->check;
    DSR_NEED(kind <= DSR_METADATA || kind >= DSR_SKIPPED || (prev && prev != past), DSR_UNSUPPORTED, at);
    DSR_NEED(prev == past && (is_pending || !pending || kind == DSR_COMMIT), DSR_CORRUPT, at);
    DSR_NEED(kind != DSR_COMMIT || frame.size <= 1 << 28, DSR_CORRUPT, at);
    DSR_NEED(kind != DSR_METADATA || frame.size <= 1 << 24, DSR_CORRUPT, at);
    if (is_record && dsr_payload(file, &frame, DSR_NONE, at >= durable, &value)) break;
    if (is_record) file->list[file->count + pending++] = at;
    if (is_pending) {
      checks = dsr_crc(checks, frame.head, 4);
      continue;
    }
    if (kind == DSR_COMMIT && dsr_commit(file, &frame, pending, checks)) return file->error.code;
    if (kind == DSR_METADATA) file->metadata = at;
    if (kind == DSR_RECORD) file->count++;
    file->check = frame.check;
    file->batch = file->end;
    file->end = at + frame.size;
    pending = checks = 0;
  }
  if (at == file->size) file->error = (dsr_error){DSR_CORRUPT, file->end, "a whole batch"};
  dsr_error fault = file->error;
  uint64_t most = file->hashed + 16 * file->size + (1 << 26); /* so that no file keeps us for days */
  int is_damage = file->end < vouched;
  for (at = file->end + 8; !is_damage && at < file->size; at += 8) /* is a whole frame behind it? */
    is_damage = file->hashed > most || (!dsr_frame_at(file, at, &frame) && !dsr_is_pending(frame.kind));
  file->error = fault;
  return is_damage ? DSR_CORRUPT : DSR_OK;
}

/* The index. */
static int dsr_usable(dsr_file *file, const uint8_t *slot, uint64_t idx_size) {
  uint64_t count = dsr_u64(slot + 40), covered = dsr_u64(slot + 48), last = dsr_u64(slot + 56);
  uint64_t base = dsr_u32(slot + 68), row = dsr_u32(slot + 72);
  DSR_NEED(dsr_number(slot + 12, 2) == 2 && dsr_number(slot + 14, 2) <= 1, DSR_UNSUPPORTED, 12);
  DSR_NEED(!memcmp(slot + 16, file->rec + 24, 16), DSR_STALE_VIEW, 16);
  DSR_NEED(base == 8192 + file->start && (row == 16 || row == 8 + file->head), DSR_CORRUPT, 68);
  DSR_NEED(base <= idx_size && count <= (idx_size - base) / row, DSR_CORRUPT, 40);
  DSR_NEED(dsr_u64(slot + 96) >= covered && (slot[39] | slot[87]) < 128, DSR_CORRUPT, 0); /* seq, edits */
  if (!last) {
    int is_empty = covered == file->start && !count && !memcmp(slot + 64, file->rec + 8, 4);
    DSR_NEED(is_empty, DSR_STALE_VIEW, 56);
    return DSR_OK;
  }
  DSR_NEED(last >= file->start && last <= file->size - 16, DSR_STALE_VIEW, 56);
  const uint8_t *frame = file->rec + last; /* its first 16 bytes, as they are stored */
  DSR_NEED(!memcmp(frame, slot + 64, 4) && frame[15] == 0xD5, DSR_STALE_VIEW, 56);
  DSR_NEED(frame[14] && !dsr_is_pending(frame[14]), DSR_STALE_VIEW, 56);
  DSR_NEED(last + dsr_number(frame + 8, 6) == covered, DSR_STALE_VIEW, 56);
  return DSR_OK;
}
static int dsr_index(dsr_file *file, const uint8_t *idx, uint64_t idx_size, int is_view) {
  uint64_t vouched = 0, room = 1;
  dsr_frame frame;
  file->slot = file->nothing;
  memcpy(file->nothing + 48, file->rec + 16, 4);
  memcpy(file->nothing + 64, file->rec + 8, 4);
  file->error = (dsr_error){DSR_CORRUPT, 0, "a view"};
  for (uint64_t at = 0; at <= 4096 && at + 128 <= idx_size; at += 4096) {
    const uint8_t *slot = idx + at;
    if (memcmp(slot, "\x89" "DSX\r\n\x1a\n", 8) || dsr_crc(0, slot + 12, 116) != dsr_u32(slot + 8)) continue;
    int is_ours = dsr_number(slot + 12, 2) == 2 && !memcmp(slot + 16, file->rec + 24, 16);
    if (is_ours && dsr_u64(slot + 48) > vouched) vouched = dsr_u64(slot + 48);
    if (is_ours && dsr_u64(slot + 96) > vouched) vouched = dsr_u64(slot + 96);
    is_view |= slot[14] & 1;
    if ((is_view && !(slot[14] & 1)) || dsr_usable(file, slot, idx_size)) continue;
    if (file->slot == file->nothing || dsr_u64(slot + 32) > dsr_u64(file->slot + 32)) file->slot = slot;
  }
  DSR_NEED(vouched <= file->size, DSR_CORRUPT, file->size);
  if (is_view && !(file->slot[14] & 1)) return file->error.code;
  if (is_view) file->size = vouched = dsr_u64(file->slot + 48); /* the log of a view ends there */
  int has_index = file->slot != file->nothing;
  if (has_index) file->rows = idx + dsr_u32(file->slot + 68);
  for (uint64_t at = dsr_u64(file->slot + 48); at < file->size; at += frame.size, room++)
    if (dsr_frame_at(file, at, &frame)) break;
  file->list = calloc(dsr_u64(file->slot + 40) + room, sizeof *file->list);
  DSR_NEED(file->list, DSR_NO_MEMORY, 0);
  int code = dsr_log(file, has_index ? vouched : DSR_NONE, vouched);
  if (!code && !has_index) code = dsr_log(file, file->batch, vouched); /* nothing vouched for that */
  file->warns = !has_index && (idx || file->end < file->size);
  return code;
}

/* What is for others: open, then read and get as often as you like, then close, also after an error. */
static inline int dsr_open( /* with is_view, idx must be a view */
    dsr_file *file, const void *rec, uint64_t size, const void *idx, uint64_t idx_size, int is_view) {
  *file = (dsr_file){.rec = rec, .size = size};
  int code = dsr_header(file);
  if (!code) code = dsr_index(file, idx, idx ? idx_size : 0, is_view);
  if (code) file->count = 0;
  return code;
}
static inline void dsr_close(dsr_file *file) {
  free(file->json);
  free(file->fields);
  free(file->list);
  *file = (dsr_file){0};
}
static inline int dsr_read(dsr_file *file, uint64_t i, dsr_frame *frame) { /* the head of record i */
  DSR_NEED(i < file->count, DSR_NOT_THERE, 0);
  uint64_t number = file->list[i] - DSR_ROW;
  if (file->list[i] < DSR_ROW) return dsr_frame_at(file, file->list[i], frame);
  uint64_t size = dsr_u32(file->slot + 72), is_long = size > 16;
  const uint8_t *row = file->rows + number * size, *head = row + 8;
  uint64_t at = dsr_u64(row);
  uint32_t eighths = dsr_u32(row + 8), check = dsr_u32(row + (is_long ? 8 : 12));
  check ^= (uint32_t)(number * 0x9E3779B1) ^ dsr_u32(file->slot + 76);
  DSR_NEED(at % 8 == 0 && at >= file->start && at < file->end, DSR_CORRUPT, at);
  DSR_NEED(file->head <= file->end - at, DSR_CORRUPT, at);
  if (!is_long) head = file->rec + at;
  DSR_NEED(dsr_is_record(head[14]), DSR_CORRUPT, at);
  if (dsr_verify(file, at, head, check, frame)) return file->error.code;
  DSR_NEED(frame->size <= file->end - at && (is_long || dsr_u32(head) == check), DSR_CORRUPT, at);
  DSR_NEED(is_long || eighths == UINT32_MAX || eighths == frame->size / 8, DSR_CORRUPT, at);
  return DSR_OK;
}
static inline int dsr_get(dsr_file *file, const dsr_frame *frame, const dsr_field *field, dsr_value *value) {
  if (dsr_payload(file, frame, field->payload, 0, value)) return file->error.code;
  int is_none = field->present && !frame->head[field->present];
  if (field->width) *value = (dsr_value){is_none ? NULL : frame->head + field->at, field->width};
  return DSR_OK;
}
static inline int dsr_metadata(dsr_file *file, dsr_value *value) { /* a JSON object, not parsed */
  const char *json = dsr_member(file->json, "metadata");
  dsr_frame frame;
  *value = (dsr_value){(const uint8_t *)json, *json ? (uint64_t)(dsr_skip(json) - json) : 0};
  if (!file->metadata) return DSR_OK;
  if (dsr_frame_at(file, file->metadata, &frame)) return file->error.code;
  uint64_t length = dsr_u64(frame.head + 16);
  DSR_NEED(frame.kind == DSR_METADATA && length > 1 && length <= frame.size - 24, DSR_CORRUPT, frame.at);
  DSR_NEED(length + 7 >= frame.size - 24, DSR_CORRUPT, frame.at);
  DSR_NEED(frame.head[24] == '{' && frame.head[23 + length] == '}', DSR_CORRUPT, frame.at);
  *value = (dsr_value){frame.head + 24, length};
  return DSR_OK;
}
#endif
