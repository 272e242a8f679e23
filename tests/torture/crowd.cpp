#include "tests/torture/crowd.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>

namespace barid::torture {
namespace {

using namespace std::chrono_literals;
constexpr std::chrono::seconds kPatience{60};

}  // namespace

Crowd::Crowd(test::Stack& stack, const Options& options, const std::vector<std::uint16_t>& ports)
    : options_(options), data_(stack.data()) {
  for (std::size_t i = 0; i < options.clients; ++i) {
    Person p;
    p.name = "c" + std::to_string(i);
    p.phone = "+4915112" + std::to_string(350'000 + i);
    p.folder = options.folder + "/" + p.name;  // `barid` keeps its profile in there
    p.record = options.folder + "/" + p.name + ".record";
    p.server = i < kSteady  ? stack.server()
               : i % 2 == 0 ? "tcp://127.0.0.1:" + std::to_string(ports.at(i - kSteady))
                            : "ws://127.0.0.1:" + std::to_string(ports.at(i - kSteady));
    const std::string newest =
        "grep -F '" + p.phone + " ' " + data_ + "/codes.log 2>/dev/null | tail -n 1 | cut -d' ' -f2";
    if (const auto ran = barid(p, {"register", p.phone, "--code-command", newest}); ran.status != 0)
      throw std::runtime_error(p.name + " cannot register: " + ran.output);
    people_.push_back(std::move(p));
  }
  make_groups();
}

test::Ran Crowd::barid(const Person& person, std::vector<std::string> arguments) const {
  std::vector<std::string> argv{
      std::string(BARID_BUILD) + "/bin/barid", "--json", "--data", person.folder, "--server", person.server};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return test::run(argv, kPatience);
}

void Crowd::make_groups() {
  std::mt19937 random(options_.seed);
  for (std::size_t g = 0; g < kGroups; ++g) {
    std::vector<std::size_t> members(people_.size());
    for (std::size_t i = 0; i < members.size(); ++i) members[i] = i;
    std::shuffle(members.begin(), members.end(), random);
    members.resize(std::min(members.size(), 3 + random() % (kGroupMembersMax - 2)));
    const std::string name = "g" + std::to_string(g);
    std::vector<std::string> arguments{"group", "create", name};
    for (std::size_t i = 1; i < members.size(); ++i) arguments.push_back(people_[members[i]].phone);
    if (const auto ran = barid(people_[members[0]], arguments); ran.status != 0)
      throw std::runtime_error("cannot create a group: " + ran.output);
    for (const std::size_t member : members) {
      people_[member].groups.push_back(name);
      groups_["#" + name].push_back(people_[member].name);
    }
  }
}

void Crowd::start(std::size_t client) {
  Person& p = people_[client];
  if (p.process) return;
  std::vector<std::string> argv{options_.program, "member",
                                "--name",         p.name,
                                "--folder",       p.folder + "/default",
                                "--record",       p.record,
                                "--server",       p.server,
                                "--seed",         std::to_string(options_.seed + client),
                                "--steady",       std::to_string(kSteady),
                                "--pace-ms",      std::to_string(options_.pace.count())};
  if (quiet_) argv.push_back("--quiet");
  for (const Person& other : people_) argv.insert(argv.end(), {"--person", other.name + "=" + other.phone});
  for (const std::string& group : p.groups) argv.insert(argv.end(), {"--group", group});
  p.process = std::make_unique<test::ChildProcess>(argv, options_.folder + "/" + p.name + ".log");
}

void Crowd::end(std::size_t client) {
  Person& p = people_[client];
  if (!p.process) return;
  p.process->signal(SIGCONT);
  p.process->signal(SIGTERM);
  const auto status = p.process->wait(kPatience);
  p.process.reset();
  if (!status || *status != 0)
    throw std::runtime_error(p.name +
                             " did not end in order: " + test::read_file(options_.folder + "/" + p.name + ".log"));
}

void Crowd::kill(std::size_t client) { people_[client].process.reset(); }

void Crowd::signal(std::size_t client, int number) {
  if (people_[client].process) people_[client].process->signal(number);
}

void Crowd::be_quiet() {
  quiet_ = true;
  for (Person& p : people_)
    if (p.process) p.process->signal(SIGUSR1);
}

std::vector<std::string> Crowd::died() {
  std::vector<std::string> dead;
  for (Person& p : people_)
    if (p.process && !p.process->running())
      dead.push_back(p.name + " died: " + test::read_file(options_.folder + "/" + p.name + ".log"));
  return dead;
}

void Crowd::collect(Judge& judge) {
  for (Person& p : people_) {
    std::ifstream file(p.record, std::ios::binary);
    file.seekg(p.read_up_to);
    std::string line;
    while (std::getline(file, line) && !file.eof()) {  // the end of the file: a line that is being written
      p.read_up_to += static_cast<std::int64_t>(line.size()) + 1;
      const auto record = from_line(line);
      if (!record) continue;
      judge.add(p.name, *record);
      const auto* out = std::get_if<Outgoing>(&*record);
      if (out == nullptr || out->state < client::State::delivered || !out->conversation.starts_with("@c")) continue;
      if (std::stoul(out->conversation.substr(2)) < kSteady) p.arrived_ms = std::max(p.arrived_ms, out->created_ms);
    }
  }
}

}  // namespace barid::torture
