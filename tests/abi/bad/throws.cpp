// Lets an exception out of a call.
#include <stdexcept>

#include "good.h"
static bb_status describe(void*, const bb_call*, bb_writer) {
  throw std::runtime_error("from describe");
}
#define DESCRIBE describe
#include "entry.h"
