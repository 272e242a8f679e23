#include "tests/integration/edge_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "broker/topology.h"
#include "schemas/token.h"

namespace barid::edge {

using nlohmann::json;

// ---- the owner

FakeOwner::FakeOwner(const std::string& endpoint) {
  bus_ = std::make_unique<broker::OwnerBus>(loop_, endpoint, [this](std::string_view edge, std::string_view bytes) {
    const auto message = control::decode_to_owner(bytes).value();
    const std::lock_guard lock(mutex_);
    edge_ = edge;
    ++messages_;
    const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(heard_.opens, message.opens);
    append(heard_.acks, message.acks);
    append(heard_.closes, message.closes);
    append(heard_.announced, message.announced);
  });
  loop_.at_turn_end([this] { bus_->poll(); });
  thread_ = std::thread([this] { loop_.run(); });
}
FakeOwner::~FakeOwner() {
  loop_.stop();
  thread_.join();
}
void FakeOwner::say(control::ToEdge message) {
  // The frames' views have to live until the bytes are made: encode here, send there.
  std::string bytes;
  message.number = ++sent_;
  control::encode(bytes, message);
  std::promise<broker::Sent> sent;
  loop_.post([&] {
    const std::lock_guard lock(mutex_);
    sent.set_value(bus_->send(edge_, bytes));
  });
  EXPECT_EQ(sent.get_future().get(), broker::Sent::sent);
}
std::vector<control::SessionOpen> FakeOwner::opens() {
  const std::lock_guard lock(mutex_);
  return heard_.opens;
}
std::vector<control::SessionAck> FakeOwner::acks() {
  const std::lock_guard lock(mutex_);
  return heard_.acks;
}
std::vector<control::SessionClose> FakeOwner::closes() {
  const std::lock_guard lock(mutex_);
  return heard_.closes;
}
std::vector<control::PartitionEpoch> FakeOwner::announced() {
  const std::lock_guard lock(mutex_);
  return heard_.announced;
}
std::size_t FakeOwner::messages() {
  const std::lock_guard lock(mutex_);
  return messages_;
}

// ---- the client

TestClient::TestClient(std::uint16_t port, std::string_view first_bytes) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{10, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0) << "port " << port;
  if (!first_bytes.empty()) send_raw(first_bytes);
}
TestClient::~TestClient() { ::close(fd_); }

void TestClient::send_raw(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // closed by the edge: what it says is read by next()
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}
std::optional<wire::Frame> TestClient::next(bool skip_pings) {
  while (true) {
    if (const auto raw = wire::split(in_)) {
      auto frame = wire::decode(*raw).value();
      in_.erase(0, raw->bytes);
      if (skip_pings && std::holds_alternative<wire::Ping>(frame)) continue;
      return frame;
    }
    char buffer[65'536];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return std::nullopt;
    in_.append(buffer, static_cast<std::size_t>(n));
  }
}
bool TestClient::closed() {
  while (next()) {
  }
  char byte = 0;
  const ssize_t n = ::recv(fd_, &byte, 1, MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN);
}
std::string TestClient::read_raw(std::string_view until) {
  std::string out;
  char byte = 0;
  while (out.find(until) == std::string::npos && ::recv(fd_, &byte, 1, 0) == 1) out.push_back(byte);
  return out;
}

// ---- the process

EdgeProcess::EdgeProcess(const EdgeOptions& options) : worker_roles_(options.worker_roles) {
  crypto::init_crypto();
  directory_ = crypto::make_key_pair();
  device_key_ = crypto::make_key_pair();
  NatsConfig nats_config;
  nats_config.url = nats.url();
  nats_config.partitions = kPartitions;
  nats_config.inbox_shards = 1;
  control = std::make_unique<broker::Control>(nats_config, "test");
  broker::apply_topology(*control, nats_config, MessagesConfig{});
  control->put(broker::kMetaBucket, broker::kMetaDirectoryKey, crypto::to_hex(crypto::view(directory_.public_key)));
  control->put(broker::kMetaBucket, broker::kMetaAddressKey, crypto::to_hex(crypto::view(address_key_)));
  if (worker_roles_.empty()) {
    owner = std::make_unique<FakeOwner>("ipc://" + dir_.file("owner"));
    own(1);
  }

  port_ = test::free_port();
  more_port_ = test::free_port();
  observe_port_ = test::free_port();
  std::ofstream config(dir_.file("barid.toml"));
  config << "[log]\nlevel = \"debug\"\n[nats]\nurl = \"" << nats.url() << "\"\npartitions = " << kPartitions
         << "\ninbox_shards = 1\n[worker]\nlease_s = 1\nbus_endpoint = \"ipc://" << dir_.file("worker") << "\"\n"
         << options.worker_lines << "\n[edge]\nengine = \"" << options.engine << "\"\n"
         << options.edge_lines << "\n[[edge.listeners]]\nport = " << port_ << "\n"
         << options.listener_lines << "\n";
  if (!options.more_listeners.empty())
    config << "[[edge.listeners]]\nport = " << more_port_ << "\n" << options.more_listeners << "\n";
  config.close();
  if (!worker_roles_.empty()) start_worker();
  const auto self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  process = std::make_unique<test::ChildProcess>(
      std::vector<std::string>{self / "barid-edge", "--config", dir_.file("barid.toml"), "--name", "edge-t",
                               "--observe-port", std::to_string(observe_port_)},
      dir_.file("edge.log"));
  EXPECT_TRUE(wait_ready()) << test::read_file(dir_.file("edge.log"));
}

EdgeProcess::~EdgeProcess() {
  if (!::testing::Test::HasFailure()) return;
  std::fprintf(stderr, "%s\n", test::read_file(dir_.file("edge.log")).c_str());
  std::fprintf(stderr, "%s\n", test::read_file(dir_.file("worker.log")).c_str());
}

void EdgeProcess::start_worker() {
  const auto self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  worker = std::make_unique<test::ChildProcess>(
      std::vector<std::string>{self / "barid-worker", "--config", dir_.file("barid.toml"), "--name", "worker-t",
                               "--roles", worker_roles_, "--observe-port", "0"},
      dir_.file("worker.log"));
}

bool EdgeProcess::wait_ready() {
  return test::wait_until([this] { return http("/readyz").find("200 OK") != std::string::npos; },
                          std::chrono::seconds(60));
}

std::string EdgeProcess::http(const std::string& path) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(observe_port_);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      char buffer[65'536];
      for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
        answer.append(buffer, static_cast<std::size_t>(n));
    }
  }
  ::close(fd);
  return answer;
}

wire::Login EdgeProcess::login(const wire::Challenge& challenge, UserId user, DeviceId device,
                               std::uint64_t session_no) const {
  const token::Token token{user, device, device_key_.public_key, 0, wall_now().value / 1000 + 3600};
  wire::Login login{token::seal(token, directory_.secret_key), {}, SessionNo(session_no), "test"};
  login.signature = std::string(crypto::view(
      crypto::sign(wire::login_message(challenge.nonce, login.session_no, login.token), device_key_.secret_key)));
  return login;
}

wire::Welcome EdgeProcess::log_in(TestClient& client, UserId user, DeviceId device, std::uint64_t session_no) {
  client.send(login(client.expect<wire::Challenge>(), user, device, session_no));
  return client.expect<wire::Welcome>();
}

wire::Address EdgeProcess::address(UserId user, DeviceId device) const {
  return {user, device, token::address_tag(user, device, address_key_)};
}

wire::Send EdgeProcess::message(std::uint64_t seq, const std::string& content, UserId to, DeviceId device) const {
  wire::Send send;
  send.seq = seq;
  send.to = address(to, device);
  send.content = content;
  return send;
}

void EdgeProcess::own(std::uint64_t epoch) {
  for (std::uint16_t p = 0; p < kPartitions; ++p)
    control->put(
        broker::kOwnersBucket, broker::owner_key(Partition(p)),
        json{{"worker", "w"}, {"incarnation", hex_id(1)}, {"epoch", epoch}, {"endpoint", "ipc://" + dir_.file("owner")}}
            .dump());
}

std::uint64_t EdgeProcess::ingress_messages() {
  return json::parse(control->js_api("STREAM.INFO.INGRESS_0", ""))["state"]["messages"].get<std::uint64_t>();
}
void EdgeProcess::limit_ingress(std::int64_t messages) {
  json config = json::parse(control->js_api("STREAM.INFO.INGRESS_0", ""))["config"];
  config["max_msgs"] = messages;
  const json reply = json::parse(control->js_api("STREAM.UPDATE.INGRESS_0", config.dump()));
  ASSERT_FALSE(reply.contains("error")) << reply.dump();
}
void EdgeProcess::purge_ingress() { control->js_api("STREAM.PURGE.INGRESS_0", ""); }

}  // namespace barid::edge
