// Lets an exception out of init.
#include <stdexcept>

#include "good.h"
static bb_status init(const bb_host*) {
  throw std::runtime_error("from init");
}
#define INIT init
#include "entry.h"
