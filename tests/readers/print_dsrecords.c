/* Prints what c/dsrecords.h finds in a file: a line of JSON for each thing, as tests/readers/c_reader.py reads it.

     print_dsrecords show   my_data.rec [my_data.idx [view]]
     print_dsrecords digest my_data.rec [my_data.idx [view]]     a line that says which records have which values
     print_dsrecords flips  my_data.rec [my_data.idx [view]]     the same, each bit of the files flipped in turn
     print_dsrecords flips-some …                                the same of every 13th bit */
#include "dsrecords.h"

#include <stdio.h>

static uint8_t *read_file(const char *path, uint64_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) exit(2);
  fseek(file, 0, SEEK_END);
  *size = (uint64_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(*size + 1); /* malloc(0) may be NULL, which would be no index */
  if (!bytes || fread(bytes, 1, *size, file) != *size) exit(2);
  fclose(file);
  return realloc(bytes, *size ? *size : 1); /* so that a sanitizer sees the first byte behind it */
}
static void print_error(const dsr_error *error, uint64_t field) {
  const char *names[] = {"", "corrupt", "unsupported", "stale", "memory", "not there"};
  printf("{\"error\": {\"class\": \"%s\", \"offset\": %llu, \"field\": %llu}}\n", names[error->code],
         (unsigned long long)error->offset, (unsigned long long)field);
}
static void print_hex(const dsr_value *value) {
  printf(value->bytes ? "\"" : "null");
  for (uint64_t i = 0; value->bytes && i < value->size; i++) printf("%02x", value->bytes[i]);
  printf(value->bytes ? "\"" : "");
}
static void print_member(const char *json, const char *key) {
  const char *value = dsr_member(json, key);
  if (*value) printf("%.*s", (int)(dsr_skip(value) - value), value);
  else printf("null");
}
static void print_record(dsr_file *file, uint64_t i) {
  dsr_value value = {NULL, 0};
  int code = 0;
  uint64_t read = 0; /* fields */
  while (!code && read < file->field_count) code = dsr_get(file, i, &file->fields[read++], &value);
  if (code) {
    print_error(&file->error, read - 1);
    return;
  }
  printf("{\"record\": [");
  for (uint64_t j = 0; j < file->field_count; j++) {
    if (j) printf(", ");
    dsr_get(file, i, &file->fields[j], &value);
    print_hex(&value);
  }
  printf("]}\n");
}
static void show(dsr_file *file) {
  dsr_value metadata = {NULL, 0};
  printf("{\"warns\": %d, \"count\": %llu, \"fields\": [", file->warns, (unsigned long long)file->count);
  for (uint64_t j = 0; j < file->field_count; j++) {
    printf(j ? ", [" : "[");
    print_member(file->fields[j].json, "name");
    printf(", ");
    print_member(file->fields[j].json, "type");
    printf("]");
  }
  printf("]}\n");
  if (dsr_metadata(file, &metadata)) print_error(&file->error, 0);
  else if (!metadata.size) printf("{\"metadata\": {}}\n");
  else printf("{\"metadata\": %.*s}\n", (int)metadata.size, (const char *)metadata.bytes);
  for (uint64_t i = 0; i < file->count; i++) print_record(file, i);
}

/* A line: of each record that can be read, its number and what its values are, as one number. */
static void print_digests(dsr_file *file) {
  dsr_value value = {NULL, 0};
  for (uint64_t i = 0; i < file->count; i++) {
    uint32_t crc = 0;
    int code = 0;
    for (uint64_t j = 0; !code && j < file->field_count; j++) {
      code = dsr_get(file, i, &file->fields[j], &value);
      if (!code && value.bytes) crc = dsr_crc(file, crc, value.bytes, value.size);
    }
    if (!code) printf("%llu:%08x ", (unsigned long long)i, crc);
  }
  printf("\n");
}
static void read_as(const char *mode, const uint8_t *rec, uint64_t rec_size, const uint8_t *idx, uint64_t idx_size, int is_view) {
  dsr_file file;
  int code = dsr_open(&file, rec, rec_size, idx, idx_size, is_view), is_shown = !strcmp(mode, "show");
  if (code && is_shown) print_error(&file.error, 0);
  if (code && !is_shown) printf("refused\n");
  if (!code && is_shown) show(&file);
  if (!code && !is_shown) print_digests(&file);
  dsr_close(&file);
}
int main(int count, char **arguments) {
  if (count < 3) return 2;
  const char *mode = arguments[1];
  uint64_t rec_size, idx_size = 0;
  uint8_t *rec = read_file(arguments[2], &rec_size), *idx = count > 3 ? read_file(arguments[3], &idx_size) : NULL;
  uint64_t bits = strncmp(mode, "flips", 5) ? 0 : 8 * (rec_size + idx_size), step = strcmp(mode, "flips-some") ? 1 : 13;
  if (!bits) read_as(mode, rec, rec_size, idx, idx_size, count > 4);
  for (uint64_t bit = 0; bit < bits; bit += step) {
    uint64_t byte = bit / 8;
    uint8_t *at = byte < rec_size ? rec + byte : idx + (byte - rec_size), mask = (uint8_t)(1 << bit % 8);
    *at ^= mask;
    read_as(mode, rec, rec_size, idx, idx_size, count > 4);
    *at ^= mask;
  }
  free(rec);
  free(idx);
  return 0;
}
