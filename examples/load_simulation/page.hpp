// The report as one page of HTML: plots drawn as inline SVG, and the table. Nothing in it comes from elsewhere.
#pragma once

#include "report.hpp"

#include <string>

namespace simulation {

std::string as_page(const report& about);

}  // namespace simulation
