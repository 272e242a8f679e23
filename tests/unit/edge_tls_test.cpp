// Our side of TLS against OpenSSL's client, over memory.
#include "edge/tls.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

namespace barid::edge {
namespace {

class EdgeTls : public ::testing::TestWithParam<int> {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::filesystem::temp_directory_path() / ("barid-tls-test-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder_);
    make_certificate("localhost");
  }
  static void make_certificate(const std::string& name) {
    const std::string command =
        "umask 077; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=" + name +
        " "
        "-keyout " +
        key() + " -out " + certificate() + " 2>/dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }
  static std::string certificate() { return folder_ / "cert.pem"; }
  static std::string key() { return folder_ / "key.pem"; }

  void SetUp() override {
    context_ = std::make_unique<TlsContext>(certificate(), key(), TlsMinimum::tls12);
    server_ = std::make_unique<TlsStream>(*context_);
    client_context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(client_context_, GetParam());
    client_ = SSL_new(client_context_);
    SSL_set_bio(client_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client_);
  }
  void TearDown() override {
    SSL_free(client_);
    SSL_CTX_free(client_context_);
  }
  std::string from_client() {
    std::string bytes(BIO_ctrl_pending(SSL_get_wbio(client_)), '\0');
    if (!bytes.empty()) BIO_read(SSL_get_wbio(client_), bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  TlsStream::Status to_server(std::string_view bytes) { return server_->receive(bytes, plain_, out_); }
  void to_client() {
    if (!out_.empty()) BIO_write(SSL_get_rbio(client_), out_.data(), static_cast<int>(out_.size()));
    out_.clear();
  }
  void handshake() {
    for (int i = 0; i < 10 && !(server_->ready() && SSL_is_init_finished(client_) == 1); ++i) {
      SSL_do_handshake(client_);
      ASSERT_EQ(to_server(from_client()), TlsStream::Status::open);
      to_client();
    }
    ASSERT_TRUE(server_->ready());
  }
  std::string read_client(std::size_t bytes) {
    std::string text(bytes, '\0');
    std::size_t got = 0;
    while (got < bytes) {
      const int n = SSL_read(client_, text.data() + got, static_cast<int>(bytes - got));
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    text.resize(got);
    return text;
  }

  static inline std::filesystem::path folder_;
  std::unique_ptr<TlsContext> context_;
  std::unique_ptr<TlsStream> server_;
  SSL_CTX* client_context_ = nullptr;
  SSL* client_ = nullptr;
  std::string plain_, out_;
};

TEST_P(EdgeTls, CarriesBothDirectionsInAnyCut) {
  EXPECT_FALSE(server_->seal("too early", out_));
  out_.clear();
  handshake();
  std::mt19937 random(3);
  const std::string big(200'000, 'c');
  SSL_write(client_, big.data(), static_cast<int>(big.size()));
  const std::string cipher = from_client();
  for (std::size_t at = 0; at < cipher.size();) {
    const std::size_t n = std::min<std::size_t>(1 + random() % 3000, cipher.size() - at);
    ASSERT_EQ(to_server(std::string_view(cipher).substr(at, n)), TlsStream::Status::open);
    at += n;
  }
  EXPECT_TRUE(plain_ == big);
  ASSERT_TRUE(server_->seal(big, out_));
  to_client();
  EXPECT_TRUE(read_client(big.size()) == big);
}

TEST_P(EdgeTls, GoodbyeIsSeenAndSaid) {
  handshake();
  server_->seal_end(out_);
  to_client();
  char byte = 0;
  EXPECT_LE(SSL_read(client_, &byte, 1), 0);
  EXPECT_NE(SSL_get_shutdown(client_) & SSL_RECEIVED_SHUTDOWN, 0);
  SSL_shutdown(client_);
  EXPECT_EQ(to_server(from_client()), TlsStream::Status::ended);
}

TEST_P(EdgeTls, GarbageBreaksIt) { EXPECT_EQ(to_server("GET / HTTP/1.1\r\n\r\n"), TlsStream::Status::broken); }

TEST_P(EdgeTls, AChangedRecordBreaksIt) {
  handshake();
  SSL_write(client_, "hello", 5);
  std::string cipher = from_client();
  cipher.back() = static_cast<char>(cipher.back() ^ 1);
  EXPECT_EQ(to_server(cipher), TlsStream::Status::broken);
  EXPECT_TRUE(plain_.empty());
}

TEST_P(EdgeTls, AReloadIsForNewConnectionsAndABrokenFileKeepsTheOldOne) {
  handshake();
  EXPECT_FALSE(context_->files_changed());
  const auto before = context_->current();
  make_certificate("renewed");
  EXPECT_TRUE(context_->files_changed());
  context_->reload();
  EXPECT_FALSE(context_->files_changed());
  EXPECT_NE(context_->current(), before);
  char name[64] = {};
  const auto* subject = X509_get_subject_name(SSL_CTX_get0_certificate(context_->current().get()));
  X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof name);
  EXPECT_STREQ(name, "renewed");

  const auto good = context_->current();
  std::ofstream(certificate()) << "half a cert";
  EXPECT_TRUE(context_->files_changed());
  EXPECT_THROW(context_->reload(), std::runtime_error);
  EXPECT_EQ(context_->current(), good);
  EXPECT_FALSE(context_->files_changed()) << "it would be said again each second";
  ASSERT_TRUE(server_->seal("still here", out_)) << "the connection of before";
  to_client();
  EXPECT_EQ(read_client(10), "still here");
  make_certificate("localhost");
}

INSTANTIATE_TEST_SUITE_P(Versions, EdgeTls, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& test) { return test.param == TLS1_3_VERSION ? "Tls13" : "Tls12"; });

class EdgeTlsDefaults : public EdgeTls {};

TEST_P(EdgeTlsDefaults, OnlyTls13) {
  const TlsContext context(certificate(), key());
  server_ = std::make_unique<TlsStream>(context);
  SSL_do_handshake(client_);
  const auto status = to_server(from_client());
  EXPECT_EQ(status, GetParam() == TLS1_3_VERSION ? TlsStream::Status::open : TlsStream::Status::broken);
}

TEST_P(EdgeTlsDefaults, OfTls12OnlySuitesWithForwardSecrecyAndAuthenticatedEncryption) {
  for (const char* weak : {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"}) {
    SSL_set_cipher_list(client_, weak);
    SSL_set_max_proto_version(client_, TLS1_2_VERSION);
    SSL_do_handshake(client_);
    EXPECT_EQ(to_server(from_client()), TlsStream::Status::broken) << weak;
    TearDown();
    SetUp();
  }
}

TEST_P(EdgeTlsDefaults, AKeyThatOthersCanReadIsRefusedWithTheRemedy) {
  std::filesystem::permissions(key(), std::filesystem::perms::group_read, std::filesystem::perm_options::add);
  try {
    TlsContext context(certificate(), key());
    ADD_FAILURE() << "it must not start";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("chmod 600 " + key()), std::string::npos) << error.what();
  }
  std::filesystem::permissions(key(), std::filesystem::perms::group_read, std::filesystem::perm_options::remove);
}

INSTANTIATE_TEST_SUITE_P(Versions, EdgeTlsDefaults, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& test) { return test.param == TLS1_3_VERSION ? "Tls13" : "Tls12"; });

TEST(TlsContext, NamesTheFileThatCannotBeUsed) {
  try {
    TlsContext context("/nowhere/cert.pem", "/nowhere/key.pem");
    FAIL() << "it must not start";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/cert.pem"), std::string::npos);
  }
}

}  // namespace
}  // namespace barid::edge
