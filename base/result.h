// Expected outcomes: a value, or the folder's error code. Environment failures throw; bugs assert.
#pragma once

#include <tl/expected.hpp>

namespace barid {

template <class T, class E>
using Result = tl::expected<T, E>;

template <class E>
[[nodiscard]] tl::unexpected<E> fail(E error) {
  return tl::unexpected<E>(error);
}

}  // namespace barid
