// Private to storage/: ids and bytes as Postgres knows them. Ids are 63-bit, so they fit a bigint as they
// are.
#pragma once

#include <cstdint>
#include <pqxx/pqxx>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"

namespace barid::storage {

// An id that a client invented may use all 64 bits; no row has such an id, so it maps to one that can't
// exist.
template <class Tag>
std::int64_t bigint(Id<Tag, std::uint64_t> id) {
  return id.value >> 63 != 0 ? -1 : static_cast<std::int64_t>(id.value);
}
template <class IdType>
IdType id_of(const pqxx::field& field) {
  return IdType(static_cast<std::uint64_t>(field.as<std::int64_t>()));
}
template <class IdType>
IdType random_id() {
  std::uint64_t value = 0;
  while (value == 0) value = crypto::random_u64() >> 1;
  return IdType(value);
}
inline WallMs wall_of(const pqxx::field& field) { return WallMs{field.as<std::int64_t>()}; }
inline pqxx::binarystring bytea(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string bytes_of(const pqxx::field& field) { return pqxx::binarystring(field).str(); }

// An array literal of texts for = ANY($1::text[]).
inline std::string text_array(const std::vector<std::string>& items) {
  std::string out = "{";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (char c : item) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

}  // namespace barid::storage
