#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/crypto.h"
#include "base/limits.h"
#include "base/log.h"
#include "edge/media/store.h"

namespace barid::media {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::uint64_t kWriteBackBytes = 8 * 1024 * 1024;  // handed to the disk as it comes, so that sync() is short

[[noreturn]] void fail_on(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

bool is_full(int error) { return error == ENOSPC || error == EDQUOT; }

void make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail_on("cannot make " + path);
}

void sync_folder(const std::string& path) {
  const Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.open() || ::fsync(folder.get()) != 0) fail_on("cannot sync " + path);
}

class Locked {  // one process and thread at a time, while it lives
 public:
  explicit Locked(int fd) : fd_(fd) {
    while (::flock(fd_, LOCK_EX) != 0)
      if (errno != EINTR) fail_on("cannot lock");
  }
  ~Locked() { ::flock(fd_, LOCK_UN); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  int fd_;
};

std::uint64_t size_of(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail_on("cannot examine a file");
  return static_cast<std::uint64_t>(info.st_size);
}

// The lock is held for one write only: a client that has gone silent keeps nobody from going on elsewhere.
class LocalWriter final : public PartWriter {
 public:
  LocalWriter(Fd file, std::string path)
      : file_(std::move(file)), path_(std::move(path)), bytes_(size_of(file_.get())), handed_over_(bytes_) {}

  std::uint64_t bytes() const override { return bytes_; }

  Result<void, StoreErrc> append(std::string_view more) override {
    const Locked lock(file_.get());
    struct stat info {
    }, named{};
    if (::fstat(file_.get(), &info) != 0) fail_on("cannot examine a part");
    // Removed meanwhile, or an object by now, to which nothing may be added.
    if (::stat(path_.c_str(), &named) != 0 || named.st_ino != info.st_ino) return fail(StoreErrc::none_such);
    if (static_cast<std::uint64_t>(info.st_size) != bytes_) return fail(StoreErrc::moved);
    while (!more.empty()) {
      const ssize_t n = ::pwrite(file_.get(), more.data(), more.size(), static_cast<off_t>(bytes_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && is_full(errno)) return fail(StoreErrc::full);
      if (n < 0) fail_on("cannot write to a part");
      bytes_ += static_cast<std::uint64_t>(n);
      more.remove_prefix(static_cast<std::size_t>(n));
    }
    if (bytes_ - handed_over_ >= kWriteBackBytes) {
      ::sync_file_range(file_.get(), static_cast<off_t>(handed_over_), static_cast<off_t>(bytes_ - handed_over_),
                        SYNC_FILE_RANGE_WRITE);
      handed_over_ = bytes_;
    }
    return {};
  }

  void sync() override {
    if (::fdatasync(file_.get()) != 0) fail_on("cannot sync a part");
  }

 private:
  Fd file_;
  std::string path_;
  std::uint64_t bytes_, handed_over_;
};

class LocalStore final : public Store {
 public:
  explicit LocalStore(const std::string& folder) : folder_(folder) {
    make_folder(folder_);
    make_folder(folder_ + "/parts");
    make_folder(folder_ + "/objects");
    for (unsigned shard = 0; shard < kShards; ++shard) make_folder(shard_path(shard));
    sync_folder(folder_ + "/objects");
    sync_folder(folder_);
  }

  void create_part(const PartId& id) override {
    const Fd file(::open(part_path(id).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!file.open()) fail_on("cannot make a part");
  }

  Result<std::unique_ptr<PartWriter>, StoreErrc> open_part(const PartId& id) override {
    Fd file(::open(part_path(id).c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.open() && errno == ENOENT) return fail(StoreErrc::none_such);
    if (!file.open()) fail_on("cannot open a part");
    return std::make_unique<LocalWriter>(std::move(file), part_path(id));
  }

  Result<void, StoreErrc> verify_part(const PartId& id) override {
    const Fd file(::open(part_path(id).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open() && errno == ENOENT) return fail(StoreErrc::none_such);
    if (!file.open()) fail_on("cannot read a part");
    ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
    const auto buffer = std::make_unique<std::array<char, kReadBytes>>();
    for (;;) {
      const ssize_t n = ::read(file.get(), buffer->data(), buffer->size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_on("cannot read a part");
      if (n == 0) break;
      EVP_DigestUpdate(hash.get(), buffer->data(), static_cast<std::size_t>(n));
    }
    std::string digest(limits::kMediaDigestBytes, '\0');
    EVP_DigestFinal_ex(hash.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    if (digest != id.digest) return fail(StoreErrc::not_that);
    return {};
  }

  Result<void, StoreErrc> place_part(const PartId& id, std::uint64_t bytes) override {
    const std::string part = part_path(id), object = object_path(id.digest);
    const Fd file(::open(part.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open() && errno == ENOENT) return fail(StoreErrc::none_such);
    if (!file.open()) fail_on("cannot open a part");
    const Locked lock(file.get());
    if (size_of(file.get()) != bytes) return fail(StoreErrc::moved);
    if (::fsync(file.get()) != 0) fail_on("cannot sync a part");
    if (::rename(part.c_str(), object.c_str()) != 0) fail_on("cannot place an object");
    sync_folder(shard_path(shard_of(id.digest)));
    return {};
  }

  void remove_part(const PartId& id) override { unlink_if_there(part_path(id)); }

  std::vector<PartId> parts() override {
    std::vector<PartId> found;
    each_name(folder_ + "/parts", [&](std::string_view name) {
      constexpr std::size_t kHex = 2 * limits::kMediaDigestBytes;
      PartId id;
      std::uint64_t user = 0;
      if (name.size() == kHex + 1 + 16 && name[kHex] == '-' && crypto::from_hex(name.substr(0, kHex), id.digest) &&
          parse_hex_id(name.substr(kHex + 1), user)) {
        id.user = UserId(user);
        found.push_back(std::move(id));
      }
    });
    return found;
  }

  Result<Object, StoreErrc> open(const std::string& digest) override {
    Fd file(::open(object_path(digest).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open() && errno == ENOENT) return fail(StoreErrc::none_such);
    if (!file.open()) fail_on("cannot open an object");
    const std::uint64_t bytes = size_of(file.get());
    return Object{bytes, std::move(file)};
  }

  void remove(const std::string& digest) override { unlink_if_there(object_path(digest)); }

  std::vector<std::string> objects(unsigned shard) override {
    std::vector<std::string> found;
    each_name(shard_path(shard), [&](std::string_view name) {
      std::string digest;
      if (name.size() == 2 * limits::kMediaDigestBytes && crypto::from_hex(name, digest)) found.push_back(digest);
    });
    return found;
  }

  std::int64_t changed_s(const std::string& digest) override {
    struct stat info {};
    return ::stat(object_path(digest).c_str(), &info) == 0 ? info.st_ctim.tv_sec : 0;
  }

  void locked(const std::string& digest, const std::function<void()>& body) override {
    const Fd shard(::open(shard_path(shard_of(digest)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!shard.open()) fail_on("cannot open a shard");
    const Locked lock(shard.get());
    body();
  }

  std::uint64_t bytes_free() override {
    struct statvfs info {};
    if (::statvfs(folder_.c_str(), &info) != 0) fail_on("cannot examine the disk of " + folder_);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }

 private:
  static unsigned shard_of(const std::string& digest) { return static_cast<unsigned char>(digest.at(0)); }
  std::string shard_path(unsigned shard) const {
    const char byte = static_cast<char>(shard);
    return folder_ + "/objects/" + crypto::to_hex({&byte, 1});
  }
  std::string object_path(const std::string& digest) const {
    return shard_path(shard_of(digest)) + "/" + crypto::to_hex(digest);
  }
  std::string part_path(const PartId& id) const {
    return folder_ + "/parts/" + crypto::to_hex(id.digest) + "-" + hex_id(id.user.value);
  }
  static void unlink_if_there(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail_on("cannot remove a file of the store");
  }
  template <class F>
  static void each_name(const std::string& path, F&& f) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
    if (!folder) fail_on("cannot list " + path);
    while (const dirent* entry = ::readdir(folder.get())) f(std::string_view(entry->d_name));
  }

  std::string folder_;
};

}  // namespace

std::unique_ptr<Store> open_local_store(const std::string& folder) { return std::make_unique<LocalStore>(folder); }

}  // namespace barid::media
