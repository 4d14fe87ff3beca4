#include <cairn/runtime.hpp>
