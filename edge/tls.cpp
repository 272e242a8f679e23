#include "edge/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/assert.h"
#include "base/secret_file.h"

namespace barid::edge {
namespace {

constexpr std::size_t kPlainChunkBytes = 16'384;  // one record's worth

// Where the BIO of the stream that is being served reads from and writes to; set for the length of one call.
struct Pipe {
  std::string_view in;
  std::string* out = nullptr;
};
thread_local Pipe pipe;

int pipe_write(BIO*, const char* data, std::size_t size, std::size_t* written) {
  if (pipe.out == nullptr) return 0;
  pipe.out->append(data, size);
  *written = size;
  return 1;
}
int pipe_read(BIO* bio, char* data, std::size_t size, std::size_t* read) {
  BIO_clear_retry_flags(bio);
  if (pipe.in.empty()) {
    BIO_set_retry_read(bio);
    return 0;
  }
  *read = std::min(size, pipe.in.size());
  std::memcpy(data, pipe.in.data(), *read);
  pipe.in.remove_prefix(*read);
  return 1;
}
long pipe_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
int pipe_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* pipe_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "barid pipe");
    BIO_meth_set_write_ex(m, &pipe_write);
    BIO_meth_set_read_ex(m, &pipe_read);
    BIO_meth_set_ctrl(m, &pipe_control);
    BIO_meth_set_create(m, &pipe_create);
    return m;
  }();
  return method;
}

std::string last_error() {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return text;
}

// Only suites with forward secrecy and authenticated encryption; all of TLS 1.3's are.
constexpr const char* kTls12Suites = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr const char* kGroups = "X25519:P-256:P-384";

std::shared_ptr<SSL_CTX> make_context(const std::string& certificate_file, const std::string& key_file,
                                      TlsMinimum minimum) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  SSL_CTX* c = context.get();
  if (c == nullptr) throw std::runtime_error("TLS can't start: " + last_error());
  if (SSL_CTX_set_min_proto_version(c, minimum == TlsMinimum::tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(c, kTls12Suites) != 1 || SSL_CTX_set1_groups_list(c, kGroups) != 1)
    throw std::runtime_error("TLS can't start: " + last_error());
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION |
                             SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);  // tickets only: no memory per client
  SSL_CTX_set_num_tickets(c, 1);
  const auto check = [](int ok, const std::string& file) {
    if (ok != 1) throw std::runtime_error("TLS: " + file + " can't be used: " + last_error());
  };
  check(SSL_CTX_use_certificate_chain_file(c, certificate_file.c_str()), certificate_file);
  require_private_file(key_file);
  check(SSL_CTX_use_PrivateKey_file(c, key_file.c_str(), SSL_FILETYPE_PEM), key_file);
  check(SSL_CTX_check_private_key(c), key_file);
  return context;
}

}  // namespace

TlsContext::TlsContext(std::string certificate_file, std::string key_file, TlsMinimum minimum)
    : certificate_file_(std::move(certificate_file)), key_file_(std::move(key_file)), minimum_(minimum) {
  reload();
}

TlsContext::~TlsContext() = default;

void TlsContext::reload() {
  const Stamp before = stamp();  // a change while we read is seen the next time
  {
    const std::lock_guard lock(mutex_);
    read_ = before;
  }
  auto context = make_context(certificate_file_, key_file_, minimum_);
  const std::lock_guard lock(mutex_);
  context_ = std::move(context);
}

bool TlsContext::files_changed() const {
  const Stamp now = stamp();
  const std::lock_guard lock(mutex_);
  return !(now == read_);
}

std::int64_t TlsContext::expires_at() const {
  const auto context = current();
  tm at{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(context.get())), &at) != 1) return 0;
  return timegm(&at);
}

std::shared_ptr<ssl_ctx_st> TlsContext::current() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

TlsContext::Stamp TlsContext::stamp() const {
  Stamp stamp;
  const std::string* files[] = {&certificate_file_, &key_file_};
  for (int i = 0; i < 2; ++i) {
    struct stat info {};
    if (::stat(files[i]->c_str(), &info) != 0) continue;
    stamp.changed_ns[i] = info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec;
    stamp.inode[i] = static_cast<std::int64_t>(info.st_ino);
    stamp.bytes[i] = info.st_size;
  }
  return stamp;
}

// SSL_new keeps what it needs of the context: a later reload does not touch this connection.
TlsStream::TlsStream(const TlsContext& context) : ssl_(SSL_new(context.current().get())) {
  if (ssl_ == nullptr) throw std::runtime_error("TLS: out of memory");
  BIO* bio = BIO_new(pipe_method());
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_accept_state(ssl_);
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

bool TlsStream::ready() const { return SSL_is_init_finished(ssl_) == 1; }

TlsStream::Status TlsStream::receive(std::string_view cipher, std::string& plain, std::string& out) {
  pipe = {cipher, &out};
  Status status = Status::open;
  while (true) {
    const std::size_t before = plain.size();
    plain.resize(before + kPlainChunkBytes);
    std::size_t got = 0;
    ERR_clear_error();
    const int ok = SSL_read_ex(ssl_, plain.data() + before, kPlainChunkBytes, &got);
    plain.resize(before + (ok == 1 ? got : 0));
    if (ok == 1) continue;
    const int error = SSL_get_error(ssl_, ok);
    if (error == SSL_ERROR_WANT_READ) break;  // the pipe is empty
    status = error == SSL_ERROR_ZERO_RETURN ? Status::ended : Status::broken;
    break;
  }
  ERR_clear_error();
  pipe = {};
  return status;
}

bool TlsStream::seal(std::string_view plain, std::string& out) {
  if (!ready()) return false;
  pipe = {{}, &out};
  bool sound = true;
  while (!plain.empty() && sound) {
    std::size_t written = 0;
    ERR_clear_error();
    sound = SSL_write_ex(ssl_, plain.data(), std::min(plain.size(), kPlainChunkBytes), &written) == 1;
    plain.remove_prefix(sound ? written : 0);
  }
  pipe = {};
  return sound;
}

void TlsStream::seal_end(std::string& out) {
  pipe = {{}, &out};
  if (ready()) SSL_shutdown(ssl_);
  ERR_clear_error();
  pipe = {};
}

}  // namespace barid::edge
