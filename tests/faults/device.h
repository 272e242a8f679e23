// Somebody's device on the client core, driven turn by turn. Owned by a test, on its thread.
#pragma once

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include "base/crypto.h"
#include "client/core/client.h"
#include "client/core/server_url.h"
#include "schemas/content.h"
#include "tests/faults/stack.h"

namespace barid::test {

inline std::string text_content(const std::string& text) {
  auto content = content::encode(content::Text{text});
  if (!content) throw std::runtime_error("not valid text: " + text.substr(0, 80));
  return *content;
}

// Its store, and the client while it is online.
class Device {
 public:
  Device(Stack& stack, const std::string& folder, const std::string& phone)
      : folder_(folder), store_(std::make_unique<client::SqliteStore>(make(folder))) {
    const auto url = client::parse_server_url(stack.server());
    if (!url) throw std::runtime_error("server url");
    const auto keys = crypto::make_key_pair();
    ask(*url, wire::RequestCode{phone});
    const auto registered = std::get<wire::Registered>(
        ask(*url, wire::VerifyCode{phone, stack.code_for(phone), std::string(crypto::view(keys.public_key)), "test"}));
    client::Account account;
    account.phone = phone;
    account.name = "test";
    account.server = stack.server();
    account.key = keys.secret_key;
    account.token = registered.token;
    account.user = registered.user;
    account.device = registered.device;
    store_->save_account(account);
  }
  void go_online() { client_ = std::make_unique<client::Client>(*store_, folder_); }
  void go_offline() { client_.reset(); }
  bool online() const { return client_ != nullptr; }
  void turn(milliseconds wait) {
    if (client_) client_->turn(wait);
  }
  void wrote() {
    if (client_) client_->wrote();
  }
  client::SqliteStore& store() { return *store_; }

 private:
  static const std::string& make(const std::string& folder) {
    std::filesystem::create_directories(folder);
    return folder;
  }
  decltype(wire::Response::body) ask(const client::ServerUrl& url, const decltype(wire::Request::body)& body) {
    const auto response = client::call_once(url, "", body, std::chrono::seconds(20));
    if (!response) throw std::runtime_error("request failed: " + response.error());
    if (const auto* error = std::get_if<wire::Error>(&response->body))
      throw std::runtime_error("request refused: " + error->text);
    return response->body;
  }
  std::string folder_;
  std::unique_ptr<client::SqliteStore> store_;
  std::unique_ptr<client::Client> client_;
};

}  // namespace barid::test
