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
enum { DSR_OK, DSR_CORRUPT, DSR_UNSUPPORTED, DSR_STALE_VIEW, DSR_NO_MEMORY, DSR_NOT_THERE, DSR_MISPLACED };
enum { DSR_RECORD = 1, DSR_PENDING, DSR_COMMIT, DSR_REVISION, DSR_METADATA, DSR_SKIPPED = 128 };
typedef struct { int code; uint64_t offset; const char *message; int64_t payload; } dsr_error; /* or -1 */
typedef struct { const uint8_t *bytes; uint64_t size, offset; } dsr_value;
typedef struct { uint64_t at, size; uint32_t check, prev; int kind; const uint8_t *head; } dsr_frame;
typedef struct { const char *name, *type, *dict; int64_t payload, at, present, width; } dsr_field; /* JSON */
typedef struct {
  dsr_error error;
  int warns; /* the index could not be used; or the file may have been cut, and no index tells */
  uint64_t count; /* of records */
  int64_t field_count, payload_count;
  dsr_field *fields;
  char *json; /* of the header; from here on: private */
  const uint8_t *rec, *rows;
  uint64_t size, start, head, row, room, *list, end, metadata; /* list: NULL as long as it is the rows */
  uint32_t table[256], seed, check, salt;
} dsr_file;
#define DSR_ROW ((uint64_t)1 << 63) /* in the list: the number of a row, not an offset */
#define DSR_NEED(condition, wrong, where, words) \
  do { if (!(condition)) return (file->error = (dsr_error){wrong, where, words, -1}).code; } while (0)

static uint64_t dsr_number(const uint8_t *bytes, int width) {
  uint64_t number = 0;
  while (width--) number = number << 8 | bytes[width];
  return number;
}
static uint32_t dsr_u32(const uint8_t *bytes) { return (uint32_t)dsr_number(bytes, 4); }
static uint64_t dsr_u64(const uint8_t *bytes) { return dsr_number(bytes, 8); }
static uint32_t dsr_crc(const dsr_file *file, uint32_t crc, const uint8_t *bytes, uint64_t size) {
  for (crc = ~crc; size--; bytes++) crc = crc >> 8 ^ file->table[(crc ^ *bytes) & 255];
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
static const char *dsr_member(const char *at, const char *key) { /* NULL if there is none, "" if two */
  const char *found = NULL;
  for (at++; at && *(at += strspn(at, " \t\r\n,")) == '"';) {
    const char *name = at + 1, *value = dsr_skip(at);
    value += strspn(value, " \t\r\n:");
    if (!strncmp(name, key, strlen(key)) && name[strlen(key)] == '"') found = found ? "" : value;
    at = dsr_skip(value);
  }
  return found;
}
static int64_t dsr_stated(const char *object, const char *key) { /* a number; -1 if there is none */
  const char *at = dsr_member(object, key);
  return at && strspn(at, "0123456789") && dsr_skip(at) - at < 12 ? strtoll(at, NULL, 10) : -1;
}
static int dsr_width(const char *type, const char *end) { /* of a scalar, in bytes; 0 of other types */
  static const struct { const char *word; int width; } scalars[] = {
    {"bool", 1}, {"int8", 1}, {"uint8", 1}, {"int16", 2}, {"uint16", 2}, {"float16", 2}, {"bfloat16", 2},
    {"int32", 4}, {"uint32", 4}, {"float32", 4}, {"int64", 8}, {"uint64", 8}, {"float64", 8},
    {"complex64", 8}, {"complex128", 16}, {"category[", 2}, {"datetime64[", 8}, {"timedelta64[", 8}};
  for (int i = 0; i < 18; i++) {
    const char *behind = type + 1 + strlen(scalars[i].word);
    if (strncmp(type + 1, scalars[i].word, strlen(scalars[i].word))) continue;
    if (i < 15 ? behind == end : i == 15 || strchr(behind, ']') == end - 1) return scalars[i].width;
  }
  return 0;
}
static int dsr_fields(dsr_file *file) { /* and whether they lie in a head by the rule */
  const char *at = *file->json == '{' && dsr_skip(file->json) ? dsr_member(file->json, "fields") : NULL;
  DSR_NEED(at && *at == '[', DSR_CORRUPT, 40, "the header's JSON: no fields");
  for (at++; *(at += strspn(at, " \t\r\n,")) == '{'; at = dsr_skip(at)) {
    dsr_field field = {dsr_member(at, "name"), dsr_member(at, "type"), dsr_member(at, "dict"),
                       dsr_stated(at, "payload"), dsr_stated(at, "at"), dsr_stated(at, "present"), 0};
    int has_name = !field.name || *field.name == '"', has_type = field.type && *field.type == '"';
    DSR_NEED(has_name && has_type && file->field_count < 4096, DSR_CORRUPT, 40, "a field's JSON");
    const char *end = dsr_skip(field.type) - 1;
    field.width = dsr_width(field.type, end - (end[-1] == '?'));
    DSR_NEED(field.width || field.payload >= 0, DSR_UNSUPPORTED, 40, "a scalar of an unknown type");
    int64_t payload = field.width ? -1 : file->payload_count++;
    DSR_NEED(field.payload == payload, DSR_CORRUPT, 40, "another number of a payload");
    file->fields[file->field_count++] = field;
  }
  int64_t end = 16 + 12 * file->payload_count;
  for (int64_t width = 16; width >= 0; width = width > 1 ? width / 2 : width - 1) /* 0: presence bytes */
    for (dsr_field *field = file->fields; field < file->fields + file->field_count; field++) {
      int optional = field->width && dsr_skip(field->type)[-2] == '?';
      if (width ? field->width != width : !optional) continue;
      end += width ? -end & (width - 1) : 0;
      DSR_NEED((width ? field->at : field->present) == end, DSR_CORRUPT, 40, "another layout");
      if (!optional) field->present = -1;
      end += width ? width : 1;
    }
  file->head = (uint64_t)(end + 7) / 8 * 8;
  int right = file->field_count && dsr_stated(file->json, "head") == (int64_t)file->head;
  DSR_NEED(right, DSR_CORRUPT, 40, "another size of heads");
  return DSR_OK;
}

/* Frames. */
static int dsr_is_pending(int kind) { return kind == DSR_PENDING || kind == DSR_REVISION; }
static int dsr_is_record(int kind) { return kind == DSR_RECORD || dsr_is_pending(kind); }
static int dsr_check(dsr_file *file, uint64_t at, const uint8_t *head, uint32_t check, dsr_frame *frame) {
  uint64_t word = dsr_u64(head + 8), size = word & 0xFFFFFFFFFFFF;
  int kind = word >> 48 & 255, is_record = dsr_is_record(kind);
  uint64_t covered = is_record ? file->head : kind >= DSR_SKIPPED ? 32 : size;
  uint64_t table = kind == DSR_REVISION ? 8 * (uint64_t)file->payload_count + 8 : 0;
  uint64_t least = is_record || kind >= DSR_SKIPPED ? covered : 16;
  if (kind == DSR_COMMIT) least = 40;
  if (kind == DSR_METADATA) least = 24;
  int is_kind = word >> 56 == 0xD5 && kind && (kind != DSR_REVISION || file->payload_count);
  *frame = (dsr_frame){at, size, check, dsr_u32(head + 4), kind, head};
  DSR_NEED(is_kind && size % 8 == 0 && size >= least + table, DSR_CORRUPT, at, "no frame is here");
  DSR_NEED(size <= file->size - at, DSR_CORRUPT, at, "the frame is cut short");
  DSR_NEED(is_record || head == file->rec + at, DSR_CORRUPT, at, "the row is of no record");
  uint32_t right = dsr_crc(file, file->seed, head + 4, covered - 4) ^ (uint32_t)(at / 8);
  DSR_NEED(check == right, DSR_CORRUPT, at, "the frame's check is wrong");
  int fits = kind == DSR_COMMIT ? size <= 1 << 28 : kind != DSR_METADATA || size <= 1 << 24;
  DSR_NEED(fits, DSR_MISPLACED, at, "the frame is too large");
  return DSR_OK;
}
static int dsr_frame_at(dsr_file *file, uint64_t at, dsr_frame *frame) {
  DSR_NEED(file->size - at >= 16, DSR_CORRUPT, at, "the frame is cut short");
  return dsr_check(file, at, file->rec + at, dsr_u32(file->rec + at), frame);
}
static int dsr_payload(dsr_file *file, const dsr_frame *frame, uint64_t wanted, dsr_value *value) {
  uint64_t count = (uint64_t)file->payload_count;
  uint64_t next = frame->at + file->head, end = frame->at + frame->size;
  const uint8_t *sizes = frame->head + 16, *table = frame->kind == DSR_REVISION ? file->rec + next : NULL;
  uint64_t where = table ? next : frame->at;
  if (table) {
    uint8_t check[4];
    for (int i = 0; i < 4; i++) check[i] = (uint8_t)(frame->check >> 8 * i);
    uint32_t right = dsr_crc(file, dsr_crc(file, 0, check, 4), table, 8 * count);
    DSR_NEED(dsr_u64(table + 8 * count) == right, DSR_CORRUPT, where, "the table of a revision is damaged");
    next += 8 * count + 8;
  }
  *value = (dsr_value){NULL, 0, 0};
  for (uint64_t i = 0; i < count; i++) {
    uint64_t size = dsr_u64(sizes + 8 * i), offset = table ? dsr_u64(table + 8 * i) : next;
    int is_none = size == UINT64_MAX, is_there = size && !is_none, is_new = is_there && offset >= frame->at;
    int is_old = !is_new && offset % 8 == 0 && offset >= file->start && size <= frame->at - offset;
    int is_right = is_new ? offset == next && size <= end - next : is_there ? is_old : !table || !offset;
    DSR_NEED(is_right, DSR_CORRUPT, where, "a payload cannot be there");
    if (is_new) next += (size + 7) / 8 * 8;
    if (i == wanted && !is_none) *value = (dsr_value){file->rec + offset, size, offset};
  }
  DSR_NEED(next == end, DSR_CORRUPT, where, "the payloads do not fill the frame");
  uint32_t found = value->bytes ? dsr_crc(file, 0, value->bytes, value->size) : 0;
  if (wanted >= count || found == dsr_u32(sizes + 8 * count + 4 * wanted)) return DSR_OK;
  file->error = (dsr_error){DSR_CORRUPT, value->offset, "the payload's checksum is wrong", (int64_t)wanted};
  return DSR_CORRUPT;
}
static int dsr_payloads(dsr_file *file, const dsr_frame *frame) { /* those that lie in the frame */
  dsr_value value;
  for (int64_t i = 0; i < file->payload_count; i++) {
    int code = dsr_payload(file, frame, (uint64_t)i, &value);
    int is_older = value.bytes && value.offset < frame->at;
    if (code && !is_older) return code;
  }
  return DSR_OK;
}

/* The log. */
static int dsr_push(dsr_file *file, uint64_t place) {
  if (file->count >= file->room) {
    uint64_t room = file->count + file->count / 2 + 64, *list = NULL;
    if (room <= SIZE_MAX / sizeof *list) list = realloc(file->list, (size_t)room * sizeof *list);
    DSR_NEED(list, DSR_NO_MEMORY, 0, "no memory");
    for (uint64_t i = 0; !file->list && i < file->count; i++) list[i] = DSR_ROW | i;
    file->list = list;
    file->room = room;
  }
  file->list[file->count++] = place;
  return DSR_OK;
}
static int dsr_edit(dsr_file *file, const dsr_frame *commit) {
  uint64_t n = (commit->size - 40) / 8, op = dsr_u32(commit->head + 36), kept = 0, from = 0;
  const uint8_t *at = commit->head + 40;
  DSR_NEED(op <= 2, DSR_UNSUPPORTED, commit->at, "an edit of an unknown kind");
  if (dsr_push(file, 0)) return DSR_NO_MEMORY; /* so that there is a list to edit */
  file->count--;
  for (uint64_t i = 0; op == 1 && i < n; i++) {
    uint64_t position = dsr_u64(at + 8 * i);
    DSR_NEED(position < file->count, DSR_CORRUPT, commit->at, "an edit of a position that is not there");
    file->list[position] = file->list[--file->count];
  }
  if (op != 2) return DSR_OK;
  DSR_NEED(n % 2 == 0, DSR_CORRUPT, commit->at, "half a range");
  for (uint64_t i = 0; i <= n; i += 2) {
    uint64_t start = i < n ? dsr_u64(at + 8 * i) : file->count; /* behind the last range: the rest */
    uint64_t stop = i < n ? dsr_u64(at + 8 * i + 8) : start + 1;
    int is_range = from <= start && start < stop && (i == n || stop <= file->count);
    DSR_NEED(is_range, DSR_CORRUPT, commit->at, "ranges that cannot be deleted");
    if (start > from) memmove(file->list + kept, file->list + from, (start - from) * sizeof *file->list);
    kept += start - from;
    from = stop;
  }
  file->count = kept;
  return DSR_OK;
}
static int dsr_apply(dsr_file *file, uint64_t at, uint64_t end) { /* what whole batches do to the list */
  dsr_frame frame;
  uint64_t first = at, n = 0;
  uint32_t total = 0;
  for (; at < end; at += frame.size) {
    if (dsr_frame_at(file, at, &frame)) return file->error.code;
    if (dsr_is_record(frame.kind) && dsr_push(file, at)) return DSR_NO_MEMORY;
    if (dsr_is_pending(frame.kind)) {
      total = dsr_crc(file, total, frame.head, 4);
      n++;
      continue;
    }
    const uint8_t *head = frame.head;
    int is_ours = frame.kind != DSR_COMMIT || (dsr_u64(head + 16) == first && dsr_u64(head + 24) == n);
    is_ours = is_ours && (frame.kind != DSR_COMMIT || dsr_u32(head + 32) == total);
    DSR_NEED(is_ours, DSR_CORRUPT, at, "a commit of other frames");
    if (frame.kind == DSR_COMMIT && dsr_edit(file, &frame)) return file->error.code;
    if (frame.kind == DSR_METADATA) file->metadata = at;
    first = at + frame.size;
    n = total = 0;
  }
  return DSR_OK;
}
static int dsr_follows(dsr_file *file, const dsr_frame *frame, int is_first) { /* those before it */
  int is_known = frame->kind <= DSR_METADATA || frame->kind >= DSR_SKIPPED;
  int is_next = frame->prev == file->check;
  dsr_value value;
  if (dsr_is_pending(frame->kind)) {
    DSR_NEED(!frame->prev, DSR_CORRUPT, frame->at, "a pending frame that names one before it");
  } else {
    DSR_NEED(is_known || (!is_next && frame->prev), DSR_UNSUPPORTED, frame->at, "a frame of an unknown kind");
    DSR_NEED(is_next, DSR_MISPLACED, frame->at, "the frame names another one than that before it");
    DSR_NEED(frame->kind == DSR_COMMIT || is_first, DSR_MISPLACED, frame->at, "no commit came before");
  }
  return dsr_is_record(frame->kind) ? dsr_payload(file, frame, UINT64_MAX, &value) : DSR_OK;
}
static int dsr_scan(dsr_file *file, uint64_t vouched, int has_index) { /* the log from file->end on */
  uint64_t first = file->end, at = first, batch = first, last = first; /* batch: where the open one starts */
  uint64_t durable = has_index ? vouched : file->size, looks = 16 * (file->size - first) + (1 << 26);
  dsr_frame frame;
  for (; at < file->size; at += frame.size) {
    if (dsr_frame_at(file, at, &frame) || dsr_follows(file, &frame, at == batch)) break;
    if (at >= durable && dsr_is_record(frame.kind) && dsr_payloads(file, &frame)) break;
    if (dsr_is_pending(frame.kind)) continue;
    file->check = frame.check;
    last = batch;
    batch = at + frame.size;
  }
  dsr_error fault = {DSR_CORRUPT, batch, "the last frames have no commit", -1};
  if (at < file->size) fault = file->error;
  for (at = last; !has_index && at < batch; at += frame.size)
    if (dsr_frame_at(file, at, &frame) || (dsr_is_record(frame.kind) && dsr_payloads(file, &frame))) {
      fault = file->error;
      batch = last;
    }
  int is_torn = fault.code == DSR_CORRUPT && batch >= vouched;
  if (fault.code == DSR_MISPLACED) fault.code = DSR_CORRUPT;
  if (dsr_apply(file, first, batch)) return file->error.code;
  file->end = batch;
  for (at = batch + 8; is_torn && at + 16 <= file->size; at += 8) { /* is a whole frame behind it? */
    uint64_t word = dsr_u64(file->rec + at + 8), size = word & 0xFFFFFFFFFFFF;
    if (word >> 56 != 0xD5 || dsr_is_pending(word >> 48 & 255) || size > file->size - at) continue;
    is_torn = dsr_frame_at(file, at, &frame) && file->error.code != DSR_MISPLACED && looks > size;
    looks -= looks > size ? size : looks;
  }
  if (!is_torn) file->error = fault;
  return is_torn || batch == file->size ? DSR_OK : fault.code;
}

/* The index. */
static int dsr_usable(dsr_file *file, const uint8_t *slot, uint64_t idx_size) {
  uint64_t count = dsr_u64(slot + 40), covered = dsr_u64(slot + 48), last = dsr_u64(slot + 56);
  uint64_t base = dsr_u32(slot + 68), row = dsr_u32(slot + 72);
  int is_known = dsr_number(slot + 12, 2) == 2 && dsr_number(slot + 14, 2) <= 1;
  DSR_NEED(is_known, DSR_UNSUPPORTED, 12, "an index of another version");
  int is_right = base == 8192 + file->start && (row == 16 || row == 8 + file->head) && base <= idx_size;
  is_right = is_right && dsr_u64(slot + 96) >= covered && !((dsr_u64(slot + 32) | dsr_u64(slot + 80)) >> 63);
  DSR_NEED(is_right && count <= (idx_size - base) / row, DSR_CORRUPT, 0, "the index is damaged");
  if (!last) {
    is_right = covered == file->start && !count && dsr_u32(slot + 64) == file->check;
    DSR_NEED(is_right, DSR_STALE_VIEW, 0, "an index of another history");
    return DSR_OK;
  }
  DSR_NEED(last >= file->start && last <= file->size - 16, DSR_STALE_VIEW, 0, "an index of another history");
  const uint8_t *frame = file->rec + last;
  is_right = !memcmp(frame, slot + 64, 4) && frame[15] == 0xD5 && frame[14] && !dsr_is_pending(frame[14]);
  is_right = is_right && last + dsr_number(frame + 8, 6) == covered;
  DSR_NEED(is_right, DSR_STALE_VIEW, 0, "an index of another history");
  return DSR_OK;
}
static int dsr_index(dsr_file *file, const uint8_t *idx, uint64_t idx_size, int is_view) {
  uint64_t vouched = 0;
  const uint8_t *best = NULL, *slots[2];
  int count = 0, own = 0;
  for (uint64_t at = 0; at <= 4096 && at + 128 <= idx_size; at += 4096) {
    int is_slot = !memcmp(idx + at, "\x89" "DSX\r\n\x1a\n", 8);
    if (!is_slot || dsr_crc(file, 0, idx + at + 12, 116) != dsr_u32(idx + at + 8)) continue;
    slots[count++] = idx + at;
    is_view |= idx[at + 14] & 1;
  }
  for (int i = 0; i < count; i++) {
    const uint8_t *slot = slots[i];
    int is_own = !memcmp(slot + 16, file->rec + 24, 16), is_known = dsr_number(slot + 12, 2) == 2;
    uint64_t covered = dsr_u64(slot + 48), end = dsr_u64(slot + 96), larger = covered > end ? covered : end;
    own += is_own;
    if (is_own && is_known && larger > vouched) vouched = larger;
    if (best && dsr_u64(best + 32) > dsr_u64(slot + 32)) continue;
    if (is_view ? slot[14] & 1 : is_own && !dsr_usable(file, slot, idx_size)) best = slot;
  }
  DSR_NEED(vouched <= file->size, DSR_CORRUPT, file->size, "the log is shorter than its index says");
  DSR_NEED(best || !is_view, DSR_CORRUPT, 0, "the view is damaged");
  if (is_view) {
    int is_known = dsr_number(best + 12, 2) == 2 && dsr_number(best + 14, 2) == 1;
    DSR_NEED(is_known, DSR_UNSUPPORTED, 0, "a view of another version");
    DSR_NEED(!memcmp(best + 16, file->rec + 24, 16), DSR_STALE_VIEW, 0, "a view of another dataset");
    if (dsr_usable(file, best, idx_size)) return file->error.code;
  }
  if (best) {
    file->count = dsr_u64(best + 40);
    file->rows = idx + dsr_u32(best + 68);
    file->row = dsr_u32(best + 72);
    file->salt = dsr_u32(best + 76);
    file->check = dsr_u32(best + 64);
    file->end = dsr_u64(best + 48);
    file->metadata = dsr_u64(best + 88);
  }
  file->warns = idx && !best;
  if (is_view) return DSR_OK;
  if (dsr_scan(file, vouched, best != NULL)) return file->error.code;
  file->warns |= !own && file->end < file->size;
  return DSR_OK;
}
static int dsr_header(dsr_file *file) {
  const uint8_t *rec = file->rec;
  uint64_t size = file->size;
  DSR_NEED(size >= 8 && !memcmp(rec, "\x89" "DSR\r\n\x1a\n", 8), DSR_CORRUPT, 0, "not a DSRecords file");
  DSR_NEED(size >= 40, DSR_CORRUPT, size, "the header is cut short");
  DSR_NEED(dsr_number(rec + 12, 2) == 2 && !rec[14], DSR_UNSUPPORTED, 12, "a file of another version");
  uint64_t length = dsr_u32(rec + 20);
  file->check = dsr_u32(rec + 8);
  file->start = file->end = dsr_u32(rec + 16);
  int is_possible = file->start % 4096 == 0 && 40 + length <= file->start && file->start <= 1 << 24;
  DSR_NEED(is_possible, DSR_CORRUPT, 16, "the header claims an impossible size");
  DSR_NEED(file->start <= size, DSR_CORRUPT, size, "the header is cut short");
  int is_whole = dsr_crc(file, 0, rec + 12, file->start - 12) == file->check;
  DSR_NEED(is_whole, DSR_CORRUPT, 8, "the header's checksum is wrong");
  file->seed = dsr_crc(file, 0, rec + 24, 16);
  file->json = calloc(1, length + 1);
  file->fields = calloc(4096, sizeof *file->fields);
  DSR_NEED(file->json && file->fields, DSR_NO_MEMORY, 0, "no memory");
  memcpy(file->json, rec + 40, length);
  return dsr_fields(file);
}

/* What is for others: open, then read and get as often as you like, then close. */
static inline void dsr_close(dsr_file *file) {
  free(file->json);
  free(file->fields);
  free(file->list);
  memset(file, 0, sizeof *file);
}
/* With is_view, idx must be a view. To be closed also after an error. */
static inline int dsr_open(
    dsr_file *file, const void *rec, uint64_t size, const void *idx, uint64_t idx_size, int is_view) {
  memset(file, 0, sizeof *file);
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    file->table[byte] = crc;
  }
  file->rec = rec;
  file->size = size;
  if (dsr_header(file) || dsr_index(file, idx, idx ? idx_size : 0, is_view)) {
    file->count = 0;
    return file->error.code;
  }
  return DSR_OK;
}
static inline int dsr_read(dsr_file *file, uint64_t i, dsr_frame *frame) { /* the head of record i */
  DSR_NEED(i < file->count, DSR_NOT_THERE, 0, "there is no such record");
  uint64_t place = file->list ? file->list[i] : DSR_ROW | i, number = place & ~DSR_ROW;
  if (place == number) return dsr_frame_at(file, place, frame);
  const uint8_t *row = file->rows + number * file->row, *head = row + 8;
  uint64_t at = dsr_u64(row), eighths = UINT32_MAX;
  int is_inside = at % 8 == 0 && at >= file->start && at < file->end && file->end - at >= file->head;
  DSR_NEED(is_inside, DSR_CORRUPT, at, "the row points outside of the log");
  uint32_t check = dsr_u32(row + (file->row == 16 ? 12 : 8)) ^ (uint32_t)(number * 0x9E3779B1) ^ file->salt;
  if (file->row == 16) {
    head = file->rec + at;
    eighths = dsr_u32(row + 8);
    DSR_NEED(check == dsr_u32(head), DSR_CORRUPT, at, "the row is of another record");
  }
  if (dsr_check(file, at, head, check, frame)) return file->error.code;
  int is_right = dsr_is_record(frame->kind) && frame->size <= file->end - at;
  is_right = is_right && (eighths == UINT32_MAX || eighths == frame->size / 8);
  DSR_NEED(is_right, DSR_CORRUPT, at, "the row is not of such a record");
  return DSR_OK;
}
static inline int dsr_get(dsr_file *file, const dsr_frame *frame, const dsr_field *field, dsr_value *value) {
  if (field->payload >= 0) return dsr_payload(file, frame, (uint64_t)field->payload, value);
  int is_none = field->present >= 0 && !frame->head[field->present];
  *value = (dsr_value){is_none ? NULL : frame->head + field->at, (uint64_t)field->width, frame->at};
  return DSR_OK;
}
static inline int dsr_metadata(dsr_file *file, dsr_value *value) { /* a JSON object */
  const char *json = dsr_member(file->json, "metadata");
  dsr_frame frame;
  char *copy;
  if (!file->metadata) {
    DSR_NEED(!json || *json == '{', DSR_CORRUPT, 40, "metadata that are no object");
    *value = json ? (dsr_value){file->rec + 40 + (json - file->json), (uint64_t)(dsr_skip(json) - json), 40}
                  : (dsr_value){(const uint8_t *)"{}", 2, 40};
    return DSR_OK;
  }
  int is_inside = file->metadata % 8 == 0 && file->metadata >= file->start && file->metadata < file->end;
  DSR_NEED(is_inside, DSR_CORRUPT, file->metadata, "the index says that metadata are here");
  if (dsr_frame_at(file, file->metadata, &frame)) return file->error.code;
  DSR_NEED(frame.kind == DSR_METADATA, DSR_CORRUPT, frame.at, "the index says that metadata are here");
  uint64_t length = dsr_u64(frame.head + 16);
  int fills = length <= frame.size - 24 && (length + 7) / 8 * 8 == frame.size - 24;
  DSR_NEED(fills, DSR_CORRUPT, frame.at, "metadata that do not fill their frame");
  DSR_NEED(copy = calloc(1, length + 1), DSR_NO_MEMORY, 0, "no memory");
  memcpy(copy, frame.head + 24, length);
  int is_object = *copy == '{' && dsr_skip(copy);
  free(copy);
  DSR_NEED(is_object, DSR_CORRUPT, frame.at, "metadata that are no object");
  *value = (dsr_value){frame.head + 24, length, frame.at};
  return DSR_OK;
}
#endif
