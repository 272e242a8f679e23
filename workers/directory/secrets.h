// The directory's secret keys, one hex file each, readable by their owner only. Loaded once at start, then
// passed by const reference; never logged.
#pragma once

#include <string>

#include "base/crypto.h"
#include "base/secret_file.h"

namespace barid::directory {

struct DirectorySecrets {
  crypto::KeyPair signing;     // signing.key: Ed25519 seed; signs device tokens
  crypto::MacKey otp{};        // otp.key: hashes one-time codes and throttle keys
  crypto::ShortKey address{};  // address.key: makes address tags; edges share it through barid-meta
  crypto::MacKey media{};      // media.key: signs the URLs of media; barid-media reads the same file

  // Makes the folder and those of the files that are missing (mode 0600); keys that exist are never replaced.
  static void create(const std::string& dir);
  // Throws std::runtime_error, with what to do, when a file is missing, malformed or readable by others.
  static DirectorySecrets load(const std::string& dir);
};

using barid::read_secret_file;

}  // namespace barid::directory
