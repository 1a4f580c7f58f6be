// SPDX-License-Identifier: Apache-2.0
// The commands that need no library. Each throws Refused.
#pragma once

#include "message.hpp"

namespace nearfield::bench {

// The ABI's number of a metric's name in the protocol.
int32_t metric_number(const std::string& name);

Reply generate(const Command& command);
Reply truth(const Command& command);
Reply recall(const Command& command);
Reply limits(const Command& command);
Reply copying(const Command& command);

}  // namespace nearfield::bench
