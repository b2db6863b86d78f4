/* Reads DSRecords files, version 2 of the format (docs/records-format.md). C99, no dependency.

     if (dsr_open(&file, rec, rec_size, idx, idx_size, 0)) complain(&file.error);
     for (uint64_t i = 0; i < file.count; i++)
       if (!dsr_get(&file, i, &file.fields[0], &value)) use(value.bytes, value.size);
     dsr_close(&file);

   `rec` and `idx` (NULL if there is none) are the bytes of the files, which must stay as they are.
   A value is a piece of them: a number, little-endian, or a payload; NULL is None. Functions return
   0, or the code in file.error. Checksums are verified at each use. One thread at a time. */
#ifndef DSRECORDS_H
#define DSRECORDS_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
enum { DSR_OK, DSR_CORRUPT, DSR_UNSUPPORTED, DSR_STALE_VIEW, DSR_NO_MEMORY, DSR_NOT_THERE };
enum { DSR_RECORD = 1, DSR_PENDING, DSR_COMMIT, DSR_REVISION, DSR_METADATA, DSR_SKIPPED = 128 };
enum { DSR_TAKE_LAST = 1, DSR_DELETE };
typedef struct { int code; uint64_t offset; const char *needed; } dsr_error; /* offset: in rec */
typedef struct { const uint8_t *bytes; uint64_t size; } dsr_value;
typedef struct { const char *json; uint64_t payload, width, at, present; } dsr_field;
typedef struct { uint64_t at, size, table; const uint8_t *head; uint32_t check; } dsr_frame;
typedef struct { uint64_t count, end, metadata; uint32_t check; } dsr_list;
typedef struct {
  dsr_error error;
  uint64_t count, field_count; /* count: of records */
  dsr_field *fields; /* dsr_member(field.json, "name") is its name, as JSON; width 0: a payload */
  int warns; /* the index could not be used; or the file may have been cut, and no index tells */
  char *json; /* of the header; from here on: private */
  const uint8_t *rec, *slot, *rows; /* slot: of the index, if one can be used */
  uint64_t size, start, head, payload_count, batch, hashed, *offsets;
  dsr_list list; /* what the log means, up to its end */
  uint32_t id_crc, crcs[256];
} dsr_file;
#define DSR_NONE UINT64_MAX
#define DSR_NEW (UINT64_MAX - 1) /* the payloads that lie in the frame itself */
#define DSR_ROW (UINT64_MAX / 2 + 1) /* in offsets: the number of a row of the index */
#define DSR_NEED(condition, otherwise, where) do { \
  if (!(condition)) return (file->error = (dsr_error){otherwise, where, #condition}).code; \
} while (0)
#define DSR_RIGHT(condition, where) DSR_NEED(condition, DSR_CORRUPT, where)

static uint64_t dsr_int(const uint8_t *bytes, int width) {
  uint64_t number = 0;
  while (width--) number = number << 8 | bytes[width];
  return number;
}
static uint32_t dsr_crc(dsr_file *file, uint32_t crc, const uint8_t *bytes, uint64_t size) {
  crc = ~crc;
  for (uint64_t i = 0; i < size; i++) crc = crc >> 8 ^ file->crcs[(crc ^ bytes[i]) & 255];
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
static const char *dsr_member(const char *object, const char *key) { /* "" if none, or two */
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
static uint64_t dsr_width(const char *type, uint64_t length) { /* of a scalar; 0 of other types */
  static const struct { const char *name; uint8_t width; } known[] = {
    {"bool", 1}, {"int8", 1}, {"int16", 2}, {"int32", 4}, {"int64", 8}, {"uint8", 1},
    {"uint16", 2}, {"uint32", 4}, {"uint64", 8}, {"float16", 2}, {"bfloat16", 2}, {"float32", 4},
    {"float64", 8}, {"complex64", 8}, {"complex128", 16}, {"datetime64[", 8}, {"timedelta64[", 8},
    {"category[", 2}};
  for (int i = 0; i < 18; i++) {
    uint64_t own = strlen(known[i].name), first = i < 15 ? own : strcspn(type, "]") + 1;
    if (strncmp(type, known[i].name, own)) continue;
    if (first == length || i == 17) return known[i].width; /* and not datetime64[s][3] */
  }
  return 0;
}
static int dsr_fields(dsr_file *file) { /* and that they lie in a head by the rule */
  const char *at = dsr_skip(file->json) ? dsr_member(file->json, "fields") : "";
  DSR_RIGHT(*at == '[', 40);
  for (at++; *(at += strspn(at, " \t\r\n,")) == '{'; at = dsr_skip(at)) {
    const char *type = dsr_member(at, "type");
    DSR_RIGHT(*type == '"' && file->field_count < 4096, 40);
    uint64_t length = dsr_skip(type) - type - 2, is_optional = type[length] == '?';
    uint64_t width = dsr_width(type + 1, length - is_optional);
    uint64_t payload = width ? DSR_NONE : file->payload_count++;
    DSR_NEED(width || *dsr_member(at, "payload"), DSR_UNSUPPORTED, 40);
    DSR_RIGHT(width || dsr_states(at, "payload", payload), 40);
    file->fields[file->field_count++] = (dsr_field){at, payload, width, 0, width && is_optional};
  }
  uint64_t end = 16 + 12 * file->payload_count;
  for (uint64_t width = 16; width; width /= 2)
    for (dsr_field *field = file->fields; field->json; field++) {
      if (field->width != width) continue;
      field->at = (end + width - 1) / width * width;
      DSR_RIGHT(dsr_states(field->json, "at", field->at), 40);
      end = field->at + width;
    }
  for (dsr_field *field = file->fields; field->json; field++) {
    if (!field->present) continue;
    field->present = end++;
    DSR_RIGHT(dsr_states(field->json, "present", field->present), 40);
  }
  file->head = (end + 7) / 8 * 8;
  DSR_RIGHT(file->field_count && dsr_states(file->json, "head", file->head), 40);
  return DSR_OK;
}
static int dsr_header(dsr_file *file, const uint8_t *rec, uint64_t size) {
  *file = (dsr_file){.rec = rec, .size = size};
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    file->crcs[i] = crc;
  }
  DSR_RIGHT(size >= 40 && !memcmp(rec, "\x89" "DSR\r\n\x1a\n", 8), 0);
  DSR_NEED(dsr_int(rec + 12, 3) == 2, DSR_UNSUPPORTED, 12); /* the version, and no read flag */
  uint64_t start = dsr_int(rec + 16, 4), length = dsr_int(rec + 20, 4);
  DSR_RIGHT(start % 4096 == 0 && start <= 1 << 24 && 40 + length <= start && start <= size, 16);
  DSR_RIGHT(dsr_crc(file, 0, rec + 12, start - 12) == dsr_int(rec + 8, 4), 8);
  file->start = start;
  file->id_crc = dsr_crc(file, 0, rec + 24, 16);
  file->json = calloc(1, length + 1);
  file->fields = calloc(4096 + 1, sizeof *file->fields); /* the last has no JSON */
  DSR_NEED(file->json && file->fields, DSR_NO_MEMORY, 0);
  memcpy(file->json, rec + 40, length);
  return dsr_fields(file);
}

/* Frames. */
static int dsr_is_pending(int kind) { return kind == DSR_PENDING || kind == DSR_REVISION; }
static int dsr_is_record(int kind) { return kind == DSR_RECORD || dsr_is_pending(kind); }
static int dsr_verify(dsr_file *file, dsr_frame *frame) { /* its head, which may lie in a row */
  const uint8_t *head = frame->head;
  uint64_t at = frame->at, size = dsr_int(head + 8, 6), least = 16, covered = size;
  int kind = head[14];
  frame->size = size;
  frame->table = kind == DSR_REVISION ? 8 * file->payload_count + 8 : 0;
  if (kind == DSR_COMMIT) least = 40;
  if (kind == DSR_METADATA) least = 24;
  if (kind >= DSR_SKIPPED) least = covered = 32;
  if (dsr_is_record(kind)) least = covered = file->head;
  DSR_RIGHT(kind && head[15] == 0xD5 && frame->table != 8, at); /* 8: no payloads to revise */
  DSR_RIGHT(size % 8 == 0 && least + frame->table <= size && size <= file->size - at, at);
  DSR_RIGHT(!dsr_is_pending(kind) || !dsr_int(head + 4, 4), at);
  uint32_t crc = dsr_crc(file, file->id_crc, head + 4, covered - 4);
  file->hashed += covered;
  DSR_RIGHT(frame->check == (crc ^ (uint32_t)(at / 8)), at);
  return DSR_OK;
}
static int dsr_frame_at(dsr_file *file, uint64_t at, dsr_frame *frame) {
  DSR_RIGHT(at <= file->size && file->size - at >= 16, at);
  *frame = (dsr_frame){.at = at, .head = file->rec + at, .check = dsr_int(file->rec + at, 4)};
  return dsr_verify(file, frame);
}
/* Where the payloads are; and the checksum of the one that is wanted, or of DSR_NEW. */
static int dsr_payload(dsr_file *file, const dsr_frame *frame, uint64_t wanted, dsr_value *value) {
  uint64_t count = file->payload_count, at = frame->at, next = at + file->head;
  uint64_t end = at + frame->size;
  const uint8_t *sizes = frame->head + 16, *crcs = sizes + 8 * count, *table = file->rec + next;
  if (frame->table) {
    uint32_t c = frame->check;
    uint8_t check[] = {c & 255, c >> 8 & 255, c >> 16 & 255, c >> 24};
    uint32_t crc = dsr_crc(file, dsr_crc(file, 0, check, 4), table, 8 * count);
    DSR_RIGHT(dsr_int(table + 8 * count, 8) == crc, next);
    next += frame->table;
  }
  for (uint64_t i = 0; i < count; i++) {
    uint64_t stated = dsr_int(sizes + 8 * i, 8), size = stated == DSR_NONE ? 0 : stated;
    uint64_t offset = frame->table ? dsr_int(table + 8 * i, 8) : size ? next : 0;
    int is_new = size && offset == next && size <= end - next;
    int is_old = offset < at && offset % 8 == 0 && offset >= file->start && size <= at - offset;
    DSR_RIGHT(size ? is_new || is_old : !offset, at);
    if (is_new) next += (size + 7) / 8 * 8;
    if (i != wanted && !(wanted == DSR_NEW && is_new)) continue;
    DSR_RIGHT(dsr_crc(file, 0, file->rec + offset, size) == dsr_int(crcs + 4 * i, 4), offset);
    *value = (dsr_value){stated == DSR_NONE ? NULL : file->rec + offset, size};
  }
  DSR_RIGHT(next == end, at);
  return DSR_OK;
}

/* The log. */
static int dsr_commit(dsr_file *file, const dsr_frame *frame, uint64_t pending, uint32_t checks) {
  const uint8_t *head = frame->head, *numbers = head + 40;
  uint64_t at = frame->at, n = (frame->size - 40) / 8, op = dsr_int(head + 36, 4);
  uint64_t from = 0, kept = 0, *offsets = file->offsets, *count = &file->list.count;
  DSR_RIGHT(dsr_int(head + 16, 8) == file->list.end && dsr_int(head + 24, 8) == pending, at);
  DSR_RIGHT(dsr_int(head + 32, 4) == checks, at);
  DSR_NEED(op <= DSR_DELETE, DSR_UNSUPPORTED, at);
  DSR_RIGHT(op != DSR_DELETE || n % 2 == 0, at);
  *count += pending;
  for (uint64_t i = 0; op == DSR_TAKE_LAST && i < n; i++) {
    uint64_t position = dsr_int(numbers + 8 * i, 8);
    DSR_RIGHT(position < *count, at);
    offsets[position] = offsets[--*count];
  }
  if (op != DSR_DELETE) return DSR_OK;
  for (uint64_t i = 0; i < n; i += 2) {
    uint64_t start = dsr_int(numbers + 8 * i, 8), stop = dsr_int(numbers + 8 * i + 8, 8);
    DSR_RIGHT(from <= start && start < stop && stop <= *count, at);
    while (from < start) offsets[kept++] = offsets[from++];
    from = stop;
  }
  while (from < *count) offsets[kept++] = offsets[from++];
  *count = kept;
  return DSR_OK;
}
/* What it means, from the list that an index knows on; payloads are verified from `durable` on. */
static int dsr_log(dsr_file *file, dsr_list known, uint64_t durable, uint64_t vouched) {
  uint64_t at = known.end, pending = 0, room = known.count + 1;
  uint32_t checks = 0;
  dsr_frame frame;
  dsr_value value;
  for (; at < file->size && !dsr_frame_at(file, at, &frame); at += frame.size) room++;
  free(file->offsets);
  file->offsets = calloc(room, sizeof *file->offsets);
  DSR_NEED(file->offsets, DSR_NO_MEMORY, 0);
  for (uint64_t i = 0; i < known.count; i++) file->offsets[i] = DSR_ROW + i;
  file->list = known;
  file->batch = at = known.end;
  for (; at < file->size && !dsr_frame_at(file, at, &frame); at += frame.size) {
    int kind = frame.head[14], is_pending = dsr_is_pending(kind), is_record = dsr_is_record(kind);
    uint32_t prev = dsr_int(frame.head + 4, 4), past = is_pending ? 0 : file->list.check;
    int is_known = kind <= DSR_METADATA || kind >= DSR_SKIPPED;
    DSR_NEED(is_known || (prev && prev != past), DSR_UNSUPPORTED, at);
    DSR_RIGHT(prev == past && (is_pending || !pending || kind == DSR_COMMIT), at);
    DSR_RIGHT(kind != DSR_COMMIT || frame.size <= 1 << 28, at);
    DSR_RIGHT(kind != DSR_METADATA || frame.size <= 1 << 24, at);
    uint64_t wanted = at < durable ? DSR_NONE : DSR_NEW;
    if (is_record && dsr_payload(file, &frame, wanted, &value)) break;
    if (is_record) file->offsets[file->list.count + pending++] = at;
    if (is_pending) {
      checks = dsr_crc(file, checks, frame.head, 4);
      continue;
    }
    if (kind == DSR_COMMIT && dsr_commit(file, &frame, pending, checks)) return file->error.code;
    if (kind == DSR_METADATA) file->list.metadata = at;
    if (kind == DSR_RECORD) file->list.count++;
    file->list.check = frame.check;
    file->batch = file->list.end;
    file->list.end = at + frame.size;
    pending = checks = 0;
  }
  if (at == file->size) file->error = (dsr_error){DSR_CORRUPT, file->list.end, "a whole batch"};
  dsr_error fault = file->error;
  uint64_t most = file->hashed + 16 * file->size + (1 << 26); /* no file keeps us for days */
  int is_damage = file->list.end < vouched;
  for (at = file->list.end + 8; !is_damage && at < file->size; at += 8) { /* a frame behind it? */
    int is_frame = !dsr_frame_at(file, at, &frame) && !dsr_is_pending(frame.head[14]);
    is_damage = is_frame || file->hashed > most;
  }
  file->error = fault;
  if (!is_damage) file->count = file->list.count;
  return is_damage ? DSR_CORRUPT : DSR_OK;
}

/* The index. */
static int dsr_usable(dsr_file *file, const uint8_t *slot, uint64_t idx_size) {
  uint64_t count = dsr_int(slot + 40, 8), covered = dsr_int(slot + 48, 8);
  uint64_t last = dsr_int(slot + 56, 8), base = dsr_int(slot + 68, 4), row = dsr_int(slot + 72, 4);
  DSR_NEED(dsr_int(slot + 12, 2) == 2 && dsr_int(slot + 14, 2) <= 1, DSR_UNSUPPORTED, 12);
  DSR_NEED(!memcmp(slot + 16, file->rec + 24, 16), DSR_STALE_VIEW, 16);
  DSR_RIGHT(base == 8192 + file->start && (row == 16 || row == 8 + file->head), 68);
  DSR_RIGHT(base <= idx_size && count <= (idx_size - base) / row, 40);
  DSR_RIGHT(dsr_int(slot + 96, 8) >= covered && (slot[39] | slot[87]) < 128, 0); /* seq, edits */
  DSR_NEED(!last || (last >= file->start && last <= file->size - 16), DSR_STALE_VIEW, 56);
  const uint8_t *frame = file->rec + last; /* its first 16 bytes, as they are stored */
  int is_chained = frame[15] == 0xD5 && frame[14] && !dsr_is_pending(frame[14]);
  int is_same = is_chained && last + dsr_int(frame + 8, 6) == covered;
  if (!last) is_same = covered == file->start && !count;
  DSR_NEED(is_same && !memcmp(last ? frame : frame + 8, slot + 64, 4), DSR_STALE_VIEW, 56);
  return DSR_OK;
}
static int dsr_record(dsr_file *file, uint64_t i, dsr_frame *frame) {
  DSR_NEED(i < file->count, DSR_NOT_THERE, 0);
  uint64_t offset = file->offsets[i], number = offset - DSR_ROW;
  if (offset < DSR_ROW) return dsr_frame_at(file, offset, frame);
  uint64_t width = dsr_int(file->slot + 72, 4);
  const uint8_t *row = file->rows + number * width;
  int is_long = width > 16;
  uint64_t at = dsr_int(row, 8), eighths = dsr_int(row + 8, 4);
  uint32_t check = dsr_int(row + (is_long ? 8 : 12), 4);
  check ^= (uint32_t)(number * 0x9E3779B1) ^ dsr_int(file->slot + 76, 4);
  DSR_RIGHT(at % 8 == 0 && at >= file->start && at < file->list.end, at);
  DSR_RIGHT(file->head <= file->list.end - at, at);
  *frame = (dsr_frame){.at = at, .head = is_long ? row + 8 : file->rec + at, .check = check};
  DSR_RIGHT(dsr_is_record(frame->head[14]), at);
  if (dsr_verify(file, frame)) return file->error.code;
  DSR_RIGHT(frame->size <= file->list.end - at, at);
  DSR_RIGHT(is_long || dsr_int(frame->head, 4) == check, at);
  DSR_RIGHT(is_long || eighths == UINT32_MAX || eighths == frame->size / 8, at);
  return DSR_OK;
}

/* What is for others: open, then get as often as you like, then close, also after an error. */
static inline int dsr_open( /* is_view: idx must be a view */
    dsr_file *file, const void *rec, uint64_t size, const void *idx, uint64_t idx_size,
    int is_view) {
  uint64_t vouched = 0;
  if (dsr_header(file, rec, size)) return file->error.code;
  file->error = (dsr_error){DSR_CORRUPT, 0, "a view"};
  for (uint64_t at = 0; idx && at <= 4096 && at + 128 <= idx_size; at += 4096) {
    const uint8_t *slot = (const uint8_t *)idx + at;
    if (memcmp(slot, "\x89" "DSX\r\n\x1a\n", 8)) continue;
    if (dsr_crc(file, 0, slot + 12, 116) != dsr_int(slot + 8, 4)) continue;
    int is_ours = dsr_int(slot + 12, 2) == 2 && !memcmp(slot + 16, file->rec + 24, 16);
    for (int place = 48; is_ours && place <= 96; place += 48) /* covered, end */
      if (dsr_int(slot + place, 8) > vouched) vouched = dsr_int(slot + place, 8);
    is_view |= slot[14] & 1;
    if ((is_view && !(slot[14] & 1)) || dsr_usable(file, slot, idx_size)) continue;
    if (!file->slot || dsr_int(slot + 32, 8) > dsr_int(file->slot + 32, 8)) file->slot = slot;
  }
  DSR_RIGHT(vouched <= file->size, file->size);
  if (is_view && (!file->slot || !(file->slot[14] & 1))) return file->error.code;
  if (!file->slot) {
    dsr_list empty = {.end = file->start, .check = dsr_int(file->rec + 8, 4)};
    int code = dsr_log(file, empty, DSR_NONE, vouched);
    if (!code) code = dsr_log(file, empty, file->batch, vouched); /* the last payloads, too */
    file->warns = idx || file->list.end < file->size;
    return code;
  }
  file->rows = (const uint8_t *)idx + dsr_int(file->slot + 68, 4);
  dsr_list known = {
    .count = dsr_int(file->slot + 40, 8), .end = dsr_int(file->slot + 48, 8),
    .metadata = dsr_int(file->slot + 88, 8), .check = dsr_int(file->slot + 64, 4)};
  if (is_view) file->size = vouched = known.end; /* the log of a view ends there */
  return dsr_log(file, known, vouched, vouched);
}
static inline void dsr_close(dsr_file *file) {
  free(file->json);
  free(file->fields);
  free(file->offsets);
  *file = (dsr_file){0};
}
static inline int dsr_get(dsr_file *file, uint64_t i, const dsr_field *field, dsr_value *value) {
  dsr_frame frame;
  if (dsr_record(file, i, &frame)) return file->error.code;
  if (dsr_payload(file, &frame, field->payload, value)) return file->error.code;
  int is_none = field->present && !frame.head[field->present];
  if (field->width) *value = (dsr_value){is_none ? NULL : frame.head + field->at, field->width};
  return DSR_OK;
}
static inline int dsr_metadata(dsr_file *file, dsr_value *value) { /* a JSON object, not parsed */
  const char *json = dsr_member(file->json, "metadata");
  dsr_frame frame;
  *value = (dsr_value){(const uint8_t *)json, *json ? (uint64_t)(dsr_skip(json) - json) : 0};
  if (!file->list.metadata) return DSR_OK;
  if (dsr_frame_at(file, file->list.metadata, &frame)) return file->error.code;
  DSR_RIGHT(frame.head[14] == DSR_METADATA, frame.at);
  uint64_t length = dsr_int(frame.head + 16, 8), room = frame.size - 24;
  DSR_RIGHT(length > 1 && length <= room && length + 7 >= room, frame.at);
  DSR_RIGHT(frame.head[24] == '{' && frame.head[23 + length] == '}', frame.at);
  *value = (dsr_value){frame.head + 24, length};
  return DSR_OK;
}
#endif
