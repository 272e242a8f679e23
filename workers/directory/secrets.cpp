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

#include "base/secret_file.h"

namespace barid::directory {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

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

template <class Key>
void load_key(const std::string& path, Key& key) {
  std::string bytes;
  if (!crypto::from_hex(read_secret_file(path), bytes) || bytes.size() != key.size())
    complain(path, "must be one line of " + std::to_string(2 * key.size()) + " hex digits");
  std::memcpy(key.data(), bytes.data(), key.size());
}

}  // namespace

void DirectorySecrets::create(const std::string& dir) {
  std::filesystem::create_directories(dir);
  ::chmod(dir.c_str(), 0700);
  create_key(dir + "/signing.key", 32);
  create_key(dir + "/otp.key", 32);
  create_key(dir + "/address.key", 16);
}

DirectorySecrets DirectorySecrets::load(const std::string& dir) {
  DirectorySecrets secrets;
  std::array<std::uint8_t, 32> seed{};
  load_key(dir + "/signing.key", seed);
  secrets.signing = crypto::key_pair_from_seed(seed);
  load_key(dir + "/otp.key", secrets.otp);
  load_key(dir + "/address.key", secrets.address);
  return secrets;
}

}  // namespace barid::directory
