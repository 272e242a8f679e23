// SPDX-License-Identifier: GPL-3.0-or-later
// Private to client/crypto/: what libsignal-protocol-c asks of its surroundings, by OpenSSL 3, and owners of its
// objects.
#pragma once

#include <signal/signal_protocol.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace barid::e2ee {

// An object that the library counts references to.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  ~Ref() {
    if (object_ != nullptr) signal_type_unref(reinterpret_cast<signal_type_base*>(object_));
  }
  T** out() { return &object_; }
  T* get() const { return object_; }

 private:
  T* object_ = nullptr;
};

// A buffer of the library, wiped when it goes.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() {
    if (buffer_ != nullptr) signal_buffer_bzero_free(buffer_);
  }
  signal_buffer** out() { return &buffer_; }
  std::string str() const { return std::string(view(buffer_)); }
  static std::string_view view(const signal_buffer* b) {
    return {reinterpret_cast<const char*>(signal_buffer_const_data(b)), signal_buffer_len(b)};
  }

 private:
  signal_buffer* buffer_ = nullptr;
};

inline const std::uint8_t* octets(std::string_view s) { return reinterpret_cast<const std::uint8_t*>(s.data()); }

// A context with the provider and a lock of its own. Throws when there is no memory.
class Context {
 public:
  Context();
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  signal_context* get() const { return context_; }

 private:
  signal_context* context_ = nullptr;
  std::recursive_mutex mutex_;
};

}  // namespace barid::e2ee
