// Connection strings of libpq come in two shapes, a URI and a list of key = value; this adds to either. Pure.
#pragma once

#include <string>

#include "base/config.h"
#include "base/secret_file.h"

namespace barid::storage {

inline constexpr int kConnectTimeoutS = 2;  // libpq's own minimum

inline std::string with_connect_timeout(const std::string& url) {
  if (url.find("connect_timeout") != std::string::npos) return url;
  const std::string setting = "connect_timeout=" + std::to_string(kConnectTimeoutS);
  const bool uri = url.rfind("postgres://", 0) == 0 || url.rfind("postgresql://", 0) == 0;
  if (!uri) return url + " " + setting;
  return url + (url.find('?') == std::string::npos ? "?" : "&") + setting;
}

inline std::string with_password(const std::string& url, const std::string& password) {
  const bool uri = url.rfind("postgres://", 0) == 0 || url.rfind("postgresql://", 0) == 0;
  std::string quoted;
  for (const char c : password) {
    if (uri) {
      static constexpr char kHex[] = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      quoted += {'%', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      if (c == '\'' || c == '\\') quoted += '\\';
      quoted += c;
    }
  }
  if (!uri) return url + " password='" + quoted + "'";
  return url + (url.find('?') == std::string::npos ? "?" : "&") + "password=" + quoted;
}

// Where the directory connects, and where whoever changes the schema does; with the password out of its file, if there
// is one. Throws as read_secret_file does.
inline std::string directory_url(const PostgresConfig& config) {
  return config.password_file.empty() ? config.url : with_password(config.url, read_secret_file(config.password_file));
}
inline std::string owner_url(const PostgresConfig& config) {
  if (config.owner_url.empty()) return directory_url(config);
  return config.owner_password_file.empty()
             ? config.owner_url
             : with_password(config.owner_url, read_secret_file(config.owner_password_file));
}

}  // namespace barid::storage
