#include "tests/faults/stack.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace barid::test {

using namespace std::chrono_literals;

namespace {

const std::string kRoot = BARID_ROOT;

std::string preset() {
  const std::string build = BARID_BUILD;
  return build.substr(build.rfind('/') + 1);
}

std::vector<std::string> ops(const std::string& script, std::vector<std::string> arguments) {
  std::vector<std::string> argv{"/usr/bin/env", "BARID_PRESET=" + preset(), kRoot + "/ops/" + script};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

// Puts "key = value" under [section], in place of a line that sets (or, commented out, mentions) that key there.
void set_in_file(const std::string& path, const Stack::Setting& setting) {
  if (setting.key.empty()) {
    std::ofstream(path, std::ios::app) << "\n" << setting.value << "\n";
    return;
  }
  std::istringstream in(read_file(path));
  std::ostringstream out;
  std::string line;
  bool here = false, done = false;
  while (std::getline(in, line)) {
    if (line.starts_with("[")) here = line == "[" + setting.section + "]";
    const bool mentions = here && (line.starts_with(setting.key + " ") || line.starts_with("# " + setting.key + " "));
    out << (mentions && !done ? setting.key + " = " + setting.value : line) << "\n";
    done = done || mentions;
  }
  if (!done) throw std::runtime_error(path + " does not mention [" + setting.section + "] " + setting.key);
  std::ofstream(path) << out.str();
}

}  // namespace

Ran run(const std::vector<std::string>& argv, std::chrono::seconds patience) {
  const TempDir dir;
  ChildProcess process(argv, dir.file("output"));
  const auto status = process.wait(patience);
  return {status && WIFEXITED(*status) ? WEXITSTATUS(*status) : -1, read_file(dir.file("output"))};
}

Stack::Stack(const std::vector<Setting>& settings, const std::function<void(Stack&)>& prepare)
    : port_base_(free_port() / 10 * 10) {
  if (!settings.empty() || prepare) {
    // The configuration is written at the first start; then the processes read the edited one.
    auto stores = up_options();
    stores.push_back("--stores-only");
    const Ran first = run(ops("up", stores), 120s);
    if (first.status != 0) throw std::runtime_error("ops/up --stores-only failed:\n" + first.output);
    down();
    std::filesystem::remove_all(data() + "/nats/store");  // its topology is to be the edited one's
    for (Setting setting : settings) {
      constexpr int kFree = 9;
      const std::string name = "{port:" + std::to_string(kFree) + "}";
      if (const auto at = setting.value.find(name); at != std::string::npos)
        setting.value.replace(at, name.size(), std::to_string(port(kFree)));
      set_in_file(data() + "/barid.toml", setting);
    }
    if (prepare) prepare(*this);
  }
  up();
  server_ = "tcp://127.0.0.1:" + std::to_string(status().at("ports").at("tcp").get<int>());
}

Stack::~Stack() {
  if (const char* keep = std::getenv("BARID_KEEP_LOGS")) run({"/bin/cp", "-r", data() + "/log", keep}, 10s);
  down();
}

std::vector<std::string> Stack::up_options() const {
  return {"--detach", "--no-build", "--data", data(), "--port-base", std::to_string(port_base_)};
}

void Stack::down() { run(ops("down", {"--data", data()}), 60s); }

void Stack::up() {
  const Ran ran = run(ops("up", up_options()), 120s);
  if (ran.status != 0) throw std::runtime_error("ops/up failed:\n" + ran.output);
}

void Stack::control(const std::string& command, const std::string& process) {
  const Ran ran = run(
      {std::string(BARID_BUILD) + "/bin/barid-supervisor", "ctl", "--run-dir", data() + "/run", command, process}, 60s);
  if (ran.status != 0) throw std::runtime_error(command + " " + process + " failed:\n" + ran.output);
}

nlohmann::json Stack::status() {
  const Ran ran = run(ops("status", {"--json", "--data", data()}), 20s);
  return nlohmann::json::parse(ran.output, nullptr, false);
}

bool Stack::ready() {
  const auto now = status();
  return now.is_object() && now.value("ready", false);
}

pid_t Stack::pid_of(const std::string& process) {
  const auto now = status();
  for (const auto& p : now.at("processes"))
    if (p.at("name").get<std::string>().starts_with(process) && p.at("pid").is_number())
      return p.at("pid").get<pid_t>();
  return -1;
}

void Stack::kill(const std::string& process) {
  pid_t pid = -1;
  if (!wait_until([&] { return (pid = pid_of(process)) > 0; })) throw std::runtime_error(process + " does not run");
  ::kill(pid, SIGKILL);
}

void Stack::signal(const std::string& process, int number) {
  const pid_t pid = pid_of(process);
  if (pid <= 1) return;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream stat(entry.path() / "stat");
    std::string line, state;
    if (!std::getline(stat, line)) continue;
    std::istringstream rest(line.substr(line.rfind(')') + 1));
    pid_t parent = 0;
    rest >> state >> parent;
    if (parent == pid) ::kill(std::atoi(line.c_str()), number);
  }
  ::kill(pid, number);
}

std::string Stack::server() const { return server_; }

std::string Stack::code_for(const std::string& phone) {
  std::string code;
  const auto look = [&] {
    std::istringstream lines(read_file(data() + "/codes.log"));
    std::string number, digits;
    while (lines >> number >> digits)
      if (number == phone) code = digits;
    return !code.empty();
  };
  if (!wait_until(look)) throw std::runtime_error("no code was sent to " + phone);
  return code;
}

}  // namespace barid::test
