#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <cstdio>
#include <memory>

#include "base/crypto.h"
#include "client/core/layer.h"

namespace barid::client::test {
namespace {

std::string accept_for(const std::string& request) {
  const std::size_t at = request.find("Sec-WebSocket-Key: ") + 19;
  const std::string joined = request.substr(at, request.find('\r', at) - at) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(joined.data()), joined.size(), digest);
  std::string out(28, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), digest, sizeof digest);
  return out;
}

std::string answer(const std::string& accept) {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
         accept + "\r\n\r\n";
}

class WebSocket : public testing::Test {
 protected:
  WebSocket() { crypto::init_crypto(); }
  std::unique_ptr<Layer> layer = make_websocket_layer(parse_server_url("ws://chat.example.org:7001").value());
};

TEST_F(WebSocket, AsksForTheUpgradeAndCarriesBytesBothWaysHoweverTheyAreCut) {
  layer->start();
  const std::string request = layer->take_down();
  EXPECT_TRUE(request.starts_with("GET /v1 HTTP/1.1\r\nHost: chat.example.org:7001\r\n"));
  // The answer, and at once a message in two fragments with a ping between them.
  const std::string bytes = answer(accept_for(request)) + std::string("\x02\x03one\x89\x01p\x80\x03two", 13);
  std::string up;
  for (const char c : bytes) {
    ASSERT_TRUE(layer->received(std::string(1, c))) << layer->error();
    up += layer->take_up();
  }
  EXPECT_TRUE(layer->ready());
  EXPECT_EQ(up, "onetwo");
  const std::string pong = layer->take_down();
  ASSERT_EQ(pong.size(), 7U);
  EXPECT_EQ(static_cast<unsigned char>(pong[0]), 0x8a);

  layer->send("hello");
  const std::string frame = layer->take_down();
  ASSERT_EQ(frame.size(), 11U);
  EXPECT_EQ(static_cast<unsigned char>(frame[0]), 0x82);      // binary, whole
  EXPECT_EQ(static_cast<unsigned char>(frame[1]), 0x80 | 5);  // masked, as clients must
  std::string text;
  for (std::size_t i = 0; i < 5; ++i) text += static_cast<char>(frame[6 + i] ^ frame[2 + i % 4]);
  EXPECT_EQ(text, "hello");
}

TEST_F(WebSocket, RefusesAnAnswerThatIsNotForThisRequest) {
  layer->start();
  layer->take_down();
  EXPECT_FALSE(layer->received(answer("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")));
  EXPECT_FALSE(layer->ready());
}

TEST_F(WebSocket, SaysWhatTheServerAnsweredInstead) {
  layer->start();
  EXPECT_FALSE(layer->received("HTTP/1.1 403 Forbidden\r\n\r\n"));
  EXPECT_NE(layer->error().find("403 Forbidden"), std::string::npos);
}

TEST_F(WebSocket, AnEndlessAnswerIsCutOff) {
  layer->start();
  bool fine = true;
  for (int i = 0; i < 1'000 && fine; ++i) fine = layer->received("X-Header: something\r\n");
  EXPECT_FALSE(fine);
}

// A self-signed certificate for `localhost`, made here, and a server side that uses it.
class Tls : public testing::Test {
 protected:
  Tls() : key(EVP_EC_gen("P-256")), certificate(X509_new()), server_context(SSL_CTX_new(TLS_server_method())) {
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("barid test"), -1, -1,
                               0);
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(certificate, key, EVP_sha256());
    char path[] = "/tmp/barid-test-ca-XXXXXX";
    std::FILE* file = ::fdopen(::mkstemp(path), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    ca_file = path;
    SSL_CTX_use_certificate(server_context, certificate);
    SSL_CTX_use_PrivateKey(server_context, key);
    server = SSL_new(server_context);
    SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(server);
  }
  ~Tls() override {
    ::remove(ca_file.c_str());
    SSL_free(server);
    SSL_CTX_free(server_context);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  // Carries bytes until neither side has any; false when the client gave up.
  bool shuttle(Layer& layer) {
    for (int i = 0; i < 50; ++i) {
      const std::string down = layer.take_down();
      BIO_write(SSL_get_rbio(server), down.data(), static_cast<int>(down.size()));
      char buffer[4096];
      int n = SSL_read(server, buffer, sizeof buffer);
      if (n > 0) at_server.append(buffer, static_cast<std::size_t>(n));
      n = BIO_read(SSL_get_wbio(server), buffer, sizeof buffer);
      if (n <= 0 && down.empty()) return true;
      if (n > 0 && !layer.received({buffer, static_cast<std::size_t>(n)})) return false;
    }
    return true;
  }

  EVP_PKEY* key;
  X509* certificate;
  SSL_CTX* server_context;
  SSL* server = nullptr;
  std::string ca_file, at_server;
};

TEST_F(Tls, CarriesBytesToAServerThatItTrusts) {
  const auto layer = make_tls_layer(parse_server_url("tls://localhost:1").value(), ca_file);
  layer->start();
  ASSERT_TRUE(shuttle(*layer)) << layer->error();
  ASSERT_TRUE(layer->ready());
  layer->send("hello");
  ASSERT_TRUE(shuttle(*layer));
  EXPECT_EQ(at_server, "hello");
  SSL_write(server, "world", 5);
  ASSERT_TRUE(shuttle(*layer));
  EXPECT_EQ(layer->take_up(), "world");
}

TEST_F(Tls, RefusesACertificateForAnotherHost) {
  const auto layer = make_tls_layer(parse_server_url("tls://elsewhere.example:1").value(), ca_file);
  layer->start();
  EXPECT_FALSE(shuttle(*layer));
  EXPECT_NE(layer->error().find("not trusted"), std::string::npos);
}

TEST_F(Tls, RefusesACertificateThatNobodyVouchesFor) {
  const auto layer = make_tls_layer(parse_server_url("tls://localhost:1").value(), "");
  layer->start();
  EXPECT_FALSE(shuttle(*layer));
  EXPECT_FALSE(layer->ready());
}

TEST_F(Tls, AnUnreadableAuthorityFileIsNamed) {
  try {
    make_tls_layer(parse_server_url("tls://localhost:1").value(), "/nonexistent/ca.pem");
    FAIL() << "accepted a missing file";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("/nonexistent/ca.pem"), std::string::npos);
  }
}

}  // namespace
}  // namespace barid::client::test
