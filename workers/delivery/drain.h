// A worker that is drained gives all partitions of all its stages to others and takes none until it starts anew.
#pragma once

#include <vector>

#include "broker/drain_desk.h"
#include "workers/delivery/lease.h"

namespace barid::delivery {

broker::DrainDesk::Hooks drain_hooks(std::vector<Lease*> leases);  // they must outlive the desk

}  // namespace barid::delivery
