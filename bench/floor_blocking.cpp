#include "floor_blocking.hpp"

#include "floor_main.hpp"

int main(int argc, char** argv) { return floor_main<floor_blocking>(argc, argv); }
