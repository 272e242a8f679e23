#include "workers/directory/secrets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string_view>

#include "base/fd.h"
#include "base/secret_file.h"

namespace barid::directory {
namespace {

[[noreturn]] void complain(const std::string& path, const std::string& what) {
  throw std::runtime_error(path + ": " + what);
}

// Written under another name and linked into place: a crash leaves no half key, and a key that exists stays.
void create_key(const std::string& path, std::size_t size) {
  if (std::filesystem::exists(path)) return;
  std::array<char, 32> key{};
  crypto::random_bytes(key.data(), size);
  const std::string line = crypto::to_hex({key.data(), size}) + "\n";
  const std::string draft = path + "." + std::to_string(::getpid());
  {
    const Fd file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0 || ::write(file.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
        ::fsync(file.get()) != 0)
      complain(draft, std::string("cannot write: ") + std::strerror(errno));
  }
  const bool placed = ::link(draft.c_str(), path.c_str()) == 0 || errno == EEXIST;
  const int error = errno;
  ::unlink(draft.c_str());
  if (!placed) complain(path, std::string("cannot create: ") + std::strerror(error));
}

}  // namespace

void DirectorySecrets::create(const std::string& dir) {
  std::filesystem::create_directories(dir);
  ::chmod(dir.c_str(), 0700);
  create_key(dir + "/signing.key", 32);
  create_key(dir + "/otp.key", 32);
  create_key(dir + "/address.key", 16);
  create_key(dir + "/media.key", 32);
}

DirectorySecrets DirectorySecrets::load(const std::string& dir) {
  DirectorySecrets secrets;
  std::array<std::uint8_t, 32> seed{};
  read_key_file(dir + "/signing.key", seed);
  secrets.signing = crypto::key_pair_from_seed(seed);
  read_key_file(dir + "/otp.key", secrets.otp);
  read_key_file(dir + "/address.key", secrets.address);
  read_key_file(dir + "/media.key", secrets.media);
  return secrets;
}

}  // namespace barid::directory
