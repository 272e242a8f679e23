// Connection strings of libpq come in two shapes, a URI and a list of key = value; this adds to either. Pure.
#pragma once

#include <string>

namespace barid::storage {

inline constexpr int kConnectTimeoutS = 2;  // libpq's own minimum

inline std::string with_connect_timeout(const std::string& url) {
  if (url.find("connect_timeout") != std::string::npos) return url;
  const std::string setting = "connect_timeout=" + std::to_string(kConnectTimeoutS);
  const bool uri = url.rfind("postgres://", 0) == 0 || url.rfind("postgresql://", 0) == 0;
  if (!uri) return url + " " + setting;
  return url + (url.find('?') == std::string::npos ? "?" : "&") + setting;
}

}  // namespace barid::storage
