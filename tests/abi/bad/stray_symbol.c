/* Exports more than its entry. */
#include "good.h"
__attribute__((visibility("default"))) int everybody_sees_this(void);
int everybody_sees_this(void) {
  return 1;
}
#include "entry.h"
