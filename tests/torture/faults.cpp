#include "tests/torture/faults.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace barid::torture {
namespace {

const char* process_of(Fault fault) {
  switch (fault) {
    case Fault::edge_killed:
    case Fault::edge_frozen:
      return "edge";
    case Fault::nats_killed:
    case Fault::nats_frozen:
      return "nats";
    case Fault::postgres_killed:
    case Fault::postgres_frozen:
      return "postgres";
    default:
      return "worker";
  }
}

}  // namespace

bool SmallDisk::may_mount() {
  return ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

void SmallDisk::mount_at(const std::string& folder) {
  std::filesystem::create_directories(folder);
  const std::string size = "mode=0700,size=" + std::to_string(kMiB) + "m";
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, size.c_str()) != 0)
    throw std::runtime_error("cannot mount a small disk: " + std::string(std::strerror(errno)));
  folder_ = folder;
}

void SmallDisk::unmount() {
  if (mounted()) ::umount2(folder_.c_str(), MNT_DETACH);
  folder_.clear();
}

void SmallDisk::fill() {
  const int fd = ::open((folder_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string chunk(64 * 1024, 'x');
  for (std::size_t most = chunk.size(); most > 0;) {  // then ever smaller pieces, until not a byte is left
    if (::write(fd, chunk.data(), most) <= 0) most /= 2;
  }
  ::close(fd);
}

void SmallDisk::free() { ::unlink((folder_ + "/filler").c_str()); }

Hand::Hand(test::Stack& stack, Crowd& crowd, Relay& relay, SmallDisk& disk)
    : stack_(stack), crowd_(crowd), relay_(relay), disk_(disk) {
  std::string config = test::read_file(stack_.data() + "/barid.toml");
  const std::string socket = "worker-1.sock";
  config.replace(config.find(socket), socket.size(), "worker-2.sock");
  const std::string path = stack_.data() + "/worker-2.toml";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);  // it holds a password
  if (fd < 0 || ::write(fd, config.data(), config.size()) != static_cast<ssize_t>(config.size()))
    throw std::runtime_error("cannot write " + path);
  ::close(fd);
  start_second_worker();
}

void Hand::start_second_worker() {
  constexpr int kObservePort = 7;
  second_worker_ = std::make_unique<test::ChildProcess>(
      std::vector<std::string>{std::string(BARID_BUILD) + "/bin/barid-worker", "--config",
                               stack_.data() + "/worker-2.toml", "--name", "worker-2", "--roles", "delivery,fanout",
                               "--observe-port", std::to_string(stack_.port(kObservePort))},
      stack_.data() + "/log/worker-2.log");
}

void Hand::begin(const Strike& strike) {
  switch (strike.fault) {
    case Fault::edge_killed:
    case Fault::worker_killed:
    case Fault::nats_killed:
    case Fault::postgres_killed:
      stack_.signal(process_of(strike.fault), SIGKILL);
      return;
    case Fault::edge_frozen:
    case Fault::worker_frozen:
    case Fault::nats_frozen:
    case Fault::postgres_frozen:
      stack_.signal(process_of(strike.fault), SIGSTOP);
      return;
    case Fault::second_worker_killed:
      second_worker_.reset();
      return;
    case Fault::second_worker_frozen:
      if (second_worker_) second_worker_->signal(SIGSTOP);
      return;
    case Fault::edge_cut_from_nats:
      relay_.set(kNatsLine, Relay::Mode::cut, "\"name\":\"edge");
      return;
    case Fault::nats_stalled:
      relay_.set(kNatsLine, Relay::Mode::stalled);
      return;
    case Fault::disk_full:
      disk_.fill();
      return;
    case Fault::client_killed:
      crowd_.kill(strike.client);
      return;
    case Fault::client_frozen:
      crowd_.signal(strike.client, SIGSTOP);
      return;
    case Fault::client_away:
      crowd_.end(strike.client);
      return;
    case Fault::line_cut:
      relay_.set(line_of(strike.client), Relay::Mode::cut);
      return;
    case Fault::line_stalled:
      relay_.set(line_of(strike.client), Relay::Mode::stalled);
      return;
    case Fault::line_deaf:
      relay_.set(line_of(strike.client), Relay::Mode::deaf);
      return;
    case Fault::line_mute:
      relay_.set(line_of(strike.client), Relay::Mode::mute);
      return;
    case Fault::line_drip:
      relay_.set(line_of(strike.client), Relay::Mode::drip);
      return;
    case Fault::clock_step:
    case Fault::nats_node_lost:
    case Fault::nats_majority_lost:
      throw std::logic_error(std::string(info(strike.fault).name) + " can't be done here");
  }
}

void Hand::end(const Strike& strike) {
  switch (strike.fault) {
    case Fault::edge_frozen:
    case Fault::worker_frozen:
    case Fault::nats_frozen:
    case Fault::postgres_frozen:
      stack_.signal(process_of(strike.fault), SIGCONT);
      return;
    case Fault::second_worker_killed:
      if (!second_worker_) start_second_worker();
      return;
    case Fault::second_worker_frozen:
      if (second_worker_) second_worker_->signal(SIGCONT);
      return;
    case Fault::edge_cut_from_nats:
    case Fault::nats_stalled:
      relay_.set(kNatsLine, Relay::Mode::pass);
      return;
    case Fault::disk_full:
      disk_.free();
      return;
    case Fault::client_killed:
    case Fault::client_away:
      crowd_.start(strike.client);
      return;
    case Fault::client_frozen:
      crowd_.signal(strike.client, SIGCONT);
      return;
    case Fault::line_cut:
    case Fault::line_stalled:
    case Fault::line_deaf:
    case Fault::line_mute:
    case Fault::line_drip:
      relay_.set(line_of(strike.client), Relay::Mode::pass);
      return;
    default:
      return;
  }
}

}  // namespace barid::torture
