// SPDX-License-Identifier: GPL-3.0-or-later
// Private to client/crypto/: the store that libsignal-protocol-c calls back, in terms of a KeyStore. An exception of
// the KeyStore may not pass through C: it is kept, the library is told that it failed, and rethrow() lets it out.
#pragma once

#include <exception>
#include <vector>

#include "client/crypto/keys.h"
#include "client/crypto/provider.h"

namespace barid::e2ee {

// A device as the library names it: both ids in one name, so that its own 32-bit device id does not matter.
class Address {
 public:
  explicit Address(Device device);
  Address(const Address&) = delete;
  Address& operator=(const Address&) = delete;
  const signal_protocol_address* get() const { return &address_; }

 private:
  std::string name_;
  signal_protocol_address address_;
};

class Records {
 public:
  Records(Context& context, KeyStore& store);
  ~Records();
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  signal_protocol_store_context* get() const { return context_; }
  void rethrow();            // what the store threw meanwhile
  void commit_identities();  // those seen count: what came from them was genuine
  void forget_identities() { seen_.clear(); }

 private:
  friend struct Callbacks;
  struct Seen {
    Device device;
    std::string key;
  };
  KeyStore& store_;
  signal_protocol_store_context* context_ = nullptr;
  std::exception_ptr thrown_;
  std::vector<Seen> seen_;
};

}  // namespace barid::e2ee
