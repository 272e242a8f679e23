#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <stdexcept>

#include "client/core/layer.h"

namespace barid::client {
namespace {

std::string openssl_error() {
  std::array<char, 256> text{};
  const auto code = ERR_get_error();
  if (code == 0) return "unknown TLS error";
  ERR_error_string_n(code, text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

struct FreeContext {
  void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
};
struct FreeSsl {
  void operator()(SSL* s) const { SSL_free(s); }
};

class TlsLayer final : public Layer {
 public:
  TlsLayer(const ServerUrl& url, const std::string& ca_file) : context_(SSL_CTX_new(TLS_client_method())) {
    if (!context_) throw std::runtime_error("TLS cannot start: " + openssl_error());
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    const int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context_.get())
                                       : SSL_CTX_load_verify_locations(context_.get(), ca_file.c_str(), nullptr);
    if (loaded != 1) throw std::runtime_error("cannot read the certificates in " + ca_file + ": " + openssl_error());
    ssl_.reset(SSL_new(context_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);  // owns both from here
    SSL_set_connect_state(ssl_.get());
    name_the_host(url.host);
  }

  void start() override { advance(); }

  bool received(std::string_view below) override {
    BIO_write(in_, below.data(), static_cast<int>(below.size()));
    return advance();
  }

  void send(std::string_view above) override {
    std::size_t written = 0;
    while (written < above.size()) {
      const int n = SSL_write(ssl_.get(), above.data() + written, static_cast<int>(above.size() - written));
      if (n <= 0) break;  // a memory BIO takes everything; a broken session shows at the next read
      written += static_cast<std::size_t>(n);
    }
    collect();
  }

  void shut() override {
    if (ready()) SSL_shutdown(ssl_.get());
    collect();
  }

  bool ready() const override { return SSL_is_init_finished(ssl_.get()) == 1; }

 private:
  void name_the_host(const std::string& host) {
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) == 1) return;
    SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(rules, host.c_str(), 0);
  }

  bool advance() {
    if (!ready()) {
      const int result = SSL_do_handshake(ssl_.get());
      collect();
      if (result != 1) return pending_or_broken(result);
    }
    std::array<char, 16 * 1024> buffer;
    for (;;) {
      const int n = SSL_read(ssl_.get(), buffer.data(), buffer.size());
      if (n <= 0) {
        collect();
        return pending_or_broken(n);
      }
      up_.append(buffer.data(), static_cast<std::size_t>(n));
    }
  }

  bool pending_or_broken(int result) {
    const int why = SSL_get_error(ssl_.get(), result);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return true;
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (why == SSL_ERROR_ZERO_RETURN) {
      error_ = "the server ended the TLS session";
    } else if (verdict != X509_V_OK) {
      error_ = std::string("the server's certificate is not trusted: ") + X509_verify_cert_error_string(verdict) +
               " (--tls-ca FILE names another authority)";
    } else {
      error_ = "TLS failed: " + openssl_error();
    }
    ERR_clear_error();
    return false;
  }

  void collect() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out_, &data);
    if (size <= 0) return;
    down_.append(data, static_cast<std::size_t>(size));
    BIO_reset(out_);
  }

  std::unique_ptr<SSL_CTX, FreeContext> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  BIO* in_ = nullptr;
  BIO* out_ = nullptr;
};

}  // namespace

std::unique_ptr<Layer> make_tls_layer(const ServerUrl& url, const std::string& ca_file) {
  return std::make_unique<TlsLayer>(url, ca_file);
}

}  // namespace barid::client
