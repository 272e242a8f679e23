# Every library that Barid uses, each from its Debian package; ops/lib/packages.txt lists the packages.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(CapnProto REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(GTest REQUIRED)
find_package(prometheus-cpp REQUIRED)
foreach(module IN ITEMS libnats libzmq libpqxx spdlog libsodium libxxhash sqlite3 libcurl libutf8proc liburing libmicrohttpd ncursesw jemalloc)
  string(REGEX REPLACE "^lib" "" short ${module})
  pkg_check_modules(${short} REQUIRED IMPORTED_TARGET ${module})
endforeach()
pkg_check_modules(signal REQUIRED IMPORTED_TARGET libsignal-protocol-c)  # GPL-3: client/crypto only

# Debian ships no CMake or pkg-config file for these.
foreach(pair IN ITEMS "civetweb;civetweb.h" "wslay;wslay/wslay.h" "http_parser;http_parser.h" "phonenumber;phonenumbers/phonenumberutil.h")
  list(GET pair 0 lib)
  list(GET pair 1 header)
  find_library(BARID_LIB_${lib} ${lib} REQUIRED)
  find_path(BARID_INC_${lib} ${header} REQUIRED)
  add_library(barid_${lib} INTERFACE)
  target_link_libraries(barid_${lib} INTERFACE ${BARID_LIB_${lib}})
  add_library(dep::${lib} ALIAS barid_${lib})
endforeach()
