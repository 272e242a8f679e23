// Where the bytes of media are: parts that are being uploaded, and whole objects by their digest. What a store
// promises: an object appears whole or not at all, and stays after a power cut; a part never loses bytes that sync()
// has covered. Any number of threads, and of processes over the same store. Environment failures throw
// std::system_error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::media {

struct PartId {
  UserId user;
  std::string digest;  // 32 bytes
};

enum class StoreErrc {
  none_such,  // no such part or object
  moved,      // somebody else has appended to the part: its size is not what was thought
  full,       // no room on the disk; what was written before is kept
  not_that    // the bytes are not those of the digest
};

// One part, open for appending. Owned by one request; its thread.
class PartWriter {
 public:
  virtual ~PartWriter() = default;
  virtual std::uint64_t bytes() const = 0;
  virtual Result<void, StoreErrc> append(std::string_view more) = 0;  // all of it, or as much as there was room for
  virtual void sync() = 0;
};

struct Object {
  std::uint64_t bytes = 0;
  Fd file;  // readable, at 0
};

class Store {
 public:
  virtual ~Store() = default;

  virtual void create_part(const PartId& id) = 0;  // one that is there stays
  virtual Result<std::unique_ptr<PartWriter>, StoreErrc> open_part(const PartId& id) = 0;
  virtual Result<void, StoreErrc> verify_part(const PartId& id) = 0;  // reads all of it: seconds, for gigabytes
  // A verified part of so many bytes becomes the object, durably; under locked(). moved: it has grown since.
  virtual Result<void, StoreErrc> place_part(const PartId& id, std::uint64_t bytes) = 0;
  virtual void remove_part(const PartId& id) = 0;
  virtual std::vector<PartId> parts() = 0;

  virtual Result<Object, StoreErrc> open(const std::string& digest) = 0;
  virtual void remove(const std::string& digest) = 0;  // under locked()
  // Digests of the objects in one of the shards; the sweep looks at one shard at a time.
  static constexpr unsigned kShards = 256;
  virtual std::vector<std::string> objects(unsigned shard) = 0;
  virtual std::int64_t changed_s(const std::string& digest) = 0;  // when it was placed, since 1970; 0: none such

  // Runs `body` while nobody else, in any process, is inside locked() for that digest.
  virtual void locked(const std::string& digest, const std::function<void()>& body) = 0;

  virtual std::uint64_t bytes_free() = 0;
};

// In a folder of the local file system: objects/<2 hex digits>/<digest>, parts/<digest>-<user>. Makes what is missing,
// readable by its owner only.
std::unique_ptr<Store> open_local_store(const std::string& folder);

}  // namespace barid::media
