#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "client/cli/call.h"
#include "client/cli/commands.h"
#include "client/cli/render.h"
#include "client/cli/text.h"

namespace barid::cli {
namespace {

constexpr seconds kRequestDeadline{20};
constexpr seconds kCodeCommandPatience{20};

std::string host_name() {
  std::array<char, 64> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "barid";
  return name.data();
}

wire::Response ask_once(const client::ServerUrl& url, const std::string& ca,
                        const decltype(wire::Request::body)& body) {
  auto response = client::call_once(url, ca, body, kRequestDeadline);
  if (!response) throw Failure(Exit::offline, response.error());
  return std::move(*response);
}

std::string run_command(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), &::pclose);
  if (!pipe) throw Failure(Exit::error, "cannot run the code command");
  std::string output;
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    output.append(buffer.data(), n);
    if (output.size() > 1024 * 1024) output.erase(0, output.size() / 2);  // the end is what counts
  }
  return output;
}

bool digit(char c) { return c >= '0' && c <= '9'; }

// The last run of exactly six digits: what a log's newest line about a code ends with.
std::string last_code(const std::string& text) {
  for (std::size_t end = text.size(); end >= 6; --end) {
    bool all = true;
    for (std::size_t i = end - 6; i < end; ++i) all = all && digit(text[i]);
    if (all && (end == 6 || !digit(text[end - 7])) && (end == text.size() || !digit(text[end])))
      return text.substr(end - 6, 6);
  }
  return {};
}

std::string code_from_command(const std::string& command, const std::string& before) {
  const TimePoint until = steady_now() + kCodeCommandPatience;
  while (steady_now() < until && !stop_requested()) {
    const std::string output = run_command(command);
    if (output != before)
      if (std::string code = last_code(output); !code.empty()) return code;
    ::usleep(100'000);
  }
  throw Failure(Exit::timed_out, "the code command printed no new six-digit code");
}

std::string code_from_person() {
  if (::isatty(STDIN_FILENO) != 0) std::cout << "Code: " << std::flush;
  std::string line;
  std::getline(std::cin, line);
  std::string code;
  for (const char c : line)
    if (digit(c)) code += c;
  if (code.empty()) throw Failure(Exit::usage, "no code was given");
  return code;
}

std::string get_code(const Context& context, const RegisterOptions& o, const client::ServerUrl& url,
                     const std::string& phone) {
  if (!o.code.empty()) return o.code;
  ::setenv("BARID_PHONE", phone.c_str(), 1);
  const std::string before = o.code_command.empty() ? std::string() : run_command(o.code_command);
  const wire::Response response = ask_once(url, context.tls_ca, wire::RequestCode{phone});
  if (const auto* error = std::get_if<wire::Error>(&response.body)) refuse(*error, "no code was sent");
  const auto* sent = std::get_if<wire::CodeSent>(&response.body);
  if (sent != nullptr)
    context.say("A six-digit code is on its way to " + phone + "; it is valid for " +
                std::to_string(sent->expires_in_s / 60) + " minutes.");
  if (o.request_only) return {};
  return o.code_command.empty() ? code_from_person() : code_from_command(o.code_command, before);
}

}  // namespace

Exit run_register(const Context& context, const RegisterOptions& o) {
  const auto phone = normal_phone(o.phone);
  if (!phone) throw Failure(Exit::usage, "give the number in international form, for example +4915112345678");
  const auto store = context.open_store();
  client::Account account = store->account();
  if (!account.token.empty() && !o.again)
    throw Failure(Exit::error, "already registered as " + account.phone +
                                   " (--again registers anew; --profile NAME is another account)");
  account.server = context.server.empty() ? account.server : context.server;
  if (account.server.empty())
    throw Failure(Exit::usage, "which server? --server tcp://host:port, or BARID_SERVER in the environment");
  const auto url = client::parse_server_url(account.server);
  if (!url) throw Failure(Exit::usage, url.error());
  const std::string code = get_code(context, o, *url, *phone);
  if (code.empty()) return Exit::ok;

  const crypto::KeyPair keys = crypto::make_key_pair();
  const std::string name = o.name.empty() ? host_name() : o.name;
  const wire::VerifyCode verify{*phone, code, std::string(crypto::view(keys.public_key)), name};
  const wire::Response response = ask_once(*url, context.tls_ca, verify);
  if (const auto* error = std::get_if<wire::Error>(&response.body)) refuse(*error, "not registered");
  const auto* registered = std::get_if<wire::Registered>(&response.body);
  if (registered == nullptr) throw Failure(Exit::error, "the server answered something else than a registration");
  account.phone = registered->phone.empty() ? *phone : registered->phone;
  account.name = name;
  account.tls_ca = context.tls_ca.empty() ? account.tls_ca : context.tls_ca;
  account.key = keys.secret_key;
  account.token = registered->token;
  account.user = registered->user;
  account.device = registered->device;
  account.session_no = SessionNo();
  account.incarnation = 0;
  store->save_account(account);
  publish_keys(context, *store);
  if (context.json) {
    std::cout << nlohmann::json{{"type", "registered"},
                                {"phone", account.phone},
                                {"user", hex_id(account.user.value)},
                                {"device", hex_id(account.device.value)}}
                     .dump()
              << std::endl;
  }
  context.say("Registered " + account.phone + " on this device (" + printable(name) + ").");
  context.say("Next: barid contacts add NAME PHONE, then barid chat NAME");
  return Exit::ok;
}

Exit run_status(const Context& context, bool offline) {
  const auto store = context.open_account();
  const client::Account account = store->account();
  std::string link = "not tried", text;
  if (!offline) {
    client::Client client(*store, context.directory());
    const TimePoint until = steady_now() + seconds(5);
    using Kind = client::Client::Link::Kind;
    for (int turns = 0; !client.link().tried && steady_now() < until && !stop_requested(); ++turns) {
      client.turn(milliseconds(100));
      if (client.link().kind == Kind::elsewhere && turns > 3) break;
    }
    static constexpr const char* kNames[] = {"another barid process is connected", "connecting", "online", "offline",
                                             "stopped"};
    link = kNames[static_cast<std::size_t>(client.link().kind)];
    text = printable(client.link().text);
  }
  const auto counts = store->counts();
  if (context.json) {
    std::cout << nlohmann::json{{"type", "status"},
                                {"phone", account.phone},
                                {"name", account.name},
                                {"user", hex_id(account.user.value)},
                                {"device", hex_id(account.device.value)},
                                {"server", account.server},
                                {"link", link},
                                {"why", text},
                                {"contacts", counts.contacts},
                                {"messages", counts.messages},
                                {"waiting", counts.waiting},
                                {"unread", counts.unread}}
                     .dump()
              << std::endl;
    return Exit::ok;
  }
  std::cout << "account   " << account.phone << " (" << printable(account.name) << ")\n"
            << "device    " << hex_id(account.device.value) << "\nserver    " << account.server << "\nlink      "
            << link << (text.empty() ? "" : ": " + text) << "\nmessages  " << counts.messages << ", " << counts.unread
            << " unread, " << counts.waiting << " not yet delivered\ncontacts  " << counts.contacts << std::endl;
  return Exit::ok;
}

Exit run_devices_list(const Context& context) {
  const auto store = context.open_account();
  client::Client client(*store, context.directory());
  const wire::Response response = ask(client, wire::ListDevices{});
  const auto* devices = std::get_if<wire::Devices>(&response.body);
  if (devices == nullptr) throw Failure(Exit::error, "the server answered something else than a list of devices");
  const DeviceId mine = store->account().device;
  for (const wire::DeviceInfo& d : devices->devices) {
    const bool current = d.current || d.device == mine;
    if (context.json) {
      std::cout << nlohmann::json{{"type", "device"},
                                  {"id", hex_id(d.device.value)},
                                  {"name", d.name},
                                  {"created_at_ms", d.created_at_ms},
                                  {"current", current}}
                       .dump()
                << "\n";
    } else {
      std::cout << hex_id(d.device.value) << "  " << date_time(d.created_at_ms) << "  " << printable(d.name)
                << (current ? "  (this device)" : "") << "\n";
    }
  }
  std::cout << std::flush;
  return Exit::ok;
}

Exit run_devices_revoke(const Context& context, const std::string& device) {
  std::uint64_t id = 0;
  if (!parse_hex_id(device, id))
    throw Failure(Exit::usage, "a device is named by 16 hexadecimal digits: barid devices list");
  const auto store = context.open_account();
  client::Client client(*store, context.directory());
  ask(client, wire::RevokeDevice{DeviceId(id)});
  context.say("Device " + device + " is revoked: its connection ends now, and it cannot log in again.");
  return Exit::ok;
}

}  // namespace barid::cli
