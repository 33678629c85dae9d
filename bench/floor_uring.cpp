#include "floor_uring.hpp"

#include "floor_main.hpp"

int main(int argc, char** argv) { return floor_main<floor_uring>(argc, argv); }
