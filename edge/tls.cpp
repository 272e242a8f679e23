#include "edge/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/assert.h"

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

}  // namespace

TlsContext::TlsContext(const std::string& certificate_file, const std::string& key_file)
    : context_(SSL_CTX_new(TLS_server_method())) {
  if (context_ == nullptr) throw std::runtime_error("TLS can't start: " + last_error());
  SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION |
                                    SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);  // tickets only: no memory per client
  SSL_CTX_set_num_tickets(context_, 1);
  auto check = [&](int ok, const std::string& file) {
    if (ok == 1) return;
    const std::string why = last_error();
    SSL_CTX_free(context_);
    throw std::runtime_error("TLS: " + file + " can't be used: " + why);
  };
  check(SSL_CTX_use_certificate_chain_file(context_, certificate_file.c_str()), certificate_file);
  check(SSL_CTX_use_PrivateKey_file(context_, key_file.c_str(), SSL_FILETYPE_PEM), key_file);
  check(SSL_CTX_check_private_key(context_), key_file);
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

TlsStream::TlsStream(const TlsContext& context) : ssl_(SSL_new(context.get())) {
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
