#include "tests/support/servers.h"

#include <arpa/inet.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <pqxx/pqxx>
#include <stdexcept>

#ifdef __SANITIZE_ADDRESS__
// libpqxx 6.4.5 forgets to free the result (some 2 KB) of a statement on which it finds the connection broken.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is the sanitizer's.
extern "C" const char* __lsan_default_suppressions() { return "leak:PQmakeEmptyPGresult\n"; }
#endif

namespace barid::test {

using namespace std::chrono_literals;

namespace {

// Debian keeps the server's programs in a folder per version, off the PATH.
std::string postgres_program(const std::string& name) {
  std::string newest;
  std::error_code ignored;
  for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
    const std::string path = version.path().string() + "/bin/" + name;
    if (std::filesystem::exists(path) && path > newest) newest = path;
  }
  return newest.empty() ? name : newest;
}

// Postgres refuses to run as root.
std::optional<Identity> unprivileged() {
  if (::geteuid() != 0) return {};
  for (const char* name : {"postgres", "nobody"})
    if (const passwd* user = ::getpwnam(name)) return Identity{user->pw_uid, user->pw_gid};
  throw std::runtime_error("we are root, and there is neither a user postgres nor nobody to run Postgres as");
}

void give_to(const std::string& path, const std::optional<Identity>& identity) {
  if (identity && ::chown(path.c_str(), identity->uid, identity->gid) != 0)
    throw std::runtime_error("cannot give " + path + " to another user");
}

bool accepts(const std::string& url) {
  try {
    pqxx::connection connection(url + " connect_timeout=2");
    return connection.is_open();
  } catch (const pqxx::failure&) {
    return false;
  }
}

// nats-server greets with INFO {…"jetstream":true…} once its streams are recovered.
std::string greeting(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string text(4096, '\0');
  ssize_t count = -1;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0)
    count = ::read(fd, text.data(), text.size());
  ::close(fd);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

}  // namespace

PrivatePostgres::PrivatePostgres() : identity_(unprivileged()) {
  for (const char* name : {"data", "run"}) {
    std::filesystem::create_directory(dir_.file(name));
    give_to(dir_.file(name), identity_);
    ::chmod(dir_.file(name).c_str(), std::string(name) == "data" ? 0700 : 0755);
  }
  ChildProcess init({postgres_program("initdb"), "--pgdata=" + dir_.file("data"), "--auth=trust", "--username=barid",
                     "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"},
                    dir_.file("log"), identity_);
  if (init.wait(60s) != 0) throw std::runtime_error("initdb failed:\n" + log());
  start();
  pqxx::connection connection(url_of("postgres"));
  pqxx::nontransaction(connection).exec0("CREATE DATABASE barid");
}

PrivatePostgres::~PrivatePostgres() {
  if (server_) signal_all(SIGKILL);
}

std::string PrivatePostgres::url_of(const std::string& database) const {
  return "host=" + dir_.file("run") + " user=barid dbname=" + database;
}

std::string PrivatePostgres::new_database() {
  const std::string name = "extra" + std::to_string(++databases_);
  pqxx::connection connection(url_of("postgres"));
  pqxx::nontransaction(connection).exec0("CREATE DATABASE " + name);
  return url_of(name);
}

void PrivatePostgres::start() {
  server_ = std::make_unique<ChildProcess>(
      std::vector<std::string>{postgres_program("postgres"), "-D", dir_.file("data"), "-c", "listen_addresses=", "-c",
                               "unix_socket_directories=" + dir_.file("run"), "-c", "fsync=off", "-c",
                               "shared_buffers=16MB", "-c", "max_connections=60"},
      dir_.file("log"), identity_);
  if (!wait_until([&] { return !server_->running() || accepts(url_of("postgres")); }, 60s) || !server_->running())
    throw std::runtime_error("Postgres does not start:\n" + log());
}

void PrivatePostgres::stop() {
  server_->signal(SIGINT);  // "fast" shutdown
  if (!server_->wait(30s)) throw std::runtime_error("Postgres does not stop:\n" + log());
  server_.reset();
}

void PrivatePostgres::kill() {
  signal_all(SIGKILL);
  if (!server_->wait(10s)) throw std::runtime_error("Postgres cannot be killed");
  server_.reset();
}

void PrivatePostgres::freeze() { signal_all(SIGSTOP); }
void PrivatePostgres::thaw() { signal_all(SIGCONT); }

// The postmaster and its children, each of which has a process group of its own.
void PrivatePostgres::signal_all(int number) {
  const pid_t postmaster = server_->pid();
  const std::string list = "/proc/" + std::to_string(postmaster) + "/task/" + std::to_string(postmaster) + "/children";
  if (number == SIGSTOP || number == SIGKILL) server_->signal(number);  // first, so that it forks no more
  std::string children = read_file(list);
  for (std::size_t at = 0; at < children.size();) {
    std::size_t end = children.find(' ', at);
    if (end == std::string::npos) end = children.size();
    if (end > at) ::kill(static_cast<pid_t>(std::stol(children.substr(at, end - at))), number);
    at = end + 1;
  }
  server_->signal(number);
}

PrivateNats::PrivateNats(std::string file_store_max) : file_store_max_(std::move(file_store_max)) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    port_ = free_port();
    if (try_start()) return;
  }
  throw std::runtime_error("nats-server does not start:\n" + log());
}

bool PrivateNats::try_start() {
  const std::string limit = file_store_max_.empty() ? "" : ", max_file_store: " + file_store_max_;
  std::ofstream(dir_.file("nats.conf")) << "listen: \"127.0.0.1:" << port_ << "\"\njetstream { store_dir: \""
                                        << dir_.file("store") << "\"" << limit << " }\n";
  server_ = std::make_unique<ChildProcess>(std::vector<std::string>{"nats-server", "--config", dir_.file("nats.conf")},
                                           dir_.file("log"));
  const auto ready = [&] { return greeting(port_).find("\"jetstream\":true") != std::string::npos; };
  return wait_until([&] { return !server_->running() || ready(); }, 30s) && server_->running();
}

void PrivateNats::start() {
  if (!try_start()) throw std::runtime_error("nats-server does not start again:\n" + log());
}

void PrivateNats::stop() {
  server_->signal(SIGTERM);
  if (!server_->wait(20s)) throw std::runtime_error("nats-server does not stop:\n" + log());
  server_.reset();
}

void PrivateNats::kill() {
  server_->signal(SIGKILL);
  if (!server_->wait(10s)) throw std::runtime_error("nats-server cannot be killed");
  server_.reset();
}

void PrivateNats::freeze() { server_->signal(SIGSTOP); }
void PrivateNats::thaw() { server_->signal(SIGCONT); }
void PrivateNats::lose_disk() { std::filesystem::remove_all(dir_.file("store")); }

}  // namespace barid::test
