/* A library that is no plugin at all. */
extern int unrelated(void);
int unrelated(void) {
  return 0;
}
