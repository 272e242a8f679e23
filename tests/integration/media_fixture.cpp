#include "tests/integration/media_fixture.h"

#include <arpa/inet.h>
#include <openssl/sha.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <pqxx/pqxx>
#include <sstream>

#include "storage/migrator.h"

namespace barid::media {
namespace {

constexpr int kPatienceS = 30;

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // refused: the answer says why
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string head_of(const std::string& method, const std::string& target, const Headers& headers, std::size_t length) {
  std::string head = method + " " + target + " HTTP/1.1\r\nHost: media\r\nConnection: close\r\n";
  for (const auto& [name, value] : headers) head += name + ": " + value + "\r\n";
  if (length != 0 || method == "PATCH" || method == "POST")
    head += "Content-Length: " + std::to_string(length) + "\r\n";
  return head + "\r\n";
}

Answer parse(const std::string& raw) {
  Answer answer;
  const std::size_t end = raw.find("\r\n\r\n");
  if (end == std::string::npos) return answer;
  std::istringstream lines(raw.substr(0, end));
  std::string line;
  std::getline(lines, line);
  answer.status = std::atoi(line.substr(line.find(' ') + 1).c_str());
  while (std::getline(lines, line)) {
    const std::size_t colon = line.find(':');
    std::string name = line.substr(0, colon), value = line.substr(colon + 2);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    while (!value.empty() && value.back() == '\r') value.pop_back();
    answer.headers[name] = value;
  }
  answer.body = raw.substr(end + 4);
  return answer;
}

}  // namespace

void MediaTest::SetUpTestSuite() {
  crypto::init_crypto();
  postgres = std::make_unique<test::PrivatePostgres>();
}
void MediaTest::TearDownTestSuite() { postgres.reset(); }

void MediaTest::SetUp() {
  url = postgres->new_database();
  storage::migrate(url);
  pool = std::make_unique<storage::Pool>(url, 2);
  media = std::make_unique<storage::Media>(*pool);
  pool->transact("make users", [](pqxx::transaction_base& work) {
    work.exec0("INSERT INTO users (user_id, phone_e164, created_at_ms) VALUES (101, '+491', 0), (102, '+492', 0)");
  });
  crypto::random_bytes(key.data(), key.size());
  std::filesystem::create_directory(dir.file("secrets"));
  std::ofstream(dir.file("secrets") + "/media.key") << crypto::to_hex(crypto::view(key)) << "\n";
  ::chmod((dir.file("secrets") + "/media.key").c_str(), 0600);
}

void MediaTest::start(const std::string& more, const std::vector<std::string>& around) {
  if (port == 0) port = test::free_port(), observe_port = test::free_port();
  std::ofstream(dir.file("barid.toml")) << "[postgres]\nurl = \"" << url << "\"\n[directory]\nsecrets_dir = \""
                                        << dir.file("secrets") << "\"\n[media]\nport = " << port
                                        << "\nobserve_port = " << observe_port << "\nstore_dir = \""
                                        << dir.file("store") << "\"\npublic_url = \"http://127.0.0.1:" << port << "\"\n"
                                        << (more.find("disk_bytes_min") == std::string::npos ? "disk_bytes_min = 1\n"
                                                                                             : "")
                                        << more << "\n";
  process.reset();
  std::vector<std::string> argv = around;
  argv.insert(argv.end(), {BARID_MEDIA_BINARY, "--config", dir.file("barid.toml")});
  process = std::make_unique<test::ChildProcess>(argv, dir.file("log"));
  ASSERT_TRUE(test::wait_until([&] {
    const int fd = connect();
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  })) << test::read_file(dir.file("log"));
}

int MediaTest::connect() const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{kPatienceS, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) return fd;
  ::close(fd);
  return -1;
}

Answer MediaTest::ask(const std::string& method, const std::string& target, const Headers& headers,
                      const std::string& body) const {
  const int fd = connect();
  if (fd < 0) return {};
  send_all(fd, head_of(method, target, headers, body.size()));
  send_all(fd, body);
  std::string raw, piece(65'536, '\0');
  for (ssize_t n = 0; (n = ::recv(fd, piece.data(), piece.size(), 0)) > 0;)
    raw.append(piece, 0, static_cast<std::size_t>(n));
  ::close(fd);
  return parse(raw);
}

Answer MediaTest::tus(const std::string& method, const std::string& target, Headers headers,
                      const std::string& body) const {
  headers.emplace_back("Tus-Resumable", "1.0.0");
  return ask(method, target, headers, body);
}

void MediaTest::break_off(const std::string& target, std::uint64_t offset, const std::string& body,
                          std::size_t announced) const {
  const int fd = connect();
  ASSERT_GE(fd, 0);
  send_all(fd, head_of("PATCH", target,
                       {{"Tus-Resumable", "1.0.0"},
                        {"Content-Type", "application/offset+octet-stream"},
                        {"Upload-Offset", std::to_string(offset)}},
                       announced));
  send_all(fd, body);
  ::shutdown(fd, SHUT_WR);
  char byte = 0;
  while (::recv(fd, &byte, 1, 0) > 0) {
  }
  ::close(fd);
}

std::string MediaTest::digest_of(const std::string& bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

void MediaTest::offer(UserId user, const std::string& digest, std::uint64_t bytes) {
  const WallMs now = wall_now(), later{now.value + 3'600'000};
  ASSERT_TRUE(media->offer(user, digest, bytes, {1ULL << 40, later, later}, now));
}

std::string MediaTest::creation(UserId user, const std::string& digest, std::uint64_t bytes, std::int64_t ttl_s) const {
  return creation_url("", {user, digest, bytes, now_s() + ttl_s}, key);
}
std::string MediaTest::download(const std::string& digest, std::int64_t ttl_s) const {
  return download_url("", {digest, now_s() + ttl_s}, key);
}

std::string MediaTest::begin(UserId user, const std::string& digest, std::uint64_t bytes) {
  offer(user, digest, bytes);
  const Answer made = tus("POST", creation(user, digest, bytes), {{"Upload-Length", std::to_string(bytes)}});
  EXPECT_EQ(made.status, 201) << made.body;
  return made.header("location");
}

Answer MediaTest::patch(const std::string& location, std::uint64_t offset, const std::string& body) const {
  return tus("PATCH", location,
             {{"Content-Type", "application/offset+octet-stream"}, {"Upload-Offset", std::to_string(offset)}}, body);
}

std::string MediaTest::store(UserId user, const std::string& bytes) {
  const std::string digest = digest_of(bytes);
  const Answer done = patch(begin(user, digest, bytes.size()), 0, bytes);
  EXPECT_EQ(done.status, 204) << done.body;
  return digest;
}

std::vector<std::string> MediaTest::files() const {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.file("store")))
    if (entry.is_regular_file()) found.push_back(std::filesystem::relative(entry.path(), dir.file("store")));
  return found;
}

}  // namespace barid::media
