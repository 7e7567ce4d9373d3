TEST(x, y) {}
