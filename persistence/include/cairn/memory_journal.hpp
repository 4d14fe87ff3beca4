// The plain reference: a journal in memory, for tests and for reading. What it does is what every store must do.
#pragma once

#include <cairn/journal.hpp>

#include <memory>

namespace cairn::inline v1 {

/// An empty journal with its snapshot store. Everything in it ends with it.
std::unique_ptr<journal> memory_journal();

}  // namespace cairn
