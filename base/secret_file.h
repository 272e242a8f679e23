// Secrets in files of their own, readable by their owner only (mode 0600). Any thread.
#pragma once

#include <cstring>
#include <span>
#include <string>

namespace barid {

// The first line of a secret file, without the line's end. Throws std::runtime_error, with what to do, when the file is
// missing, empty, or readable by others.
std::string read_secret_file(const std::string& path);

// One line of hex digits, exactly as many as fill `key`. Throws as above.
void read_key_bytes(const std::string& path, std::span<std::uint8_t> key);
template <class Key>
void read_key_file(const std::string& path, Key& key) {
  read_key_bytes(path, key);
}

}  // namespace barid
