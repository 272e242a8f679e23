#include "base/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/crypto.h"
#include "base/fd.h"

namespace barid {
namespace {

constexpr std::size_t kSecretBytesMax = 4'096;

[[noreturn]] void complain(const std::string& path, const std::string& what) {
  throw std::runtime_error(path + ": " + what);
}

// Looks at what was opened, not at the name: nobody can exchange the file in between.
void require_private(int fd, const std::string& path) {
  if (fd < 0) complain(path, std::string("cannot read the secret: ") + std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0) complain(path, "cannot be examined");
  if ((info.st_mode & 077) != 0) complain(path, "is accessible to others than its owner; run: chmod 600 " + path);
}

}  // namespace

void require_private_file(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  require_private(file.get(), path);
}

std::string read_secret_file(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  require_private(file.get(), path);
  std::string text(kSecretBytesMax, '\0');
  const ssize_t count = ::read(file.get(), text.data(), text.size());
  if (count <= 0) complain(path, "is empty");
  text.resize(static_cast<std::size_t>(count));
  text.resize(std::min(text.size(), text.find_first_of("\r\n")));
  if (text.empty()) complain(path, "is empty");
  return text;
}

void read_key_bytes(const std::string& path, std::span<std::uint8_t> key) {
  std::string bytes;
  if (!crypto::from_hex(read_secret_file(path), bytes) || bytes.size() != key.size())
    complain(path, "must be one line of " + std::to_string(2 * key.size()) + " hex digits");
  std::memcpy(key.data(), bytes.data(), key.size());
}

}  // namespace barid
