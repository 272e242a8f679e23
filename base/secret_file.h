// Files that hold a secret: passwords, keys. Only their owner may read them, or they are refused. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace barid {

// The first line, without the line's end. Throws std::runtime_error, with what to do, when the file can't be read, is
// empty, or others than its owner could read it.
std::string read_secret_file(const std::string& path);

// Throws in the same way when others than its owner could read or change it; for files that a library reads.
void require_private_file(const std::string& path);

// One line of hex digits, exactly as many as fill `key`. Throws as above.
void read_key_bytes(const std::string& path, std::span<std::uint8_t> key);
template <class Key>
void read_key_file(const std::string& path, Key& key) {
  read_key_bytes(path, key);
}

}  // namespace barid
